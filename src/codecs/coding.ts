/** How bytes are compressed, as a decoding thread is told. Structured cloning can copy it. */
export interface Coding {
  /**
   * xz: one stream with one block; lzma: the old format of one stream; gzip, bzip2, zstd: as many
   * as there are, one after the other; deflate: raw; gzip-index: gzip again, of which the places
   * are told at which one may begin (gzip-index.ts).
   */
  readonly kind: 'xz' | 'lzma' | 'gzip' | 'deflate' | 'bzip2' | 'zstd' | 'gzip-index';
  /** Most bytes for what the decoder keeps for itself; unlimited unless told. */
  readonly memory?: number | undefined;
  /** CRC-32 of what comes out. */
  readonly crc?: number | undefined;
  /** Of deflate: what came out before. */
  readonly dictionary?: Uint8Array | undefined;
  /** Of deflate and zstd: it goes on after what is wanted. */
  readonly part?: boolean | undefined;
  /** Of gzip-index: bytes between two places. */
  readonly span?: number | undefined;
}

/** Where decoded bytes go. */
export interface Sink {
  /** Bytes that it takes, as far as that is known. */
  readonly most: number;
  /** Memory for what comes next: at least one byte. */
  room(): Uint8Array;
  /** So many bytes were put there. @throws BlockError that is too much, or nobody wants them. */
  filled(length: number): void;
}

/** What makes bytes of compressed ones. */
export interface Decoder {
  /**
   * Takes what comes next, all of it.
   * @throws BlockError EIO it is damaged, or `last` and not complete; ENOMEM more than `memory`.
   */
  decode(input: Uint8Array, last: boolean, sink: Sink): void | Promise<void>;
  close(): void;
}

/** Puts bytes that lie elsewhere into a sink. */
export function putInto(sink: Sink, bytes: Uint8Array): void {
  for (let done = 0; done < bytes.length; ) {
    const room = sink.room();
    const part = bytes.subarray(done, done + room.length);
    room.set(part);
    sink.filled(part.length);
    done += part.length;
  }
}
