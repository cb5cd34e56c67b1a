import { viewsOf } from './data.ts';
import type { Data, WriteBuffer } from './device.ts';

/** The place itself where written bytes are kept: they are there as soon as they are put in. */
class InPlace implements WriteBuffer {
  readonly memory: Data;

  constructor(memory: Data) {
    this.memory = memory;
  }

  done(): void {}

  abandon(): void {}
}

/** Lends the memory in which the bytes of a write stay; others see them at once. */
export function inPlace(memory: Data): WriteBuffer {
  return new InPlace(memory);
}

/** Puts bytes into memory, from `start` bytes after its beginning on. They must fit. */
export function put(memory: Data, start: number, bytes: Uint8Array): void {
  if (memory instanceof Uint8Array) {
    memory.set(bytes, start);
    return;
  }
  let skip = start;
  let done = 0;
  for (const view of viewsOf(memory)) {
    if (skip < view.length && done < bytes.length) {
      const part = bytes.subarray(done, done + view.length - skip);
      view.set(part, skip);
      done += part.length;
    }
    skip = Math.max(0, skip - view.length);
  }
}
