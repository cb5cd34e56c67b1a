/** How calls of a script's functions go to its interpreter and come back; see python-host.py. */
import { contiguous, sliceData, viewsOf } from '../../block/data.ts';
import { BlockError } from '../../block/errors.ts';

const CALL_HEADER = 16;
const ANSWER_HEADER = 20;
const NO_SLOT = 0xffffffff;
/** Most bytes of a complaint. */
const MOST_WORDS = 1 << 17;

/**
 * A call as one run of bytes, a copy of the input among them.
 * @param slot where in the shared memory its data are or will be, instead.
 */
export function encodeCall(
  id: number,
  words: readonly string[],
  { input, slot = NO_SLOT }: { input?: Uint8Array | undefined; slot?: number | undefined },
): Buffer {
  const text = words.map(word => `${word}\0`).join('');
  const length = Buffer.byteLength(text);
  const frame = Buffer.allocUnsafe(CALL_HEADER + length + (input?.length ?? 0));
  frame.writeUInt32LE(id, 0);
  frame.writeUInt32LE(length, 4);
  frame.writeUInt32LE(input?.length ?? 0, 8);
  frame.writeUInt32LE(slot, 12);
  frame.write(text, CALL_HEADER);
  if (input) frame.set(input, CALL_HEADER + length);
  return frame;
}

/** What came from the interpreter: the answer to a call, or a wish of the script. */
export interface Answer {
  readonly id: number;
  readonly status: number;
  readonly output: readonly Uint8Array[];
  readonly errors: string;
  /** Bytes of output that are in the call's slot. */
  readonly shared: number;
}

/** Takes answers out of what comes in, where they lie. */
export class AnswerReader {
  readonly #limitOf: (id: number, status: number) => number;
  readonly #take: (answer: Answer) => void;
  readonly #header = Buffer.alloc(ANSWER_HEADER);
  #headerLength = 0;
  #body: Uint8Array[] = [];
  #missing = 0;

  /** @param limitOf most bytes of output with a call and a status. */
  constructor(limitOf: (id: number, status: number) => number, take: (answer: Answer) => void) {
    this.#limitOf = limitOf;
    this.#take = take;
  }

  /** @throws BlockError EPROTO when it is not an answer, or too long. */
  feed(bytes: Buffer): void {
    let at = 0;
    while (at < bytes.length) {
      if (this.#headerLength < ANSWER_HEADER) {
        const copied = bytes.copy(this.#header, this.#headerLength, at);
        this.#headerLength += copied;
        at += copied;
        if (this.#headerLength < ANSWER_HEADER) return;
        this.#missing = this.#checkedLength();
      } else {
        const part = bytes.subarray(at, at + this.#missing);
        this.#body.push(part);
        this.#missing -= part.length;
        at += part.length;
      }
      if (this.#missing === 0) this.#complete();
    }
  }

  #checkedLength(): number {
    const output = this.#header.readUInt32LE(8);
    const errors = this.#header.readUInt32LE(12);
    const limit = this.#limitOf(this.#header.readUInt32LE(0), this.#header.readUInt32LE(4));
    if (output <= limit && errors <= MOST_WORDS) {
      return output + errors;
    }
    throw new BlockError('EPROTO', `an answer of ${output + errors} bytes is too long`);
  }

  #complete(): void {
    const [id, status, output, errors, shared] = [0, 4, 8, 12, 16].map(at =>
      this.#header.readUInt32LE(at),
    );
    const body = this.#body;
    this.#body = [];
    this.#headerLength = 0;
    const words = contiguous(sliceData(body, output!, errors!));
    this.#take({
      id: id!,
      status: status!,
      output: viewsOf(sliceData(body, 0, output!)),
      errors: Buffer.from(words).toString(),
      shared: shared!,
    });
  }
}
