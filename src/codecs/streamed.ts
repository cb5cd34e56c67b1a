import type { Duplex } from 'node:stream';
import { isZero } from '../block/data.ts';
import { BlockError } from '../block/errors.ts';
import { type Decoder, putInto, type Sink } from './coding.ts';

/** A stream, which may say how many bytes it has taken of those that were written to it. */
type Counting = Duplex & { readonly bytesWritten?: number };

/** Decodes by a stream of Node's, piece by piece. @param failure the words for its errors. */
export function streamedDecoder(
  stream: Counting,
  failure: (error: unknown) => BlockError,
): Decoder {
  const streamed = new Streamed(stream, failure);
  return {
    decode: (input, last, sink) => streamed.decode(input, last, sink),
    close: () => streamed.close(),
  };
}

class Streamed {
  readonly #stream: Counting;
  readonly #failure: (error: unknown) => BlockError;
  #sink: Sink | undefined;
  #given = 0;
  #over = false;

  constructor(stream: Counting, failure: (error: unknown) => BlockError) {
    this.#stream = stream;
    this.#failure = failure;
    stream.on('data', (bytes: Uint8Array) => {
      try {
        putInto(this.#sink!, bytes);
      } catch (error) {
        stream.destroy(error as Error);
      }
    });
  }

  async decode(input: Uint8Array, last: boolean, sink: Sink): Promise<void> {
    const stream = this.#stream;
    this.#sink = sink;
    const before = this.#given;
    this.#given += input.length;
    if (!this.#over) await this.#take(input, last);
    const { bytesWritten: taken = this.#given } = stream;
    // Node passes over what follows the end; only padding may be lost.
    if (this.#over && !isZero(input.subarray(Math.max(0, taken - before)))) {
      throw new BlockError('EIO', 'more bytes follow its end');
    }
  }

  async #take(input: Uint8Array, last: boolean): Promise<void> {
    const stream = this.#stream;
    await new Promise<void>((resolve, reject) => {
      const settle = (act: () => void) => {
        stream.off('end', ended).off('error', failed);
        act();
      };
      const ended = () => {
        this.#over = true;
        settle(resolve);
      };
      const failed = (error: unknown) => settle(() => reject(this.#failure(error)));
      stream.on('end', ended).on('error', failed);
      if (last) stream.end(input);
      else stream.write(input, error => error ?? settle(resolve));
    });
  }

  close(): void {
    this.#stream.on('error', () => {});
    this.#stream.destroy();
  }
}
