import type { Duplex } from 'node:stream';
import type { BlockError } from '../block/errors.ts';
import { type Decoder, putInto, type Sink } from './coding.ts';

/** Decodes by a stream of Node's, piece by piece. @param failure the words for its errors. */
export function streamedDecoder(stream: Duplex, failure: (error: unknown) => BlockError): Decoder {
  const streamed = new Streamed(stream, failure);
  return {
    decode: (input, last, sink) => streamed.decode(input, last, sink),
    close: () => streamed.close(),
  };
}

class Streamed {
  readonly #stream: Duplex;
  readonly #failure: (error: unknown) => BlockError;
  #sink: Sink | undefined;
  #over = false;

  constructor(stream: Duplex, failure: (error: unknown) => BlockError) {
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
    // What comes after the end of the last stream ends this one, and nobody tells who has given it.
    if (this.#over) return;
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
