import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { connect } from '../src/client/connect.ts';
import { makeCertificates } from '../test/peer/certificates.ts';
import { command, run, Served, type Side, seconds } from './measure.ts';

/** What one side does again and again, and how it ends. */
export interface Running {
  /** One round, in the workload's unit. */
  measure(): Promise<number>;
  stop?(): Promise<void>;
}

export interface Workload {
  readonly name: string;
  readonly unit: 's' | '/s' | 'MiB';
  /** The ratio to reach; above 1 ours is better. */
  readonly goal: number;
  /** Programs without which there is no peer. */
  readonly needs: readonly string[];
  start(side: Side, folder: string): Promise<Running>;
}

/** Where the benchmark keeps its files: in memory, as the disk is not the point. */
export const FOLDER = '/dev/shm';
export const SIZE = '2G';
const NBDKIT = ['nbdkit', 'nbdcopy'];

/** A file of random bytes that all workloads share; made by `prepare`. */
export const sourceOf = (folder: string) => `${folder}/source`;

/** A file to write to. */
export const target = (folder: string) => `${folder}/target`;

/** Makes the file that is copied and served. */
export async function prepare(folder: string): Promise<void> {
  await run(['sh', '-c', `head -c ${SIZE} /dev/urandom > ${sourceOf(folder)}`]);
  await run(['cp', sourceOf(folder), target(folder)]);
}

/** Serves on one side and runs a command of the peer against it. */
export function serving(
  name: string,
  goal: number,
  plugin: (folder: string, side: Side) => string[],
  client: (uri: string, folder: string) => string[],
  first?: (uri: string, folder: string) => string[],
): Workload {
  return {
    name,
    unit: 's',
    goal,
    needs: NBDKIT,
    start: async (side, folder) => {
      const server = await Served.start(side, folder, plugin(folder, side));
      if (first) await run(first(server.uri, folder));
      return {
        measure: () => seconds(client(server.uri, folder)),
        stop: () => server.stop(),
      };
    },
  };
}

export const copyIn = (uri: string, folder: string) => ['nbdcopy', sourceOf(folder), uri];
export const copyOut = (uri: string) => ['nbdcopy', uri, 'null:'];
export const memory = () => ['memory', SIZE];

/** A fresh server for every round. */
export function fresh(
  name: string,
  goal: number,
  plugin: (folder: string, side: Side) => string[],
  client: (uri: string, folder: string) => string[],
): Workload {
  return {
    name,
    unit: 's',
    goal,
    needs: NBDKIT,
    start: async (side, folder) => ({
      measure: async () => {
        const server = await Served.start(side, folder, plugin(folder, side));
        try {
          return await seconds(client(server.uri, folder));
        } finally {
          await server.stop();
        }
      },
    }),
  };
}

interface FioOptions {
  readonly rw?: 'randread' | 'randwrite';
  readonly depth: number;
  readonly block?: string;
  /** Something is written first. */
  readonly fill?: boolean;
  /** Another server than nbdkit with the plugin. */
  readonly start?: typeof Served.start;
}

/** Random requests, counted by fio. */
export function fio(
  name: string,
  goal: number,
  plugin: (folder: string, side: Side) => string[],
  { rw = 'randread', depth, block = '4k', fill = false, start = Served.start }: FioOptions,
): Workload {
  return {
    name: `fio ${name}, depth ${depth}`,
    unit: '/s',
    goal,
    needs: ['nbdkit', 'fio'],
    start: async (side, folder) => {
      const server = await start(side, folder, plugin(folder, side));
      if (fill) await run(copyIn(server.uri, folder));
      const job = ['--name=job', '--ioengine=nbd', `--uri=${server.uri}`, `--rw=${rw}`];
      const length = ['--size=1G', '--time_based', '--runtime=2', '--ramp_time=0.5'];
      const form = [`--bs=${block}`, `--iodepth=${depth}`, '--output-format=json'];
      return {
        measure: async () => {
          const output = await run(['fio', ...job, ...length, ...form]);
          const [result] = JSON.parse(output.slice(output.indexOf('{'))).jobs;
          return result[rw === 'randread' ? 'read' : 'write'].iops;
        },
        stop: () => server.stop(),
      };
    },
  };
}

/** Both ends encrypt, and are of one side. */
export function encrypted(way: 'read' | 'write', connections: number): Workload {
  return {
    name: `TLS: ${way} 2 GiB, ${connections} connection${connections > 1 ? 's' : ''}`,
    unit: 's',
    goal: 1,
    needs: [...NBDKIT, 'openssl'],
    start: async (side, folder) => {
      const keys = join(folder, `tls-${side}`);
      if (!existsSync(keys)) makeCertificates(keys);
      const tls = ['--tls=require', `--tls-certificates=${keys}`];
      const server = await Served.start(side, folder, [...tls, ...memory()]);
      const uri = `${server.uri.replace('nbd', 'nbds')}&tls-certificates=${keys}`;
      const ends = { read: [uri, 'null:'], write: [sourceOf(folder), uri] };
      const copy = [...command(side, 'nbdcopy'), `--connections=${connections}`];
      await run([...copy, ...ends.write]);
      return {
        measure: () => seconds([...copy, ...ends[way]]),
        stop: () => server.stop(),
      };
    },
  };
}

/** Copies with one side's nbdcopy; the servers are C's, or of the same side. */
export function copying(
  name: string,
  goal: number,
  servers: 'peer' | 'same' | 'none',
  words: (uris: readonly string[], folder: string) => string[],
  plugins: (folder: string) => string[][] = () => [],
  fill = false,
): Workload {
  return {
    name,
    unit: 's',
    goal,
    needs: NBDKIT,
    start: async (side, folder) => {
      const served: Served[] = [];
      for (const plugin of plugins(folder)) {
        served.push(await Served.start(servers === 'peer' ? 'peer' : side, folder, plugin));
      }
      if (fill) await run(copyIn(served[0]!.uri, folder));
      const uris = served.map(({ uri }) => uri);
      return {
        measure: () => seconds([...command(side, 'nbdcopy'), ...words(uris, folder)]),
        stop: async () => {
          for (const server of served) await server.stop();
        },
      };
    },
  };
}

export const connections: Workload = {
  name: '1,000 connections, a 4-KiB read each',
  unit: 's',
  goal: 1,
  needs: ['nbdkit'],
  start: async (side, folder) => {
    const server = await Served.start(side, folder, memory());
    return {
      measure: async () => {
        const begin = performance.now();
        for (let count = 0; count < 1000; count++) {
          const client = await connect(server.uri);
          await client.read(0n, 4096);
          await client.close();
        }
        return (performance.now() - begin) / 1000;
      },
      stop: () => server.stop(),
    };
  },
};

/** A command of ours beside an empty Node program. */
export function startUp(name: string, words: (uri: string) => string[]): Workload {
  return {
    name: `start-up: ${name} (peer: node -e 0)`,
    unit: 's',
    goal: 1 / 1.3,
    needs: [],
    start: async (side, folder) => {
      const server = await Served.start('ours', folder, ['null', '1G']);
      const measured = side === 'ours' ? words(server.uri) : [process.execPath, '-e', '0'];
      return {
        measure: async () => {
          const times: number[] = [];
          for (let round = 0; round < 20; round++) times.push(await seconds(measured));
          return times.sort((a, b) => a - b)[10]!;
        },
        stop: () => server.stop(),
      };
    },
  };
}

/** The server's peak memory beside a limit in MiB. */
export function peak(
  name: string,
  limit: number,
  plugin: (folder: string) => string[],
  client: (uri: string, folder: string) => string[],
): Workload {
  return {
    name: `${name} (peer: the limit)`,
    unit: 'MiB',
    goal: 1,
    needs: ['nbdcopy'],
    start: async (side, folder) => ({
      measure: async () => {
        if (side === 'peer') return limit;
        const server = await Served.start('ours', folder, plugin(folder));
        await run(client(server.uri, folder));
        const bytes = server.peakMemory();
        await server.stop();
        return bytes / 2 ** 20;
      },
    }),
  };
}
