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

/** Reads all over a disk of 64 MiB, so many at once; says how many a second, once V8 has compiled it. */
const OURS = (uri: string) => `
import { open } from '${LIBRARY}';
const disk = await open('${uri}');
async function reads(count) {
  let next = 0;
  const begin = performance.now();
  const slot = async () => {
    while (next < count) await disk.read((next++ * 7919 % 16384) * 4096, 4096);
  };
  await Promise.all(Array.from({ length: ${DEPTH} }, slot));
  return count * 1000 / (performance.now() - begin);
}
await reads(${READS / 2});
console.log(await reads(${READS}));
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

/** There and back, in ms. */
const ROUND_TRIP = 50;
/** What is copied, and what is under way at once, in bytes: more, and the link's own work bounds it. */
const FAR = 256 << 20;
const QUEUE = 8 << 20;

/** Copies all from a server to where it is lost; says how long that took once it was connected. */
const COPY = (uri: string) => `
import { copy, open } from '${LIBRARY}';
const disk = await open('${uri}', { connections: 4 });
const nowhere = { size: disk.size, read: () => {}, write: () => {}, zero: () => {} };
// The threads that C's server starts for these connections take their memory in the first one.
await copy(disk, nowhere, { queueSize: ${QUEUE} });
const begin = performance.now();
await copy(disk, nowhere, { queueSize: ${QUEUE} });
console.log((performance.now() - begin) / 1000);
await disk.close();
`;

/** What all of it must take at least, from the round trips of single requests. */
const BOUND = (uri: string) => `
import { open } from '${LIBRARY}';
const disk = await open('${uri}');
const begin = performance.now();
for (let i = 0; i < 20; i++) await disk.read(i * 512, 512);
console.log(((performance.now() - begin) / 20 / 1000) * ${FAR / QUEUE});
await disk.close();
`;

/** A copy over a link with a delay beside what the requests under way make possible. */
const farAway: Workload = {
  name: `library: copy of 256 MiB, link of ${ROUND_TRIP} ms (C server, peer: the bound)`,
  unit: 's',
  goal: 0.9,
  needs: ['nbdkit'],
  start: async (side, folder) => {
    const far = await startFar(folder);
    const program = side === 'ours' ? COPY(far.uri) : BOUND(far.uri);
    const words = [process.execPath, '--input-type=module', '-e', program];
    return { measure: async () => Number(await run(words)), stop: far.stop };
  },
};

/** The same by the commands, with their start and the negotiation of four connections. */
const farCommand: Workload = {
  name: `nbdcopy, 256 MiB, link of ${ROUND_TRIP} ms (C server)`,
  unit: 's',
  goal: 1,
  needs: ['nbdkit', 'nbdcopy'],
  start: async (side, folder) => {
    const far = await startFar(folder);
    const options = ['--connections=4', `--queue-size=${QUEUE}`];
    const words = [...command(side, 'nbdcopy'), ...options, far.uri, 'null:'];
    return { measure: () => seconds(words), stop: far.stop };
  },
};

/** C's server at the other end of a link. */
async function startFar(folder: string) {
  const server = await Served.start('peer', folder, ['pattern', String(FAR)]);
  const program = resolve(import.meta.dirname, 'delaying.ts');
  const node = [process.execPath, '--import', import.meta.resolve('tsx'), program];
  const target = server.uri.replace(/.*socket=/, '');
  const link = await Served.by(folder, path => [...node, path, target, `${ROUND_TRIP / 2}`]);
  const stop = async () => {
    await link.stop();
    await server.stop();
  };
  return { uri: link.uri, stop };
}

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

/** The same requests by the quickest client that there is. */
const smallRequests: Workload = {
  name: `library: 4-KiB reads, depth ${DEPTH} (C server, peer: C nbdcopy --request-size=4096)`,
  unit: '/s',
  goal: 1,
  needs: ['nbdkit', 'nbdcopy'],
  start: async (side, folder) => {
    const server = await Served.start('peer', folder, ['memory', String(READS * 4096)]);
    const ours = [process.execPath, '--input-type=module', '-e', OURS(server.uri)];
    const options = [
      `--requests=${DEPTH}`,
      '--request-size=4096',
      '--connections=1',
      '--no-extents',
    ];
    const theirs = ['nbdcopy', ...options, server.uri, 'null:'];
    return {
      measure: async () =>
        side === 'ours' ? Number(await run(ours)) : READS / (await seconds(theirs)),
      stop: () => server.stop(),
    };
  },
};

export const TOOL_WORKLOADS: readonly Workload[] = [
  beside('nbddump, 16 MiB of random bytes', 1, 'nbddump', ['random', '16M']),
  beside('nbddump, 16 GiB of nothing', 1, 'nbddump', ['null', '16G']),
  library,
  smallRequests,
  farAway,
  farCommand,
];
