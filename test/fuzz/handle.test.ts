/**
 * The handle over disks that fail, are late, lie and never answer: each call ends with a typed error or
 * with what a model of the disk knows.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { BlockDevice, Extent, RequestOptions } from '../../src/block/device.ts';
import { BlockError } from '../../src/block/errors.ts';
import type { Disk } from '../../src/handle/disk.ts';
import { DiskError } from '../../src/handle/errors.ts';
import { open } from '../../src/handle/open.ts';
import { serve } from '../../src/server/server.ts';
import type { Random } from '../../src/testing/model.ts';
import { fuzz } from './fuzz.ts';

const STEPS = 30;
/** Calls at once, each in a part of the disk of its own. */
const LANES = 4;

class GivenUp extends Error {}

/** What a call ends with instead of an answer. */
const FAILURES: readonly (() => never)[] = [
  () => {
    throw new BlockError('ENOSPC', 'full', { offset: 1n });
  },
  () => {
    throw new TypeError('a bug');
  },
  () => {
    throw undefined;
  },
  () => {
    throw 'words';
  },
];

/** No answer before it is given up; a call that nobody can give up fails. */
function never({ signal }: RequestOptions = {}): Promise<never> {
  return new Promise((_, reject) => {
    if (!signal) return reject(new BlockError('ETIMEDOUT', 'silent'));
    const end = () => reject(signal.reason);
    if (signal.aborted) end();
    signal.addEventListener('abort', end);
  });
}

/** Answers that are none. */
const LIES = {
  read: [undefined, 'text', Buffer.alloc(3), [Buffer.alloc(1 << 16)], [null], 5],
  extents: [undefined, [], [{ length: 0, hole: false, zero: false }], [{}], [null], 'x'],
  done: ['text', null, 5],
};

/** A disk of these bytes that misbehaves at random, `rate` times of a hundred. */
function hostile(random: Random, bytes: Buffer, rate: number): BlockDevice {
  const part = (at: bigint, length: number) => bytes.subarray(Number(at), Number(at) + length);
  const act = (
    lies: readonly unknown[],
    options: RequestOptions | undefined,
    work: () => unknown,
  ) => {
    const kind = random.below(100) < rate ? random.below(FAILURES.length + 2) : -1;
    if (kind === FAILURES.length) return never(options);
    // Perhaps it had been done when it failed.
    const done = kind < 0 || kind > FAILURES.length || random.below(2) ? work() : undefined;
    const end = () => {
      if (kind < 0) return done;
      return FAILURES[kind] ? FAILURES[kind]() : lies[random.below(lies.length)];
    };
    return random.below(3) ? end() : new Promise<void>(setImmediate).then(end);
  };
  const clear: BlockDevice['zero'] = (at, length, options) =>
    act(LIES.done, options, () => void part(at, length).fill(0)) as undefined;
  const minimum = [1, 512, 4096][random.below(3)]!;
  return {
    size: BigInt(bytes.length),
    ...(random.below(2) && { blockSize: { minimum, preferred: 4096, maximum: 1 << 14 } }),
    multiConn: true,
    fua: random.below(2) ? 'native' : 'emulated',
    read: (at, length, options) =>
      act(LIES.read, options, () => Buffer.from(part(at, length))) as Buffer,
    write: (at, data, options) =>
      act(LIES.done, options, () => void part(at, data.length).set(data)) as undefined,
    flush: options => act(LIES.done, options, () => {}) as undefined,
    ...(random.below(2) && { zero: clear, trim: clear }),
    ...(random.below(2) && {
      extents: (_at, length, options) =>
        act(LIES.extents, options, () => [{ length, hole: false, zero: false }]) as Extent[],
    }),
  };
}

/** No byte: a call failed that may have changed it. */
const UNKNOWN = -1;

/** What is known of the bytes of the disk. */
class Known {
  readonly #bytes: Int16Array;

  constructor(bytes: Buffer) {
    this.#bytes = Int16Array.from(bytes);
  }

  set(at: number, length: number, data: Uint8Array | number): void {
    if (typeof data === 'number') this.#bytes.fill(data, at, at + length);
    else this.#bytes.set(data, at);
  }

  check(at: number, found: Uint8Array): void {
    for (let index = 0; index < found.length; index++) {
      const known = this.#bytes[at + index]!;
      if (known === UNKNOWN || known === found[index]) continue;
      assert.fail(`byte ${at + index} is ${found[index]} instead of ${known}`);
    }
  }
}

type Call = (at: number, length: number) => Promise<void>;

/** Calls of a disk, each of which keeps what is known up to date. */
function callsOf(disk: Disk, known: Known, random: Random): readonly Call[] {
  const options = () => {
    const giveUp = new AbortController();
    if (random.below(4) === 0) setImmediate(() => giveUp.abort(new GivenUp('enough')));
    return { timeout: 1 + random.below(4), signal: giveUp.signal };
  };
  const fua = () => random.below(4) === 0;
  const changing = async (
    at: number,
    length: number,
    act: () => Promise<void>,
    data: Uint8Array | number,
  ) => {
    try {
      await act();
      known.set(at, length, data);
    } catch (error) {
      // One that was refused has done nothing.
      if (!(error instanceof DiskError && error.layer === 'call')) known.set(at, length, UNKNOWN);
      throw error;
    }
  };
  const whole = (at: number, length: number) => ({ from: at, to: at + length, ...options() });
  return [
    async (at, length) => known.check(at, await disk.read(at, length, options())),
    async (at, length) => {
      const data = random.bytes(length);
      const act = () => disk.write(at, data, { ...options(), fua: fua() });
      await changing(at, length, act, data);
    },
    (at, length) => {
      const act = () => disk.zero(at, length, { ...options(), fua: fua() });
      return changing(at, length, act, 0);
    },
    (at, length) => changing(at, length, () => disk.trim(at, length, options()), UNKNOWN),
    (at, length) => disk.cache(at, length, options()),
    () => disk.flush(options()),
    async (at, length) => {
      let next = BigInt(at);
      for await (const run of disk.extents(whole(at, length))) {
        assert.equal(run.offset, next);
        assert.ok(run.length > 0);
        next += BigInt(run.length);
      }
      assert.equal(next, BigInt(at + length));
    },
    async (at, length) => {
      const chunks: Buffer[] = [];
      for await (const chunk of disk.readable({ ...whole(at, length), chunkSize: 700 })) {
        chunks.push(chunk);
      }
      known.check(at, Buffer.concat(chunks));
    },
    async (at, length) => {
      const data = random.bytes(length);
      const act = async () => {
        const writer = disk.writable({ ...whole(at, length), chunkSize: 700 }).getWriter();
        await writer.write(data);
        await writer.close();
      };
      await changing(at, length, act, data);
    },
    async () => {
      await disk.read(-1, 5);
      assert.fail('a wrong call was answered');
    },
  ];
}

/** It ends well, or with an error of ours or the caller's own. */
async function typed(work: Promise<void>): Promise<void> {
  try {
    await work;
  } catch (error) {
    if (error instanceof GivenUp) return;
    if (error instanceof DiskError && error.code === error.errno) return;
    throw error;
  }
}

fuzz('handles of hostile disks', async random => {
  const bytes = random.bytes(LANES * (1 + random.below(3)) * 4096);
  const known = new Known(bytes);
  const device = hostile(random, bytes, random.below(40));
  const folder = mkdtempSync(join(tmpdir(), 'nbdpipe-fuzz-'));
  const server = random.below(2)
    ? await serve(device, { listen: { path: join(folder, 'socket') } })
    : undefined;
  try {
    const disk = await open(server?.uri ?? device, {
      // What was given up on one connection may be done after what is asked by another.
      connections: server ? 1 : 1 + random.below(2),
      reconnect: random.below(2) > 0 && { retries: 1, delay: 1 },
    });
    const calls = callsOf(disk, known, random);
    const lane = bytes.length / LANES;
    for (let step = 0; step < STEPS; step++) {
      const each = Array.from({ length: LANES }, (_, index) => {
        const from = random.below(lane);
        const length = 1 + random.below(lane - from);
        return typed(calls[random.below(calls.length)]!(index * lane + from, length));
      });
      await Promise.all(each);
    }
    await typed(disk.close({ timeout: 20 }));
  } finally {
    await server?.close({ timeout: 20 });
    rmSync(folder, { recursive: true });
  }
  known.check(0, bytes);
});
