import { randomBytes } from 'node:crypto';
import { existsSync, ftruncateSync, openSync, writeSync } from 'node:fs';
import { copyOut, fio, type Workload } from './kinds.ts';
import { command, run, Served, type Side, seconds } from './measure.ts';

const MIB = 1 << 20;
const NEEDS = ['qemu-img', 'qemu-nbd'];

/** A disk of 1 GiB, half of it data, of which half can be compressed; made when first needed. */
function halfFull(folder: string): string {
  const path = `${folder}/half.raw`;
  if (existsSync(path)) return path;
  const file = openSync(path, 'w');
  ftruncateSync(file, 1024 * MIB);
  const text = Buffer.alloc(MIB / 2, 'text that can be compressed, as most of what disks hold. ');
  for (let at = 0; at < 1024; at += 2) {
    for (let place = 0; place < text.length; place += 61) text[place] = (place * at) & 0x7f;
    writeSync(file, Buffer.concat([randomBytes(MIB / 2), text]), 0, MIB, at * MIB);
  }
  return path;
}

const imager = (side: Side) => command(side, side === 'ours' ? 'nbdimg' : 'qemu-img');

/** An image of that disk by qemu, the same for both sides. */
async function imageOf(folder: string, name: string, ...options: readonly string[]) {
  const path = `${folder}/${name}`;
  if (!existsSync(path)) {
    await run(['qemu-img', 'convert', '-f', 'raw', ...options, halfFull(folder), path]);
  }
  return path;
}

function convert(
  name: string,
  goal: number,
  words: (folder: string) => readonly string[] | Promise<readonly string[]>,
): Workload {
  return {
    name: `convert ${name}`,
    unit: 's',
    goal,
    needs: NEEDS,
    start: async (side, folder) => {
      const rest = await words(folder);
      const target = `${folder}/converted`;
      return { measure: () => seconds([...imager(side), 'convert', ...rest, target]) };
    },
  };
}

const fromRaw = (name: string, goal: number, ...options: readonly string[]) =>
  convert(name, goal, folder => ['-f', 'raw', ...options, halfFull(folder)]);

const toRaw = (name: string, goal: number, file: string, ...options: readonly string[]) =>
  convert(name, goal, async folder => [
    '-O',
    'raw',
    await imageOf(folder, file, '-O', 'qcow2', ...options),
  ]);

/** An image served by nbdkit with our filter, or by qemu-nbd. */
const serveImage = (side: Side, folder: string, [path]: readonly string[]) =>
  Served.by(folder, socket =>
    side === 'ours'
      ? [...command(side, 'nbdkit'), '-f', '-U', socket, '--filter=qcow2', 'file', path!]
      : ['qemu-nbd', '-t', '-e', '64', '-f', 'qcow2', '-k', socket, path!],
  );

function served(name: string, goal: number, file: string, ...options: readonly string[]): Workload {
  return {
    name: `${name} served, nbdcopy to null:`,
    unit: 's',
    goal,
    needs: NEEDS,
    start: async (side, folder) => {
      const path = await imageOf(folder, file, '-O', 'qcow2', ...options);
      const server = await serveImage(side, folder, [path]);
      return { measure: () => seconds(copyOut(server.uri)), stop: () => server.stop() };
    },
  };
}

async function freshImage(side: Side, folder: string): Promise<Served> {
  const path = `${folder}/fresh-${Math.random().toString(36).slice(2)}.qcow2`;
  await run(['qemu-img', 'create', '-q', '-f', 'qcow2', path, '1G']);
  return serveImage(side, folder, [path]);
}

/** nbdimg and the qcow2 filter beside qemu-img and qemu-nbd. */
export const IMAGE_WORKLOADS: readonly Workload[] = [
  fromRaw('raw to qcow2', 1, '-O', 'qcow2'),
  fromRaw('raw to qcow2 -c, zlib', 1.5, '-c', '-O', 'qcow2'),
  fromRaw('raw to qcow2 -c, zstd', 1, '-c', '-O', 'qcow2', '-o', 'compression_type=zstd'),
  fromRaw('raw to vmdk', 1, '-O', 'vmdk'),
  fromRaw('raw to vhdx', 1, '-O', 'vhdx'),
  toRaw('qcow2 to raw', 1, 'plain.qcow2'),
  toRaw('qcow2 of zlib to raw', 1, 'zlib.qcow2', '-c'),
  toRaw('qcow2 of zstd to raw', 1, 'zstd.qcow2', '-c', '-o', 'compression_type=zstd'),
  served('qcow2', 1.2, 'plain.qcow2'),
  fio('qcow2, 4-KiB reads', 1.2, () => [], {
    depth: 16,
    start: async (side, folder) =>
      serveImage(side, folder, [await imageOf(folder, 'plain.qcow2', '-O', 'qcow2')]),
  }),
  fio('fresh qcow2, 4-KiB writes', 1.2, () => [], {
    rw: 'randwrite',
    depth: 16,
    start: freshImage,
  }),
];
