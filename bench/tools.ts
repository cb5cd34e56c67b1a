import { resolve } from 'node:path';
import type { Workload } from './kinds.ts';
import { command, run, Served, seconds } from './measure.ts';

/** A command of each side at a server of C's. */
function beside(name: string, goal: number, tool: string, plugin: string[]): Workload {
  return {
    name: `${name} (C server)`,
    unit: 's',
    goal,
    needs: ['nbdkit', tool],
    start: async (side, folder) => {
      const server = await Served.start('peer', folder, plugin);
      return {
        measure: () => seconds([...command(side, tool), server.uri]),
        stop: () => server.stop(),
      };
    },
  };
}

/** The one that the system's libnbd is for. */
const PYTHON = '/usr/bin/python3';
const LIBRARY = resolve(import.meta.dirname, '../dist/index.js');
const READS = 100_000;
const DEPTH = 16;

/** Reads all over a disk of 64 MiB, so many at once; says how many a second. */
const OURS = (uri: string) => `
import { open } from '${LIBRARY}';
const disk = await open('${uri}');
let next = 0;
const begin = performance.now();
const slot = async () => {
  while (next < ${READS}) await disk.read((next++ * 7919 % 16384) * 4096, 4096);
};
await Promise.all(Array.from({ length: ${DEPTH} }, slot));
console.log(${READS} * 1000 / (performance.now() - begin));
await disk.close();
`;

const PYTHONS = `
import sys, time, nbd
h = nbd.NBD()
h.connect_uri(sys.argv[1])
free = [nbd.Buffer(4096) for _ in range(${DEPTH})]
waiting = []
asked = done = 0
begin = time.time()
while done < ${READS}:
    while free and asked < ${READS}:
        buf = free.pop()
        waiting.append((h.aio_pread(buf, asked * 7919 % 16384 * 4096), buf))
        asked += 1
    h.poll(-1)
    left = []
    for cookie, buf in waiting:
        if h.aio_command_completed(cookie):
            free.append(buf)
            done += 1
        else:
            left.append((cookie, buf))
    waiting = left
print(${READS} / (time.time() - begin))
`;

const library: Workload = {
  name: `library: 4-KiB reads, depth ${DEPTH} (C server, peer: python3-libnbd)`,
  unit: '/s',
  goal: 1,
  needs: ['nbdkit', 'nbdsh'],
  start: async (side, folder) => {
    const server = await Served.start('peer', folder, ['memory', '64M']);
    const ours = [process.execPath, '--input-type=module', '-e', OURS(server.uri)];
    const words = side === 'ours' ? ours : [PYTHON, '-c', PYTHONS, server.uri];
    return {
      measure: async () => Number(await run(words)),
      stop: () => server.stop(),
    };
  },
};

export const TOOL_WORKLOADS: readonly Workload[] = [
  beside('nbddump, 16 MiB of random bytes', 1, 'nbddump', ['random', '16M']),
  beside('nbddump, 16 GiB of nothing', 1, 'nbddump', ['null', '16G']),
  library,
];
