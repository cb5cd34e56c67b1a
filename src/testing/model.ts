import assert from 'node:assert/strict';
import { byteLength, contiguous } from '../block/data.ts';
import { type BlockDevice, UNTORN } from '../block/device.ts';
import { BlockError } from '../block/errors.ts';
import { put } from '../block/write-buffer.ts';

/** A generator of numbers that follow from a seed. */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed;
  }

  /** A whole number from 0 to `limit` - 1. */
  below(limit: number): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % limit;
  }

  bytes(length: number): Buffer {
    const bytes = Buffer.alloc(length);
    for (let at = 0; at < length; at++) bytes[at] = this.below(256);
    return bytes;
  }
}

/** A part of a disk, small enough to keep beside it. */
export interface Window {
  readonly offset: bigint;
  readonly length: number;
}

/** The start, the middle and the very end, in multiples of what the device wants and takes at once. */
export function windowsOf(device: BlockDevice, wanted: number): Window[] {
  const length = Math.min(wanted, device.blockSize?.maximum ?? wanted);
  const unit = BigInt(device.blockSize?.minimum ?? 1);
  const whole = device.size - (device.size % unit);
  if (whole === 0n) return [];
  const step = BigInt(length) - (BigInt(length) % unit);
  if (whole <= step * 3n) return [{ offset: 0n, length: Number(whole) }];
  const middle = whole / 2n - ((whole / 2n) % unit);
  return [0n, middle - step / 2n - ((middle - step / 2n) % unit), whole - step].map(offset => ({
    offset,
    length: Number(step),
  }));
}

/** Reads and checks the form of the answer. */
export async function readBytes(
  device: BlockDevice,
  offset: bigint,
  length: number,
  scratch?: Uint8Array,
): Promise<Buffer> {
  const data = await device.read(offset, length, {
    memory: scratch && (count => scratch.subarray(0, count)),
  });
  assert.equal(byteLength(data), length, `read of ${length} at ${offset}: length of the answer`);
  return Buffer.from(contiguous(data));
}

/** A window of a device beside a plain copy of what it must hold. */
export class Model {
  readonly #device: BlockDevice;
  readonly #window: Window;
  readonly #random: Random;
  readonly #unit: number;
  #bytes: Buffer = Buffer.alloc(0);

  constructor(device: BlockDevice, window: Window, random: Random) {
    this.#device = device;
    this.#window = window;
    this.#random = random;
    this.#unit = device.blockSize?.minimum ?? 1;
  }

  async load(): Promise<void> {
    this.#bytes = await readBytes(this.#device, this.#window.offset, this.#window.length);
  }

  /** One random request, and a look at the range that it changed. */
  async step(): Promise<void> {
    const { write, writeBuffer, trim, zero, flush, cache } = this.#device;
    const steps = [this.#read, this.#extents];
    if (write) steps.push(this.#write, this.#write);
    if (writeBuffer) steps.push(this.#borrow, this.#giveBack);
    if (zero) steps.push(this.#zero);
    if (trim) steps.push(this.#trim);
    if (flush) steps.push(async () => await this.#device.flush!());
    if (cache)
      steps.push(async (start, length) => await this.#device.cache!(this.#at(start), length));
    const [start, length] = this.#range();
    await steps[this.#random.below(steps.length)]!.call(this, start, length);
    await this.#compare(start, length);
  }

  /** The whole window holds what it should. */
  async check(): Promise<void> {
    await this.#compare(0, this.#window.length);
  }

  async #read(start: number, length: number): Promise<void> {
    const scratch = Buffer.alloc(length + this.#random.below(64), 0xee);
    const bytes = await readBytes(this.#device, this.#at(start), length, scratch);
    this.#same(start, bytes, 'read with scratch memory');
  }

  async #write(start: number, length: number): Promise<void> {
    const bytes = this.#random.bytes(length);
    bytes.copy(this.#bytes, start);
    const options = this.#random.below(2) ? { fua: this.#fua } : undefined;
    await this.#device.write!(this.#at(start), bytes, options);
    // It was the caller's, who may use it again.
    bytes.fill(0xdd);
  }

  get #fua(): boolean {
    return this.#device.fua === 'native';
  }

  /** A write by way of the device's own memory. */
  async #borrow(start: number, length: number): Promise<void> {
    const buffer = this.#device.writeBuffer!(this.#at(start), length);
    if (buffer === undefined) return;
    assert.equal(byteLength(buffer.memory), length, 'length of the write buffer');
    const bytes = this.#random.bytes(length);
    put(buffer.memory, 0, bytes);
    await buffer.done({ fua: this.#fua && this.#random.below(2) === 1 });
    bytes.copy(this.#bytes, start);
  }

  /** The sender has vanished half way: what there is are whole blocks, old ones or new ones. */
  async #giveBack(start: number, length: number): Promise<void> {
    const buffer = this.#device.writeBuffer!(this.#at(start), length);
    if (buffer === undefined) return;
    const after = Buffer.from(this.#bytes);
    const first = UNTORN - Number(this.#at(start) % BigInt(UNTORN));
    const part = first + Math.floor(this.#random.below(length) / UNTORN) * UNTORN;
    if (part < length) {
      const bytes = this.#random.bytes(part);
      put(buffer.memory, 0, bytes);
      bytes.copy(after, start);
    }
    buffer.abandon();
    const found = await readBytes(this.#device, this.#at(start), length);
    for (let at = 0, end = first; at < length; at = end, end += UNTORN) {
      const block = found.subarray(at, end);
      const either = [this.#bytes, after].map(all => all.subarray(start + at, start + end));
      const whole = either.some(one => one.subarray(0, block.length).equals(block));
      assert.ok(whole, `a block of ${block.length} bytes at ${at} is torn`);
    }
    found.copy(this.#bytes, start);
  }

  async #zero(start: number, length: number): Promise<void> {
    const options = {
      mayTrim: this.#random.below(2) === 1,
      fua: this.#fua && this.#random.below(4) === 0,
      fastZero: this.#device.fastZero === 'native' && this.#random.below(4) === 0,
    };
    try {
      await this.#device.zero!(this.#at(start), length, options);
    } catch (error) {
      const tooSlow = error instanceof BlockError && error.errno === 'ENOTSUP';
      if (options.fastZero && tooSlow) return;
      throw error;
    }
    this.#bytes.fill(0, start, start + length);
  }

  /** It may read as anything afterwards; here: as before or as zeroes. */
  async #trim(start: number, length: number): Promise<void> {
    await this.#device.trim!(this.#at(start), length, { fua: this.#fua });
    const bytes = await readBytes(this.#device, this.#at(start), length);
    for (let at = 0; at < length; at++) {
      const old = this.#bytes[start + at];
      assert.ok(bytes[at] === 0 || bytes[at] === old, `byte ${at} after a trim`);
    }
    bytes.copy(this.#bytes, start);
  }

  async #extents(start: number, length: number): Promise<void> {
    await checkExtents(this.#device, this.#at(start), length);
  }

  async #compare(start: number, length: number): Promise<void> {
    const bytes = await readBytes(this.#device, this.#at(start), length);
    this.#same(start, bytes, 'read');
  }

  #same(start: number, bytes: Buffer, what: string): void {
    const expected = this.#bytes.subarray(start, start + bytes.length);
    if (bytes.equals(expected)) return;
    const at = bytes.findIndex((byte, index) => byte !== expected[index]);
    assert.fail(`${what}: byte at ${this.#at(start + at)} is ${bytes[at]}, not ${expected[at]}`);
  }

  #at(start: number): bigint {
    return this.#window.offset + BigInt(start);
  }

  /** Short ranges, ranges that cover pages, and now and then all of it. */
  #range(): readonly [start: number, length: number] {
    const units = this.#window.length / this.#unit;
    const most = [16, 4096, 100_000, units][this.#random.below(4)]!;
    const length = 1 + this.#random.below(Math.max(1, Math.min(units, most)));
    const start = this.#random.below(units - length + 1);
    return [start * this.#unit, length * this.#unit];
  }
}

/** Follows the runs to the end of the range: their form, and that zero runs read as zeroes. */
export async function checkExtents(
  device: BlockDevice,
  offset: bigint,
  length: number,
): Promise<void> {
  if (!device.extents) return;
  let at = 0;
  while (at < length) {
    const runs = await device.extents(offset + BigInt(at), length - at);
    assert.ok(runs.length > 0, 'at least one run');
    for (const [index, run] of runs.entries()) {
      assert.ok(Number.isSafeInteger(run.length) && run.length > 0, `length ${run.length}`);
      const isLast = index === runs.length - 1;
      assert.ok(at < length && (isLast || at + run.length <= length), 'runs within the range');
      const looked = Math.min(run.length, length - at, 1 << 20);
      if (run.zero) {
        const bytes = await readBytes(device, offset + BigInt(at), looked);
        assert.ok(bytes.equals(Buffer.alloc(looked)), `zero run at ${offset + BigInt(at)}`);
      }
      at += run.length;
    }
  }
}
