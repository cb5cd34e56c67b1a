import { misplaced, type RequestKind } from '../block/bounds.ts';
import type { BlockDevice, BlockSize, ExtentsOptions, StatusRun } from '../block/device.ts';
import { extentsOf } from '../block/emulate.ts';
import { BlockError } from '../block/errors.ts';
import { type Supports, supportOf } from '../block/support.ts';
import type { Place } from '../posix/mapping.ts';
import {
  AllocationFlag,
  BASE_ALLOCATION,
  Command,
  CommandFlag,
  TransmissionFlag,
} from '../protocol/constants.ts';
import type { RequestHeader } from '../protocol/request.ts';

/** Longest read or write that is accepted, in bytes; what is announced is the portable 32 MiB. */
export const MAX_PAYLOAD = 1 << 26;
const ANNOUNCED_PAYLOAD = 1 << 25;

/** What was agreed in the handshake and shapes the transmission. */
export interface Terms {
  structured: boolean;
  extended: boolean;
  /** Selected metadata contexts, in the order of their ids, from 1. */
  contexts: readonly string[];
  /** Where the memory is that the client shares. */
  shared?: Place | undefined;
}

const WRITING: ReadonlySet<number> = new Set([Command.write, Command.trim, Command.writeZeroes]);

/** What is said of the place of each command that has one. */
const KINDS: Readonly<Record<number, RequestKind>> = {
  [Command.read]: 'read',
  [Command.write]: 'write',
  [Command.trim]: 'trim',
  [Command.cache]: 'cache',
  [Command.writeZeroes]: 'zero',
  [Command.blockStatus]: 'extents',
};

/** Flags that each command may have, as far as they are agreed on. */
const FLAGS: Readonly<Record<number, number>> = {
  [Command.read]: CommandFlag.df | CommandFlag.shared,
  [Command.write]: CommandFlag.payloadLength | CommandFlag.shared,
  [Command.flush]: 0,
  [Command.trim]: 0,
  [Command.cache]: 0,
  [Command.writeZeroes]: CommandFlag.noHole | CommandFlag.fastZero,
  [Command.blockStatus]: CommandFlag.reqOne | CommandFlag.payloadLength,
};

/** A device as one connection sees it: what it may do, and which requests are in order. */
export class Export {
  readonly device: BlockDevice;
  readonly name: string;
  readonly readOnly: boolean;
  readonly #supports: Supports;

  constructor(device: BlockDevice, name: string, readOnly: boolean) {
    this.device = device;
    this.name = name;
    this.readOnly = readOnly || !device.write;
    this.#supports = supportOf(device, this.readOnly);
  }

  /** 'Transmission flags'. */
  transmissionFlags(terms: Terms): number {
    const { device, readOnly } = this;
    const flag = TransmissionFlag;
    let flags = flag.hasFlags;
    if (readOnly) flags |= flag.readOnly;
    if (this.#supports.zero !== 'none') flags |= flag.writeZeroes;
    if (device.rotational) flags |= flag.rotational;
    if (device.multiConn) flags |= flag.multiConn;
    if (this.#supports.cache !== 'none') flags |= flag.cache;
    if (device.flush) flags |= flag.flush;
    if (this.#supports.fua !== 'none') flags |= flag.fua;
    if (!readOnly && device.trim) flags |= flag.trim;
    if (this.#supports.fastZero !== 'none') flags |= flag.fastZero;
    if (terms.structured || terms.extended) flags |= flag.df;
    if (terms.extended && terms.contexts.length > 0) flags |= flag.blockStatusPayload;
    return flags;
  }

  /** The device's constraints, or what is good for any client. */
  blockSize(): BlockSize {
    return this.device.blockSize ?? { minimum: 1, preferred: 4096, maximum: ANNOUNCED_PAYLOAD };
  }

  contextNames(): string[] {
    return [BASE_ALLOCATION, ...(this.device.contexts?.map(({ name }) => name) ?? [])];
  }

  /** The runs of one context; its name is one of `contextNames`. */
  async status(
    context: string,
    offset: bigint,
    length: number,
    options?: ExtentsOptions,
  ): Promise<StatusRun[]> {
    const own = this.device.contexts?.find(({ name }) => name === context);
    if (own) return own.status(offset, length, options);
    if (context !== BASE_ALLOCATION) throw new BlockError('EIO', `there is no ${context} any more`);
    const extents = await extentsOf(this.device, offset, length, options);
    return extents.map(extent => ({
      length: extent.length,
      flags: (extent.hole ? AllocationFlag.hole : 0) | (extent.zero ? AllocationFlag.zero : 0),
    }));
  }

  /** What is wrong with a request, in the words and with the errno for the client. */
  refusal(request: RequestHeader, terms: Terms): BlockError | undefined {
    const { type, flags, offset, length } = request;
    const allowed = FLAGS[type];
    if (allowed === undefined) return new BlockError('EINVAL', `unknown command ${type}`);
    if ((flags & ~(this.#agreedFlags(terms) & (allowed | CommandFlag.fua))) !== 0) {
      return new BlockError('EINVAL', `flags 0x${flags.toString(16)} do not go with the command`);
    }
    if (type === Command.flush) return this.#badFlush(offset, length);
    if (WRITING.has(type) && this.readOnly) {
      return new BlockError('EPERM', 'the export is read-only');
    }
    return this.#unsupported(request, terms) ?? this.#misplaced(type, offset, length);
  }

  /** FUA goes with every command, as clients are known to send it. */
  #agreedFlags(terms: Terms): number {
    let flags: number = CommandFlag.noHole;
    if (terms.structured) flags |= CommandFlag.df | CommandFlag.reqOne;
    if (terms.extended) flags |= CommandFlag.payloadLength;
    if (terms.shared) flags |= CommandFlag.shared;
    if (this.#supports.fua !== 'none') flags |= CommandFlag.fua;
    if (this.#supports.fastZero !== 'none') flags |= CommandFlag.fastZero;
    return flags;
  }

  #badFlush(offset: bigint, length: number): BlockError | undefined {
    if (!this.device.flush) return unsupported('flush');
    if (offset === 0n && length === 0) return undefined;
    return new BlockError('EINVAL', 'a flush is of everything: offset and length must be 0');
  }

  #unsupported({ type, length }: RequestHeader, terms: Terms): BlockError | undefined {
    if (type === Command.trim && !this.device.trim) return unsupported('trim');
    if (type === Command.cache && this.#supports.cache === 'none') return unsupported('cache');
    if (type === Command.writeZeroes && this.#supports.zero === 'none') {
      return unsupported('write zeroes');
    }
    if (type === Command.blockStatus && terms.contexts.length === 0) {
      return new BlockError('EINVAL', 'no metadata context was selected');
    }
    if (type === Command.blockStatus && length === 0) {
      return new BlockError('EINVAL', 'the status of no bytes was asked for');
    }
    if (type === Command.read && length > MAX_PAYLOAD) {
      return new BlockError('EOVERFLOW', `reads of over ${MAX_PAYLOAD} bytes are not served`);
    }
    return undefined;
  }

  #misplaced(type: number, offset: bigint, length: number): BlockError | undefined {
    // The protocol allows requests of nothing.
    if (length === 0 && offset <= this.device.size) return undefined;
    return misplaced(this.device, KINDS[type]!, offset, length);
  }
}

function unsupported(command: string): BlockError {
  return new BlockError('EINVAL', `${command} is not supported by this export`);
}
