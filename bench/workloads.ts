import { writeFileSync } from 'node:fs';
import { connect } from '../src/client/connect.ts';
import { FUSE_WORKLOADS } from './fuse.ts';
import { IMAGE_WORKLOADS } from './images.ts';
import {
  connections,
  copyIn,
  copying,
  copyOut,
  encrypted,
  fio,
  fresh,
  memory,
  peak,
  SIZE,
  serving,
  sourceOf,
  startUp,
  target,
  type Workload,
} from './kinds.ts';
import { command, Served, type Side, seconds } from './measure.ts';
import { packed } from './packed.ts';
import { fromS3, overSsh } from './remote.ts';
import { SHARED_WORKLOADS } from './shared.ts';
import { TOOL_WORKLOADS } from './tools.ts';
import { fromFarNginx, fromNginx, xzFromNginx } from './web.ts';

/** A script that serves the shared file. */
function script(plugin: string, lines: (file: string) => readonly string[]) {
  return (folder: string): string[] => {
    const path = `${folder}/script.${plugin}`;
    writeFileSync(path, `${lines(sourceOf(folder)).join('\n')}\n`, { mode: 0o755 });
    return [plugin, path];
  };
}

const shellScript = script('sh', file => [
  '#!/bin/sh',
  'case "$1" in',
  'thread_model) echo parallel ;;',
  `get_size) echo ${SIZE} ;;`,
  `pread) exec dd iflag=skip_bytes,count_bytes skip="$4" count="$3" if=${file} 2>/dev/null ;;`,
  '*) exit 2 ;;',
  'esac',
]);

const pythonScript = script('python', file => [
  'import os',
  'API_VERSION = 2',
  'def open(readonly):',
  `    return os.open("${file}", os.O_RDONLY)`,
  'def get_size(h):',
  '    return os.fstat(h).st_size',
  'def pread(h, buf, offset, flags):',
  '    os.preadv(h, [buf], offset)',
]);

const file = (folder: string) => ['file', sourceOf(folder)];

/** Filters that the C tools have, too, and that let everything pass. */
const PASSING = ['nofilter', 'noextents', 'nocache', 'nozero', 'multi-conn'];
const underFive = () => [
  ...PASSING.map(name => `--filter=${name}`),
  ...['memory', SIZE, 'cachemode=nop', 'zeromode=plugin'],
];
const wholeBlocks = () => ['--filter=blocksize', 'memory', SIZE, 'minblock=4096'];

/** The readahead of C needs a cache below it, ours a disk that does not say that it is one. */
const farAway = (_folder: string, side: Side) => [
  ...['readahead', side === 'peer' ? 'cache' : 'nocache', 'delay'].map(name => `--filter=${name}`),
  ...['pattern', '256M', 'rdelay=5ms'],
];

/** With an index that is there; C's release here has no such filter, and decompresses all of it. */
const endOfGzip: Workload = {
  name: 'gzip, the last 4 KiB of 1 GiB (ours by an index)',
  unit: 's',
  goal: 10,
  needs: ['nbdkit'],
  start: async (side, folder) => {
    const file = packed(folder, 'gz');
    const indexed = ['--filter=indexed-gzip', `gzip-index-path=${folder}/image.index`];
    const words = ['file', file, ...(side === 'ours' ? indexed : ['--filter=gzip'])];
    return {
      measure: async () => {
        const server = await Served.start(side, folder, words);
        try {
          const begin = performance.now();
          const client = await connect(server.uri);
          await client.read(client.size - 4096n, 4096);
          await client.close();
          return (performance.now() - begin) / 1000;
        } finally {
          await server.stop();
        }
      },
    };
  },
};

/** The nbd plugin; what it serves is the C server's. */
const chained = () => ['nbd', 'command=nbdkit', ...CHAINED.map(word => `arg=${word}`)];
const CHAINED = ['--exit-with-parent', 'pattern', SIZE];

const cow = (folder: string) => ['--filter=cow', ...file(folder)];
const cache = (folder: string) => ['--filter=cache', ...file(folder), 'cache-on-read=true'];

export const WORKLOADS: readonly Workload[] = [
  serving('serve memory, read 2 GiB', 1.3, memory, copyOut, copyIn),
  fresh('serve memory, write 2 GiB, fresh', 1.3, memory, copyIn),
  serving('serve memory, write 2 GiB, again', 1.2, memory, copyIn, copyIn),
  serving('serve file, read 2 GiB', 1.2, file, copyOut),
  serving(
    'serve file, write 2 GiB',
    1.1,
    f => ['file', target(f)],
    copyIn,
    (_, f) => ['cp', sourceOf(f), target(f)],
  ),
  serving('serve pattern, read 8 GiB', 1.3, () => ['pattern', '8G'], copyOut),
  serving(
    'serve pattern under a filter, read 8 GiB',
    1.3,
    () => ['--filter=offset', 'pattern', '8G'],
    copyOut,
  ),
  serving('serve random, read 2 GiB', 1.5, () => ['random', SIZE], copyOut),
  fio('randread memory', 1, memory, { depth: 1, fill: true }),
  fio('randread memory', 1.5, memory, { depth: 16, fill: true }),
  fio('randread memory', 1.5, memory, { depth: 64, fill: true }),
  fio('randwrite memory', 1.4, memory, { rw: 'randwrite', depth: 16, fill: true }),
  serving('nbd over C pattern, read 2 GiB', 1, chained, copyOut),
  fio('randread nbd over C pattern', 1, chained, { depth: 16 }),
  fio('randread file', 1, file, { depth: 1 }),
  fio('randread file', 1.3, file, { depth: 16 }),
  fio('randread sh', 1, shellScript, { depth: 1 }),
  fio('randread sh', 1, shellScript, { depth: 16 }),
  fio('randread python 64k', 0.7, pythonScript, { depth: 1, block: '64k' }),
  fio('randread python 64k', 1, pythonScript, { depth: 16, block: '64k' }),
  serving('cow over file, read 2 GiB untouched', 1.2, cow, copyOut),
  serving('cow over file, read 2 GiB that was written', 1.2, cow, copyOut, copyIn),
  fio('randwrite cow over file', 1.2, cow, { rw: 'randwrite', depth: 16 }),
  fresh('cache over file, read 2 GiB, cold', 1.2, cache, copyOut),
  serving('cache over file, read 2 GiB, warm', 1.2, cache, copyOut, copyOut),
  fio('randwrite cache over file', 1.2, cache, { rw: 'randwrite', depth: 16 }),
  serving('memory under five filters, read 2 GiB', 1.2, underFive, copyOut, copyIn),
  fio('randread memory under five filters', 1.2, underFive, {
    depth: 16,
    fill: true,
  }),
  fio('randwrite 512 bytes, memory under blocksize', 1, wholeBlocks, {
    rw: 'randwrite',
    depth: 16,
    block: '512',
    fill: true,
  }),
  serving('readahead over 5 ms a read, 256 MiB, a request at a time', 1.5, farAway, uri => [
    'nbdcopy',
    '--connections=1',
    '--requests=1',
    uri,
    'null:',
  ]),
  fresh('xz of 16-MiB blocks, 1 GiB', 1.5, f => ['--filter=xz', 'file', packed(f, 'xz')], copyOut),
  fresh('gzip, 1 GiB', 1, f => ['--filter=gzip', 'file', packed(f, 'gz')], copyOut),
  endOfGzip,
  copying(
    'nbdcopy NBD to null: (C server)',
    1.1,
    'peer',
    ([u]) => [u!, 'null:'],
    () => [memory()],
    true,
  ),
  copying(
    'nbdcopy NBD to file (C server)',
    1.1,
    'peer',
    ([u], f) => [u!, target(f)],
    () => [memory()],
    true,
  ),
  copying(
    'nbdcopy file to NBD (C server)',
    1.1,
    'peer',
    ([u], f) => [sourceOf(f), u!],
    () => [memory()],
    true,
  ),
  copying('nbdcopy file to file', 2, 'none', (_, f) => [sourceOf(f), target(f)]),
  ...SHARED_WORKLOADS,
  {
    ...copying('sparse-random 100G: our nbdcopy, peer: qemu-img, our server', 3, 'none', () => []),
    needs: ['qemu-img'],
    start: async (side, folder) => {
      const server = await Served.start('ours', folder, ['sparse-random', '100G']);
      const convert = ['qemu-img', 'convert', '-n', '-f', 'raw', '-O', 'raw'];
      const words = side === 'ours' ? command('ours', 'nbdcopy') : convert;
      return {
        measure: () => seconds([...words, server.uri, server.uri]),
        stop: () => server.stop(),
      };
    },
  },
  {
    ...copying('nbdcopy --blkhash of a file, 2 GiB, peer: sha256sum', 1, 'none', () => []),
    needs: ['sha256sum'],
    start: async (side, folder) => {
      const hash = [...command('ours', 'nbdcopy'), '--blkhash-file=/dev/null'];
      const words =
        side === 'ours' ? [...hash, sourceOf(folder), 'null:'] : ['sha256sum', sourceOf(folder)];
      return { measure: () => seconds(words) };
    },
  },
  ...TOOL_WORKLOADS,
  ...FUSE_WORKLOADS,
  ...IMAGE_WORKLOADS,
  connections,
  encrypted('read', 1),
  encrypted('write', 1),
  encrypted('read', 4),
  encrypted('write', 4),
  startUp('nbdinfo --size', uri => [...command('ours', 'nbdinfo'), '--size', uri]),
  startUp('nbdkit null --run true', () => [...command('ours', 'nbdkit'), 'null', '--run', 'true']),
  peak('peak memory, a 2 GiB file served', 96, file, copyOut),
  peak('peak memory, xz', 160, f => ['--filter=xz', 'file', packed(f, 'xz')], copyOut),
  peak(
    'peak memory, 1 GiB written to memory 1T',
    1126,
    () => ['memory', '1T'],
    uri => [
      ...command('ours', 'nbdcopy'),
      '--',
      '[',
      ...command('ours', 'nbdkit'),
      'random',
      '1G',
      ']',
      uri,
    ],
  ),
  fromNginx('plain', false),
  fromNginx('TLS', true),
  fromFarNginx,
  xzFromNginx,
  overSsh('read'),
  overSsh('write'),
  fromS3,
];
