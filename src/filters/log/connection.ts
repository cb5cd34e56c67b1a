import type { BlockDevice, Extent, OpenRequest } from '../../block/device.ts';
import { PASS, type Wrapping } from '../../block/wrap.ts';
import { quote } from './quote.ts';
import type { Fields, Log } from './sink.ts';

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

  /** What the device below offers: 0 no, 1 emulated by the server, 2 its own. */
  connected({ exportName, tls }: OpenRequest): void | Promise<void> {
    const { size, blockSize, rotational, write, flush, trim, zero, fua, extents, cache, fastZero } =
      this.#below;
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
        zero: write ? (zero ? 2 : 1) : 0,
        fua: write ? (fua ? 2 : Number(flush !== undefined)) : 0,
        extents: Number(extents !== undefined),
        cache: cache ? 2 : 0,
        fast_zero: Number(fastZero ?? false),
      },
    );
  }

  /** A line before and after each call; landings are refused, as nobody would see them. */
  wrapping(): Wrapping {
    const { write, trim, zero, flush, cache, extents } = this.#below;
    const below = this.#below as Required<BlockDevice>;
    return {
      ...PASS,
      landing: undefined,
      read: (offset, length, memory) =>
        this.#range('Read', offset, length, {}, () => below.read(offset, length, memory)),
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
        ((offset, length) =>
          this.#range('Cache', offset, length, {}, () => below.cache(offset, length))),
      extents:
        extents &&
        ((offset, length) =>
          this.#range(
            'Extents',
            offset,
            length,
            { req_one: 0 },
            () => below.extents(offset, length),
            answer => ({ extents: extentList(offset, answer) }),
          )),
      ...(flush && { flush: () => this.#around('Flush', {}, () => below.flush()) }),
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
    call: () => T | Promise<T>,
    results?: (value: T) => Fields,
  ): T | Promise<T> {
    return this.#around(act, { offset: hex(offset), count: hex(length), ...fields }, call, results);
  }

  #around<T>(
    act: string,
    fields: Fields,
    call: () => T | Promise<T>,
    results?: (value: T) => Fields,
  ): T | Promise<T> {
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
