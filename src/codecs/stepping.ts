import { BlockError } from '../block/errors.ts';
import type { Decoder } from './coding.ts';

/** What a C library did in one call. */
export interface Step {
  readonly read: number;
  readonly written: number;
  /** A stream is complete. */
  readonly ended: boolean;
}

/** A C library that is called with some input and some room, again and again. */
export interface Stepper {
  /** @throws BlockError EIO the input is damaged; ENOMEM it takes too much memory. */
  step(input: Uint8Array, room: Uint8Array, last: boolean): Step;
  /** Another stream begins, after zeroes as padding; absent: there is only one. */
  again?(): void;
  close(): void;
}

/** @param part the input goes on after what fills the sink. */
export function steppingDecoder(stepper: Stepper, part = false): Decoder {
  let between = false;
  let done = 0;
  return {
    decode(input, last, sink) {
      let rest = input;
      for (let full = true; rest.length > 0 || (full && !between); ) {
        if (part && done === sink.most) return;
        if (between) {
          if (!stepper.again) throw new BlockError('EIO', 'more bytes follow its end');
          rest = rest.subarray(leadingZeroes(rest));
          if (rest.length === 0) break;
          stepper.again();
        }
        const room = sink.room();
        const { read, written, ended } = stepper.step(rest, room, last);
        rest = rest.subarray(read);
        sink.filled(written);
        done += written;
        between = ended;
        full = written === room.length;
        if (ended || read > 0 || written > 0) continue;
        if (rest.length > 0) throw new BlockError('EIO', 'it is damaged');
        break;
      }
      if (last && !between) throw new BlockError('EIO', 'it is cut short');
    },
    close: () => stepper.close(),
  };
}

/** How many zeroes come first. */
export function leadingZeroes(bytes: Uint8Array): number {
  let count = 0;
  while (count < bytes.length && bytes[count] === 0) count += 1;
  return count;
}
