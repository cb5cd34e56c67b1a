import type { BlockDevice, Extent, OpenRequest } from '../../block/device.ts';
import { supportOf } from '../../block/support.ts';
import { PASS, type Wrapping } from '../../block/wrap.ts';
import { quote } from './quote.ts';
import type { Fields, Log } from './sink.ts';

/** As the C log filter numbers them. */
const LEVELS = { none: 0, emulated: 1, native: 2 } as const;

const hex = (value: number | bigint) => `0x${value.toString(16)}`;

/** The requests of one connection, numbered from 1. */
export class LoggedConnection {
  readonly #log: Log;
  readonly #connection: number;
  readonly #below: BlockDevice;
  #transactions = 0;

  constructor(log: Log, connection: number, below: BlockDevice) {
    this.#log = log;
    this.#connection = connection;
    this.#below = below;
  }

  /** What the device below offers. */
  connected({ exportName, tls }: OpenRequest): void | Promise<void> {
    const { size, blockSize, rotational, write, flush, trim, extents } = this.#below;
    const { zero, fua, cache, fastZero } = supportOf(this.#below);
    return this.#log.print(
      { act: 'Connect', connection: this.#connection },
      {
        export: quote(exportName),
        tls: Number(tls),
        size: hex(size),
        minsize: hex(blockSize?.minimum ?? 0),
        prefsize: hex(blockSize?.preferred ?? 0),
        maxsize: hex(blockSize?.maximum ?? 0),
        write: Number(write !== undefined),
        flush: Number(flush !== undefined),
        rotational: Number(rotational ?? false),
        trim: Number(trim !== undefined),
        zero: LEVELS[zero],
        fua: LEVELS[fua],
        extents: Number(extents !== undefined),
        cache: LEVELS[cache],
        fast_zero: Number(fastZero !== 'none'),
      },
    );
  }

  /** A line before and after each call. */
  wrapping(): Wrapping {
    const { write, trim, zero, flush, cache, extents } = this.#below;
    const below = this.#below as Required<BlockDevice>;
    return {
      ...PASS,
      read: (offset, length, options) =>
        this.#range('Read', offset, length, {}, () => below.read(offset, length, options)),
      write:
        write &&
        ((offset, data, options) =>
          this.#range('Write', offset, data.length, { fua: Number(options?.fua ?? false) }, () =>
            below.write(offset, data, options),
          )),
      trim:
        trim &&
        ((offset, length, options) =>
          this.#range('Trim', offset, length, { fua: Number(options?.fua ?? false) }, () =>
            below.trim(offset, length, options),
          )),
      zero:
        zero &&
        ((offset, length, options) => {
          const { mayTrim = false, fua = false, fastZero = false } = options ?? {};
          const flags = { trim: Number(mayTrim), fua: Number(fua), fast: Number(fastZero) };
          return this.#range('Zero', offset, length, flags, () =>
            below.zero(offset, length, options),
          );
        }),
      cache:
        cache &&
        ((offset, length, options) =>
          this.#range('Cache', offset, length, {}, () => below.cache(offset, length, options))),
      extents:
        extents &&
        ((offset, length, options) =>
          this.#range(
            'Extents',
            offset,
            length,
            { req_one: Number(options?.one ?? false) },
            () => below.extents(offset, length, options),
            answer => ({ extents: extentList(offset, answer) }),
          )),
      ...(flush && { flush: options => this.#around('Flush', {}, () => below.flush(options)) }),
      close: async () => {
        const subject = { act: 'Disconnect', connection: this.#connection };
        await this.#log.print(subject, { transactions: this.#transactions });
        await this.#below.close?.();
      },
    };
  }

  #range<T>(
    act: string,
    offset: bigint,
    length: number,
    fields: Fields,
    call: () => T | PromiseLike<T>,
    results?: (value: T) => Fields,
  ): T | PromiseLike<T> {
    return this.#around(act, { offset: hex(offset), count: hex(length), ...fields }, call, results);
  }

  #around<T>(
    act: string,
    fields: Fields,
    call: () => T | PromiseLike<T>,
    results?: (value: T) => Fields,
  ): T | PromiseLike<T> {
    this.#transactions += 1;
    const subject = { act, connection: this.#connection, id: this.#transactions };
    return this.#log.around(subject, fields, call, results);
  }
}

/** Offset, length and kind of each run: `(0x0 0x1000 "hole,zero" 0x1000 0x200 "")`. */
function extentList(offset: bigint, extents: readonly Extent[]): string {
  let at = offset;
  const words = extents.map(({ length, hole, zero }) => {
    const kind = [hole && 'hole', zero && 'zero'].filter(Boolean).join(',');
    const run = `${hex(at)} ${hex(length)} "${kind}"`;
    at += BigInt(length);
    return run;
  });
  return `(${words.join(' ')})`;
}
