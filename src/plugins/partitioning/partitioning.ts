import { closeSync } from 'node:fs';
import { basename } from 'node:path';
import { constantDevice, paddingDevice } from '../../block/constant.ts';
import type { BlockDevice } from '../../block/device.ts';
import { BlockError, messageOf, UsageError } from '../../block/errors.ts';
import { joinDevices } from '../../block/join.ts';
import { definePlugin } from '../../declare/declare.ts';
import {
  type GivenParameter,
  type ParameterDeclarations,
  parseInteger,
} from '../../declare/parameters.ts';
import { LINUX_FILESYSTEM, parseGuid } from '../../formats/partition-table/gpt.ts';
import { MBR_LIMIT, SECTOR } from '../../formats/partition-table/mbr.ts';
import { fileDevice } from '../../stores/file/device.ts';
import { openFile } from '../../stores/file/open.ts';
import { gptLayout, type Layout, mbrLayout, type PartitionFile } from './layout.ts';

const LARGEST_ALIGNMENT = 1n << 20n;
const MBR_PARTITIONS = 4;
/** Files of more bytes than this get a GPT: with the padding an MBR might be too small for them. */
const MBR_FILES = MBR_LIMIT * BigInt(SECTOR) - 5n * LARGEST_ALIGNMENT;
const LINUX = 0x83;

const PARAMETERS = {
  file: { type: 'path', bare: true, required: true, repeat: true, help: 'File or files' },
  'partition-type': {
    type: 'string',
    choices: ['mbr', 'gpt'],
    help: 'Kind of partition table; gpt for more than 4 files or 2 TB',
  },
  alignment: {
    type: 'size',
    repeat: true,
    minimum: SECTOR,
    maximum: LARGEST_ALIGNMENT,
    help: 'Alignment of the files that follow; 1M unless given',
  },
  'mbr-id': {
    type: 'string',
    repeat: true,
    help: 'MBR type byte of the files that follow: 0 to 0xff or default (0x83)',
  },
  'type-guid': {
    type: 'string',
    repeat: true,
    help: 'GPT type of the files that follow: a GUID or default (Linux file system)',
  },
} as const satisfies ParameterDeclarations;

export default definePlugin({
  name: 'partitioning',
  description: 'a partitioned disk made of files that hold one partition each',
  parameters: PARAMETERS,
  create({ 'partition-type': type }, { given }) {
    const files = readFiles(given);
    const layout = layOut(files, type);
    return { open: ({ readOnly }) => openLayout(files, layout, readOnly) };
  },
});

/** Each file with what was last said before it. */
function readFiles(given: readonly GivenParameter<typeof PARAMETERS>[]): PartitionFile[] {
  const files: PartitionFile[] = [];
  let alignment = LARGEST_ALIGNMENT;
  let mbrType = LINUX;
  let typeGuid = LINUX_FILESYSTEM;
  for (const { key, value } of given) {
    if (key === 'alignment') alignment = checkAlignment(value);
    else if (key === 'mbr-id') mbrType = readMbrType(value);
    else if (key === 'type-guid') typeGuid = readTypeGuid(value);
    else if (key === 'file') {
      const size = sizeOf(value);
      files.push({ path: value, name: basename(value), size, alignment, mbrType, typeGuid });
    }
  }
  return files;
}

function sizeOf(path: string): bigint {
  let size: bigint;
  try {
    const file = openFile(path, true);
    closeSync(file.fd);
    size = file.size;
  } catch (error) {
    throw new UsageError(`file: ${messageOf(error)}`);
  }
  if (size === 0n) {
    throw new UsageError(`file: '${path}' is empty: a partition needs at least one byte`);
  }
  return size;
}

function checkAlignment(alignment: bigint): bigint {
  if ((alignment & (alignment - 1n)) === 0n) return alignment;
  throw new UsageError(`alignment: ${alignment}: expected a power of 2 from ${SECTOR} to 1M`);
}

function readMbrType(text: string): number {
  if (text === 'default') return LINUX;
  try {
    const type = parseInteger(text);
    if (type >= 0 && type <= 0xff) return type;
  } catch {
    // Said below.
  }
  throw new UsageError(`mbr-id: '${text}': expected 0 to 0xff or default`);
}

function readTypeGuid(text: string): string {
  if (text === 'default') return LINUX_FILESYSTEM;
  const guid = parseGuid(text);
  if (guid) return guid;
  throw new UsageError(
    `type-guid: '${text}' is no GUID: expected default or one such as ${LINUX_FILESYSTEM}`,
  );
}

function layOut(files: readonly PartitionFile[], type: 'mbr' | 'gpt' | undefined): Layout {
  const total = files.reduce((sum, { size }) => sum + size, 0n);
  const gpt = type ? type === 'gpt' : files.length > MBR_PARTITIONS || total > MBR_FILES;
  return gpt ? gptLayout(files) : mbrLayout(files);
}

async function openLayout(
  files: readonly PartitionFile[],
  { regions, size }: Layout,
  readOnly: boolean,
): Promise<BlockDevice> {
  const devices: BlockDevice[] = [];
  let end = 0n;
  const add = (device: BlockDevice) => {
    devices.push(device);
    end += device.size;
  };
  try {
    for (const region of regions) {
      if (region.offset > end) add(paddingDevice(region.offset - end));
      add(
        'bytes' in region ? constantDevice(region.bytes) : openPart(files[region.file]!, readOnly),
      );
    }
    if (size > end) add(paddingDevice(size - end));
  } catch (error) {
    await joinDevices(devices).close!();
    throw error;
  }
  return joinDevices(devices);
}

function openPart({ path, size }: PartitionFile, readOnly: boolean): BlockDevice {
  const file = openFile(path, readOnly);
  if (file.size === size) return fileDevice(file);
  closeSync(file.fd);
  throw new BlockError('EIO', `'${path}': its size has changed since the server was started`);
}
