import { ending } from '../../block/answer.ts';
import { around } from '../../block/around.ts';
import type { BlockDevice, RequestOptions } from '../../block/device.ts';
import { supportOf } from '../../block/support.ts';
import { Turns } from '../../block/turns.ts';
import { PASS, wrapDevice } from '../../block/wrap.ts';

/** What is known of which connection has to be flushed for the sake of the others. */
export type Tracking =
  /** Each that has read or written since. */
  | 'conn'
  /** All, when any has written since. */
  | 'fast'
  /** All, always. */
  | 'off';

/** How often something was done, and how much of that a flush has dealt with. */
class Tally {
  #done = 0;
  #settled = 0;

  get isDue(): boolean {
    return this.#done !== this.#settled;
  }

  add(): void {
    this.#done += 1;
  }

  /** Call what it answers once all that was done until now is dealt with. */
  settling(): () => void {
    const done = this.#done;
    return () => {
      this.#settled = Math.max(this.#settled, done);
    };
  }
}

class Member {
  readonly reads = new Tally();
  readonly writes = new Tally();
  /** Others flush it, too: it is not closed meanwhile. */
  readonly turns = new Turns();
  readonly device: BlockDevice;

  constructor(device: BlockDevice) {
    this.device = device;
  }

  async flush(options?: RequestOptions): Promise<void> {
    const settled = [this.reads.settling(), this.writes.settling()];
    await this.turns.run(() => this.device.flush!(options));
    for (const settle of settled) settle();
  }
}

/** Connections that may be used as one: a flush of any of them is one of all. */
export class Group {
  readonly #tracking: Tracking;
  readonly #members = new Set<Member>();
  readonly #writes = new Tally();

  constructor(tracking: Tracking) {
    this.#tracking = tracking;
  }

  get isEmpty(): boolean {
    return this.#members.size === 0;
  }

  /** The device as one of the group, which it leaves when it is closed. It has `flush`. */
  join(device: BlockDevice): BlockDevice {
    const member = new Member(device);
    this.#members.add(member);
    const marked = around(
      device,
      ({ kind }, act) => {
        const changes = kind !== 'read' && kind !== 'cache';
        const mark = () => {
          (changes ? member.writes : member.reads).add();
          if (changes) this.#writes.add();
        };
        mark();
        // What was written after a flush had begun is not settled by it.
        return changes ? ending(act, mark) : act();
      },
      ['read', 'cache', 'write', 'trim', 'zero'],
    );
    return wrapDevice(marked, {
      ...PASS,
      multiConn: true,
      // One flush of all is quicker than durable writes and a flush of all.
      fua: supportOf(device).fua === 'none' ? 'none' : 'emulated',
      flush: options => this.#flush(options),
      close: () => this.#leave(member),
    });
  }

  async #flush(options?: RequestOptions): Promise<void> {
    const settle = this.#writes.settling();
    const due = [...this.#members].filter(member => this.#isDue(member));
    await Promise.all(due.map(member => member.flush(options)));
    settle();
  }

  #isDue({ reads, writes }: Member): boolean {
    if (this.#tracking === 'off') return true;
    if (this.#tracking === 'fast') return this.#writes.isDue;
    return writes.isDue || (reads.isDue && this.#writes.isDue);
  }

  /** What it has written is made durable first: nobody can flush it afterwards. */
  async #leave(member: Member): Promise<void> {
    this.#members.delete(member);
    try {
      if (member.writes.isDue) await member.flush();
    } finally {
      await member.turns.alone(() => member.device.close?.());
    }
  }
}
