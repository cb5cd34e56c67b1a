/** Both ends of one side: ours share memory. */
import { resolve } from 'node:path';
import { show } from './fuse.ts';
import { copying, memory, peak, target, type Workload } from './kinds.ts';
import { command, run, Served, seconds } from './measure.ts';

const both = (name: string, goal: number, ...rest: [...Ends, boolean?]) =>
  copying(`both ours, ${name}`, goal, 'same', ...rest);
type Ends = [(uris: readonly string[], folder: string) => string[], (folder: string) => string[][]];

const toItself = (size: string) =>
  both(
    `sparse-random ${size} to itself`,
    2,
    ([u]) => [u!, u!],
    () => [['sparse-random', size]],
  );

/** nbdfuse that starts its server. */
function captive(name: string, measure: (file: string) => Promise<number>): Workload {
  return {
    name: `both ours, nbdfuse over its server, ${name} 1 GiB`,
    unit: 's',
    goal: 2,
    needs: ['nbdfuse', 'nbdkit'],
    start: async (side, folder) => {
      const server = ['--command', ...command(side, 'nbdkit'), '-s', 'memory', '1G'];
      const { file, stop } = await show(side, folder, server);
      await write(file);
      return { measure: () => measure(file), stop };
    },
  };
}

const read = (file: string) => seconds(['dd', `if=${file}`, 'of=/dev/null', 'bs=1M']);
const write = (file: string) =>
  seconds(['dd', 'if=/dev/zero', `of=${file}`, 'bs=1M', 'count=1024', 'conv=notrunc']);

const LIBRARY = resolve(import.meta.dirname, '../dist/index.js');
const COUNT = 50_000;

const program = (uri: string, sharedMemory: boolean, depth: number, work: string) => `
import { open } from '${LIBRARY}';
const disk = await open('${uri}', { sharedMemory: ${sharedMemory} });
const bytes = Buffer.alloc(4096, 1);
let next = 0;
const begin = performance.now();
const slot = async () => {
  while (next < ${COUNT}) {
    const at = (next++ * 7919 % 16384) * 4096;
    await ${work};
  }
};
await Promise.all(Array.from({ length: ${depth} }, slot));
console.log(${COUNT} * 1000 / (performance.now() - begin));
await disk.close();
`;

/** With memory that is shared, beside without; short requests go by the socket either way. */
function library(name: string, depth: number, work: string): Workload {
  return {
    name: `both ours, library, 4-KiB ${name}, depth ${depth} (peer: --no-shared-memory)`,
    unit: '/s',
    goal: 1,
    needs: [],
    start: async (side, folder) => {
      const server = await Served.start('ours', folder, ['memory', '64M']);
      const words = [process.execPath, '--input-type=module', '-e'];
      const text = program(server.uri, side === 'ours', depth, work);
      return {
        measure: async () => Number(await run([...words, text])),
        stop: () => server.stop(),
      };
    },
  };
}

const READ = 'disk.read(at, 4096)';
const WRITE = 'disk.write(at, bytes)';

export const SHARED_WORKLOADS: readonly Workload[] = [
  both(
    'memory to null:',
    2,
    ([u]) => [u!, 'null:'],
    () => [memory()],
    true,
  ),
  both(
    'memory to memory',
    2,
    ([a, b]) => [a!, b!],
    () => [memory(), memory()],
    true,
  ),
  both(
    'memory to a file',
    1.5,
    ([u], f) => [u!, target(f)],
    () => [memory()],
    true,
  ),
  toItself('100G'),
  toItself('1T'),
  captive('read', read),
  captive('write', write),
  library('reads', 1, READ),
  library('reads', 16, READ),
  library('writes', 1, WRITE),
  library('writes', 16, WRITE),
  peak(
    'peak memory of a server, 16 GiB by shared memory',
    96,
    () => ['pattern', '16G'],
    uri => [...command('ours', 'nbdcopy'), uri, 'null:'],
  ),
];
