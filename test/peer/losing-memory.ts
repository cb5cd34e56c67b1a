import { BlockError } from '../../src/block/errors.ts';
import type { Random } from '../../src/testing/model.ts';
import { GrowingMemory } from './images.ts';

const SECTOR = 512;

/**
 * A file in memory that a loss of power leaves with any part of what was not flushed: of each sector,
 * whichever state it had since, as writes reach a disk in any order. No sector is torn.
 */
export class LosingMemory extends GrowingMemory {
  /** Of sectors that were written since the last flush: how they were then, and each time after. */
  readonly #states = new Map<number, Buffer[]>();
  hasPower = true;
  /** Nothing was written behind it. */
  #end: number;

  constructor(bytes: Buffer) {
    super(bytes);
    this.#end = bytes.length;
  }

  /** Takes some turns: others act while it is under way. */
  override async write(offset: bigint, data: Uint8Array): Promise<void> {
    this.#checkPower();
    this.#put(offset, data);
    for (let turns = data.length % 7; turns > 0; turns--) await null;
  }

  #put(offset: bigint, data: Uint8Array): void {
    const first = Number(offset) - (Number(offset) % SECTOR);
    const end = Number(offset) + data.length;
    for (let at = first; at < end; at += SECTOR) {
      if (!this.#states.has(at)) this.#states.set(at, [this.#sector(at)]);
    }
    super.write(offset, data);
    this.#end = Math.max(this.#end, end);
    for (let at = first; at < end; at += SECTOR) this.#states.get(at)!.push(this.#sector(at));
  }

  #sector(at: number): Buffer {
    return Buffer.from(this.bytes.subarray(at, at + SECTOR));
  }

  override async flush(): Promise<void> {
    this.#checkPower();
    this.#states.clear();
    for (let turns = 5; turns > 0; turns--) await null;
  }

  #checkPower(): void {
    if (!this.hasPower) throw new BlockError('EIO', 'there is no power');
  }

  /** From now on, until `hasPower` is set again, nothing reaches the file. */
  losePower(random: Random): void {
    this.hasPower = false;
    // That it was made longer may be lost, too.
    if (random.below(8) > 0) this.resize(BigInt(this.#end));
    const share = random.below(101);
    for (const [at, states] of this.#states) {
      const lost = random.below(100) >= share;
      states[lost ? 0 : random.below(states.length)]!.copy(this.bytes, at);
    }
    this.#states.clear();
  }
}
