import assert from 'node:assert/strict';
import { test } from 'node:test';
import { join, u16, u32, u64 } from '../../test/peer/bytes.ts';
import { contiguous } from '../block/data.ts';
import type { BlockDevice } from '../block/device.ts';
import { Command, SIMPLE_REPLY_SIZE } from '../protocol/constants.ts';
import { sparseStore } from '../stores/sparse.ts';
import { Random } from '../testing/model.ts';
import type { Receiver, Transport } from '../transport/transport.ts';
import { Export } from './export.ts';
import { Counters } from './statistics.ts';
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
  readonly waiting: Uint8Array[] = [];
  ended = false;
  #receiver: Receiver | undefined;
  #paused = false;

  attach(receiver: Receiver): void {
    this.#receiver = receiver;
  }

  arrive(bytes: Uint8Array): void {
    this.waiting.push(bytes);
    this.#give();
  }

  /** As the system does: never more than there is space for, and nothing once reading has stopped. */
  #give(): void {
    while (!this.#paused && this.waiting.length > 0) {
      const [bytes] = this.waiting as [Uint8Array];
      const space = this.#receiver!.space();
      const count = Math.min(space.length, bytes.length);
      space.set(bytes.subarray(0, count));
      this.waiting.shift();
      if (count < bytes.length) this.waiting.unshift(bytes.subarray(count));
      this.#receiver!.received(count);
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
  const onError = (error: unknown) => assert.fail(String(error));
  const gone = new AbortController();
  const host = { threads: 16, gone, share: () => SIZE, onError, counters: new Counters() };
  const opened = new Export(device, '', false);
  const finished = () => void transport.end();
  const transmission = new Transmission(transport, opened, TERMS, host, leftover, finished);
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

const COUNT = 20;
const PLACE = Math.floor(SIZE / COUNT);

/** Writes, each to a place of its own, so that the order of the answers does not matter. */
function writes(random: Random): { stream: Buffer; content: Buffer } {
  const content = Buffer.alloc(SIZE);
  const parts: Uint8Array[] = [];
  for (let cookie = 0; cookie < COUNT; cookie++) {
    const payload = Buffer.alloc(1 + random.below(PLACE), cookie + 1);
    const offset = cookie * PLACE;
    payload.copy(content, offset);
    parts.push(header(Command.write, cookie, offset, payload.length), payload);
  }
  return { stream: Buffer.concat(parts), content };
}

const pause = (ms: number) => new Promise<'pause'>(resolve => setTimeout(resolve, ms, 'pause'));

/** The cookies of simple replies, all of them successes, in order. */
function cookiesOf(replies: Buffer): number[] {
  const cookies: number[] = [];
  for (let at = 0; at < replies.length; at += SIMPLE_REPLY_SIZE) {
    assert.equal(replies.readUInt32BE(at + 4), 0);
    cookies.push(Number(replies.readBigUInt64BE(at + 8)));
  }
  return cookies.sort((a, b) => a - b);
}

/** Sends the writes, moves the connection in the middle of them, and looks at what came of it. */
async function cutSomewhere(seed: number): Promise<void> {
  const random = new Random(seed);
  const store = sparseStore(BigInt(SIZE));
  const device = sometimesLate(store, random);
  const { stream, content } = writes(random);
  let sent = 0;
  const sendOn = (transport: FakeTransport) => {
    const end = Math.min(stream.length, sent + 1 + random.below(20_000));
    transport.arrive(stream.subarray(sent, end));
    sent = end;
  };

  const before = new FakeTransport();
  const transmission = begin(before, device, Buffer.alloc(0));
  for (const cut = random.below(stream.length); sent < cut; ) sendOn(before);
  const leaving = transmission.leave();
  // A payload that has begun is received to its end.
  while ((await Promise.race([leaving, pause(5)])) === 'pause') {
    assert.ok(sent < stream.length, 'it leaves at the end of a request');
    sendOn(before);
  }
  const leftover = await leaving;
  assert.ok(leftover);
  const answered = before.sent.length;

  const after = new FakeTransport();
  begin(after, device, leftover);
  for (const bytes of before.waiting) after.arrive(bytes);
  while (sent < stream.length) sendOn(after);
  after.arrive(header(Command.disconnect, COUNT, 0, 0));
  while (!after.ended) await pause(1);
  assert.equal(before.sent.length, answered);
  const cookies = cookiesOf(Buffer.concat([...before.sent, ...after.sent]));
  assert.deepEqual(cookies, [...Array(COUNT).keys()]);
  assert.ok(content.equals(contiguous(await store.read(0n, SIZE))));
}

test('a connection that goes on elsewhere loses and repeats nothing, wherever it is cut', async () => {
  for (let seed = 1; seed <= 60; seed++) {
    await cutSomewhere(seed).catch(error => assert.fail(`seed ${seed}: ${error.message}`));
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
