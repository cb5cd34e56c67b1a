import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Random } from '../../test/contract/model.ts';
import { join, u16, u32, u64 } from '../../test/peer/bytes.ts';
import { contiguous } from '../block/data.ts';
import type { BlockDevice } from '../block/device.ts';
import { Command, SIMPLE_REPLY_SIZE } from '../protocol/constants.ts';
import { sparseStore } from '../stores/sparse.ts';
import type { Sink, Transport } from '../transport/transport.ts';
import { Export } from './export.ts';
import { Transmission } from './transmission.ts';

const SIZE = 1 << 20;
const TERMS = { structured: false, extended: false, contexts: [] };

/** Keeps what is sent, and whatever a paused receiver does not take. */
class FakeTransport implements Transport {
  readonly peer = { family: 'unix' } as const;
  queued = 0;
  onDrain: (() => void) | undefined;
  eager = false;
  readonly sent: Uint8Array[] = [];
  waiting: Uint8Array[] = [];
  ended = false;
  #sink: Sink | undefined;
  #paused = false;

  attach(sink: Sink): void {
    this.#sink = sink;
  }

  arrive(bytes: Uint8Array): void {
    this.waiting.push(bytes);
    this.#give();
  }

  /** As the system does: never more than there is space for, and nothing once reading has stopped. */
  #give(): void {
    while (!this.#paused && this.waiting.length > 0) {
      const [bytes] = this.waiting as [Uint8Array];
      const space = this.#sink!.space();
      const count = Math.min(space.length, bytes.length);
      space.set(bytes.subarray(0, count));
      this.waiting.shift();
      if (count < bytes.length) this.waiting.unshift(bytes.subarray(count));
      this.#sink!.received(count);
    }
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    this.#give();
  }

  send(views: readonly Uint8Array[]): void {
    for (const view of views) this.sent.push(Uint8Array.from(view));
  }

  async end(): Promise<void> {
    this.ended = true;
  }

  destroy(): void {
    this.ended = true;
  }
}

function begin(transport: Transport, device: BlockDevice, leftover: Uint8Array): Transmission {
  const fail = (message: string) => assert.fail(message);
  const surroundings = { threads: 16, share: () => SIZE, onError: fail };
  const opened = new Export(device, '', false);
  const transmission = new Transmission(transport, opened, TERMS, surroundings, leftover, () => {});
  transmission.start();
  return transmission;
}

const header = (type: number, cookie: number, offset: number, length: number) =>
  join(u32(0x25609513), u16(0), u16(type), u64(BigInt(cookie)), u64(BigInt(offset)), u32(length));

/** A device some of whose answers come later. */
function sometimesLate(store: BlockDevice, random: Random): BlockDevice {
  const later = () => new Promise(resolve => setImmediate(resolve));
  return {
    size: store.size,
    read: (offset, length) =>
      random.below(2) === 0
        ? store.read(offset, length)
        : later().then(() => store.read(offset, length)),
    write: (offset, data) =>
      random.below(2) === 0
        ? store.write!(offset, data)
        : later().then(() => store.write!(offset, Uint8Array.from(data))),
  };
}

test('a connection that goes on elsewhere loses and repeats nothing, wherever it is cut', async () => {
  for (let seed = 1; seed <= 60; seed++) {
    const random = new Random(seed);
    const store = sparseStore(BigInt(SIZE));
    const device = sometimesLate(store, random);
    const expected = Buffer.alloc(SIZE);
    const parts: Buffer[] = [];
    const count = 20;
    // Each writes to a place of its own, so that the order of the answers does not matter.
    for (let cookie = 0; cookie < count; cookie++) {
      const length = 1 + random.below(SIZE / count - 1);
      const offset = cookie * Math.floor(SIZE / count);
      const payload = Buffer.alloc(length, cookie + 1);
      payload.copy(expected, offset);
      parts.push(header(Command.write, cookie, offset, length), payload);
    }
    const stream = Buffer.concat(parts);

    let transport = new FakeTransport();
    const sent: Uint8Array[] = [];
    let transmission = begin(transport, device, Buffer.alloc(0));
    const cut = random.below(stream.length);
    let moved = false;
    for (let at = 0; at < stream.length; ) {
      const end = Math.min(stream.length, at + 1 + random.below(20_000));
      transport.arrive(stream.subarray(at, end));
      at = end;
      if (moved || at < cut) continue;
      moved = true;
      const left = transmission.leave();
      // A payload that has begun is received to its end.
      while ((await Promise.race([left, new Promise(r => setTimeout(r, 5, 'wait'))])) === 'wait') {
        const more = Math.min(stream.length, at + 5000);
        assert.ok(more > at, 'it leaves at the end of a request');
        transport.arrive(stream.subarray(at, more));
        at = more;
      }
      const leftover = await left;
      assert.ok(leftover);
      const before = transport;
      sent.push(...before.sent.splice(0));
      transport = new FakeTransport();
      transmission = begin(transport, device, leftover);
      for (const bytes of before.waiting) transport.arrive(bytes);
      before.waiting = [];
      await new Promise(resolve => setTimeout(resolve, 5));
      assert.deepEqual(before.sent, []);
    }
    transport.arrive(header(Command.disconnect, 99, 0, 0));
    while (!transport.ended) await new Promise(resolve => setImmediate(resolve));
    const replies = Buffer.concat([...sent, ...transport.sent]);
    const cookies = Array.from({ length: replies.length / SIMPLE_REPLY_SIZE }, (_, index) => {
      assert.equal(replies.readUInt32BE(index * SIMPLE_REPLY_SIZE + 4), 0);
      return Number(replies.readBigUInt64BE(index * SIMPLE_REPLY_SIZE + 8));
    });
    cookies.sort((a, b) => a - b);
    assert.deepEqual(
      cookies,
      Array.from({ length: count }, (_, index) => index),
      `seed ${seed}`,
    );
    const content = contiguous(await store.read(0n, SIZE));
    assert.ok(Buffer.from(content).equals(expected), `seed ${seed}`);
  }
});

test('a connection that ends does not go on elsewhere', async () => {
  const transport = new FakeTransport();
  const transmission = begin(
    transport,
    sparseStore(BigInt(SIZE)),
    header(Command.disconnect, 1, 0, 0),
  );
  assert.equal(await transmission.leave(), undefined);
  assert.equal(transport.ended, true);
});

test('a connection whose answers wait is not given away before they are sent', async () => {
  const transport = new FakeTransport();
  transport.queued = 1;
  const transmission = begin(transport, sparseStore(BigInt(SIZE)), header(Command.read, 1, 0, 1));
  let left = false;
  const leaving = transmission.leave().then(leftover => {
    left = true;
    return leftover;
  });
  await new Promise(resolve => setImmediate(resolve));
  assert.equal(left, false);
  transport.queued = 0;
  transport.onDrain!();
  assert.deepEqual(await leaving, new Uint8Array(header(Command.read, 1, 0, 1)));
});
