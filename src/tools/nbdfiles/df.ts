import { basename } from 'node:path';
import { UsageError } from '../../block/errors.ts';
import type { Usage } from '../../formats/fs/file-system.ts';
import type { FilesCommand, FilesLine } from './commands.ts';
import { csvField, Output } from './fields.ts';
import { openGuest, statusWith } from './guest.ts';
import { humanReadable } from './human.ts';
import { GUEST_OPTIONS, has, type Source } from './sources.ts';
import { disksOf } from './words.ts';

const NAME_WIDTH = 36;

const command: FilesCommand = {
  options: {
    ...GUEST_OPTIONS,
    csv: { names: ['csv'] },
    human: { names: ['h', 'human-readable'] },
    inodes: { names: ['i', 'inodes'] },
    onePerGuest: { names: ['one-per-guest'] },
    threads: { names: ['P'], value: 'required' },
    uuid: { names: ['uuid'] },
  },
  help: `
How full the file systems of disks are:

    virt-df [-h] [-i] [--csv] -a DISK [-a DISK ...]

`,
  async run(line) {
    if (has(line, 'csv') && has(line, 'human')) {
      throw new UsageError('you cannot use -h and --csv options together');
    }
    const sources = disksOf(line);
    const guest = await openGuest(line, sources);
    const output = new Output();
    const name = guestName(sources);
    await output.line(titleOf(line));
    const mountables = guest.mountables.filter(each => !each.name.startsWith('btrfsvol:'));
    for (const { name: device, fileSystem } of mountables) {
      await output.line(rowOf(line, name, device, await fileSystem.usage()));
    }
    await output.flush();
    return statusWith(line, mountables, 0);
  },
};

export default command;

/** The first disk, with a plus sign for each other. */
function guestName([first, ...others]: readonly Source[]): string {
  const { what } = first!;
  const name = typeof what === 'string' ? basename(what) : basename(what[0]);
  return name + '+'.repeat(others.length);
}

function titleOf(line: FilesLine): string {
  const size = has(line, 'human') ? 'Size' : '1K-blocks';
  const columns = has(line, 'inodes')
    ? ['Inodes', 'IUsed', 'IFree', 'IUse%']
    : [size, 'Used', 'Available', 'Use%'];
  if (has(line, 'csv')) return ['VirtualMachine', 'Filesystem', ...columns].join(',');
  return 'Filesystem'.padEnd(NAME_WIDTH) + columnsOf(columns);
}

const columnsOf = ([first, second, third, fourth]: readonly string[]) =>
  `${first!.padStart(10)} ${second!.padStart(10)} ${third!.padStart(10)} ${fourth!.padStart(5)}`;

function rowOf(line: FilesLine, name: string, device: string, usage: Usage): string {
  const [all, free, left] = has(line, 'inodes')
    ? [usage.files, usage.filesFree, usage.filesFree]
    : [usage.blocks, usage.free, usage.available];
  const shown = has(line, 'inodes') ? String : sizeIn(usage.blockSize, has(line, 'human'));
  const used = all > 0n ? 100 - (100 * Number(free)) / Number(all) : 0;
  const numbers = [shown(all), shown(all - free), shown(left)];
  if (has(line, 'csv')) return [name, device, ...numbers, used.toFixed(1)].map(csvField).join(',');
  const head = `${name}:${device}`;
  const lead =
    head.length > NAME_WIDTH ? `${head}\n${' '.repeat(NAME_WIDTH)}` : head.padEnd(NAME_WIDTH);
  return lead + columnsOf([...numbers, `${String(Math.ceil(used)).padStart(3)}%`]);
}

function sizeIn(blockSize: number, human: boolean): (blocks: bigint) => string {
  const unit = BigInt(blockSize);
  return blocks => (human ? humanReadable(blocks * unit) : String((blocks * unit) / 1024n));
}
