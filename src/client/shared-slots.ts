import type { Memory } from '../block/device.ts';
import { Command, CommandFlag } from '../protocol/constants.ts';
import type { Request } from './pending.ts';
import { SHORTEST_SHARED, type SharedMemory } from './shared-memory.ts';

/** Where in the shared memory the payload of a request is. */
export interface Slot {
  readonly bytes: Uint8Array;
  readonly place: number;
  /** It is given back when the request is answered; otherwise it is the caller's. */
  readonly own: boolean;
}

/** The memory that one connection shares with its server. */
export class SharedSlots {
  readonly #memory: SharedMemory;
  /** Bytes from its beginning on that the server has mapped. */
  readonly #size: number;
  /** Callers read into and write from that memory. */
  readonly #given: boolean;

  constructor(memory: SharedMemory, size: number, given: boolean) {
    this.#memory = memory;
    this.#size = size;
    this.#given = given;
  }

  /** Bytes. */
  get size(): number {
    return this.#size;
  }

  /** @param memory where the answer is to be; it is asked now if it may give shared memory. */
  forRead(request: Request, memory: Memory | undefined): Slot | undefined {
    if (request.length < SHORTEST_SHARED || (request.flags & CommandFlag.df) !== 0)
      return undefined;
    const bytes = this.#given ? memory?.(request.length) : undefined;
    return (bytes && this.#callers(bytes)) ?? this.#take(request.length);
  }

  /** Puts the payload into a slot, unless it is in the shared memory already. */
  forWrite({ type }: Request, payload: Uint8Array): Slot | undefined {
    if (type !== Command.write || payload.length < SHORTEST_SHARED) return undefined;
    const slot = this.#callers(payload) ?? this.#take(payload.length);
    if (slot?.own) slot.bytes.set(payload);
    return slot;
  }

  give({ own, bytes }: Slot): void {
    if (own) this.#memory.give(bytes);
  }

  #callers(bytes: Uint8Array): Slot | undefined {
    const place = this.#memory.placeOf(bytes);
    const there = place !== undefined && place + bytes.length <= this.#size;
    return there ? { bytes, place, own: false } : undefined;
  }

  #take(length: number): Slot | undefined {
    const bytes = this.#memory.take(length);
    if (!bytes) return undefined;
    const place = this.#memory.placeOf(bytes)!;
    if (place + length <= this.#size) return { bytes, place, own: true };
    this.#memory.give(bytes);
    return undefined;
  }
}
