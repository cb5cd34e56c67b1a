import { viewsOf } from '../block/data.ts';
import type { BlockDevice, Data, Memory, ReadOptions } from '../block/device.ts';
import { BlockError } from '../block/errors.ts';
import { put } from '../block/write-buffer.ts';
import { Mapping, type Place } from '../posix/mapping.ts';
import { CommandFlag } from '../protocol/constants.ts';
import type { RequestHeader } from '../protocol/request.ts';
import type { Piece } from './incoming-write.ts';
import type { Payloads } from './payloads.ts';

/** What does not go together with a payload in shared memory. */
const OTHER_FORMS = CommandFlag.df | CommandFlag.payloadLength;

/**
 * The memory that a client shares. The client may change what is there at any moment, so only devices
 * that never look at bytes read and write there; all others get copies.
 */
export class SharedPayloads {
  readonly #memory: Mapping;
  readonly #payloads: Payloads;

  constructor(place: Place, payloads: Payloads) {
    this.#memory = new Mapping(place);
    this.#payloads = payloads;
  }

  /** Where the payload of a request is. @throws BlockError EINVAL not in the memory. */
  slot({ place, length, flags }: RequestHeader): Buffer {
    if ((flags & OTHER_FORMS) !== 0) {
      throw new BlockError('EINVAL', 'these flags do not go with a payload in shared memory');
    }
    const size = this.#memory.place.length;
    if (place! + length <= size) return this.#memory.view(place!, length);
    const words = `${length} bytes at ${place} are not inside the shared memory of ${size} bytes`;
    throw new BlockError('EINVAL', words);
  }

  /** The options of a read whose answer is to be in the slot. */
  reading({ opaque }: BlockDevice, slot: Buffer, options: ReadOptions): ReadOptions {
    if (!opaque) return options;
    // A part of the answer may be asked for before the one in front of it.
    const memory: Memory = length => (length === slot.length ? slot : this.#payloads.lend(length));
    return { ...options, memory };
  }

  /** A write of what is in the slot. @throws BlockError of the device, or ENOMEM. */
  piece(device: BlockDevice, request: RequestHeader, offset: bigint, slot: Buffer): Piece {
    const buffer = device.writeBuffer?.(offset, slot.length);
    if (buffer) {
      put(buffer.memory, 0, slot);
      return { request, offset, buffer };
    }
    if (device.opaque) return { request, offset, data: slot };
    const payload = this.#payloads.take(slot.length);
    payload.set(slot);
    return { request, offset, data: payload, payload };
  }
}

/** Puts bytes into a slot, from its beginning on, unless they are where they belong. */
export function place(slot: Uint8Array, data: Data): void {
  let at = 0;
  for (const view of viewsOf(data)) {
    const there = view.buffer === slot.buffer && view.byteOffset === slot.byteOffset + at;
    if (!there) slot.set(view, at);
    at += view.length;
  }
}
