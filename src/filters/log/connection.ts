import { around, type Call } from '../../block/around.ts';
import type { BlockDevice, Extent, OpenRequest } from '../../block/device.ts';
import { supportOf } from '../../block/support.ts';
import { PASS, wrapDevice } from '../../block/wrap.ts';
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

  /** The device below, with a line before and after each call, and one when it is closed. */
  logged(): BlockDevice {
    const watched = around(this.#below, (call, act) => {
      this.#transactions += 1;
      const name = `${call.kind[0]!.toUpperCase()}${call.kind.slice(1)}`;
      const subject = { act: name, connection: this.#connection, id: this.#transactions };
      return this.#log.around(subject, fieldsOf(call), act, answer => resultsOf(call, answer));
    });
    return wrapDevice(watched, {
      ...PASS,
      close: async () => {
        const subject = { act: 'Disconnect', connection: this.#connection };
        await this.#log.print(subject, { transactions: this.#transactions });
        await this.#below.close?.();
      },
    });
  }
}

function fieldsOf({ kind, offset, length, context, options = {} }: Call): Fields {
  if (kind === 'flush') return {};
  const place = { offset: hex(offset), count: hex(length) };
  const flag = (value: boolean | undefined) => Number(value ?? false);
  const { fua, mayTrim, fastZero, one } = options;
  switch (kind) {
    case 'write':
    case 'trim':
      return { ...place, fua: flag(fua) };
    case 'zero':
      return { ...place, trim: flag(mayTrim), fua: flag(fua), fast: flag(fastZero) };
    case 'extents':
      return { ...place, ...(context && { context: quote(context) }), req_one: flag(one) };
    default:
      return place;
  }
}

/** What is told of an answer. */
function resultsOf({ kind, context, offset }: Call, answer: unknown): Fields {
  if (kind !== 'extents' || context !== undefined) return {};
  return { extents: extentList(offset, answer as Extent[]) };
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
