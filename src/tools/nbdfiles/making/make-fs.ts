import { UsageError } from '../../../block/errors.ts';
import { EXT_TYPES, type WantedSize, wantedSize } from '../../../content/ext/make.ts';
import { copy } from '../../../copy/copy.ts';
import { STANDARD } from '../../standard.ts';
import type { FilesCommand, FilesLine } from '../commands.ts';
import { warn } from '../failures.ts';
import { checkFormat, newFormats, newImage } from '../new-image.ts';
import { has, lastValue } from '../sources.ts';
import { FAT, LINUX, overheadOf, partitioned, START, type Table } from './disk.ts';
import { withInput } from './input.ts';
import { makeVolume, type VolumeWishes } from './volume.ts';

const TYPES = [...EXT_TYPES, 'fat', 'vfat'] as const;
const TABLES: Readonly<Record<string, Table>> = {
  mbr: 'mbr',
  msdos: 'mbr',
  dos: 'mbr',
  gpt: 'gpt',
  efi: 'gpt',
};

const command: FilesCommand = {
  options: {
    blocksize: { names: ['blocksize'], value: 'optional', values: ['512', '4096'] },
    floppy: { names: ['floppy'] },
    format: { names: ['F', 'format'], value: 'required', values: newFormats },
    label: { names: ['label'], value: 'required' },
    partition: { names: ['partition'], value: 'optional', values: Object.keys(TABLES) },
    size: { names: ['s', 'size'], value: 'required' },
    type: { names: ['t', 'type'], value: 'required', values: TYPES },
    verbose: { names: ['v', 'verbose'] },
    trace: { names: ['x'] },
    ...STANDARD,
  },
  help: `
Makes a disk with the files of a folder or of a tar archive (- is standard input):

    virt-make-fs [-t ext2|ext3|ext4|fat] [-s SIZE|+SIZE] [-F FORMAT] [--partition[=mbr|gpt]]
                 [--label LABEL] INPUT DISK

`,
  async run(line) {
    const [input, output, ...others] = line.words;
    if (input === undefined || output === undefined || others.length > 0) {
      throw new UsageError('expected a folder or a tar archive, and the name of a new disk');
    }
    const format = lastValue(line, 'format') ?? 'raw';
    checkFormat(format);
    const table = tableOf(line);
    const wishes = wishesOf(line, table);
    await withInput(input, async folder => {
      const volume = await makeVolume(folder, wishes);
      const type = wishes.type === 'fat' ? FAT : LINUX;
      const disk = table === undefined ? volume : partitioned(volume, table, type);
      const image = await newImage(output, format, disk.size);
      try {
        await copy(disk, image, { destinationIsZero: true, flush: true });
      } finally {
        await image.close?.();
        await disk.close?.();
      }
    });
    return 0;
  },
};

export default command;

function tableOf(line: FilesLine): Table | undefined {
  if (!has(line, 'partition')) return undefined;
  const name = lastValue(line, 'partition') ?? 'mbr';
  const table = Object.hasOwn(TABLES, name) ? TABLES[name] : undefined;
  if (table) return table;
  throw new UsageError(`--partition: ${name}: expected mbr or gpt`);
}

function wishesOf(line: FilesLine, table: Table | undefined): VolumeWishes {
  const type = TYPES.find(name => name === (lastValue(line, 'type') ?? 'ext2'));
  if (has(line, 'floppy')) {
    throw new UsageError(
      '--floppy: FAT is made as FAT32, which no floppy disk is large enough for',
    );
  }
  if (!type) {
    throw new UsageError(`--type: ${lastValue(line, 'type')}: expected ${TYPES.join(', ')}`);
  }
  const sector = lastValue(line, 'blocksize') ?? '512';
  if (!['512', '4096'].includes(sector)) {
    throw new UsageError(`--blocksize: ${sector}: expected 512 or 4096`);
  }
  if (sector !== '512' && table) {
    throw new UsageError('--blocksize: partition tables are made with sectors of 512 bytes');
  }
  return {
    type: type === 'vfat' ? 'fat' : type,
    label: lastValue(line, 'label'),
    wanted: volumeSize(wantedSize(lastValue(line, 'size')), overheadOf(table)),
    before: table ? START : 0,
    sector: Number(sector),
    warn: words => warn(line, words),
  };
}

/** What is left of the size of a disk. */
function volumeSize(wanted: WantedSize, overhead: number): WantedSize {
  if (!('size' in wanted)) return wanted;
  const size = wanted.size - overhead;
  if (size > 0) return { size: size - (size % 512) };
  throw new UsageError('--size: is too small for a partition');
}
