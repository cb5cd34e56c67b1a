import { constants } from 'node:os';
import { isPromise } from '../block/answer.ts';
import type { BlockDevice } from '../block/device.ts';
import { settle, trimRange, zeroRange } from '../block/emulate.ts';
import { errnoOf } from '../block/errors.ts';
import { readInto } from '../block/read-into.ts';
import { IoUring } from '../posix/io-uring.ts';
import { addressOf } from '../posix/libc.ts';
import { type MappedFile, mapFile } from '../posix/mapping.ts';
import {
  DESCRIPTOR_SIZE,
  type Descriptor,
  type DeviceInfo,
  decodeDescriptor,
  descriptorsAt,
  Io,
  Operation,
  OperationFlag,
  putIo,
} from './wire.ts';

const { EIO, EOPNOTSUPP } = constants.errno;
const PAGE = 4096;

/** A queue of requests of a ublk device, and the disk that answers them. */
export class UblkQueue {
  /** Settles when the kernel has no more of them: the device was stopped. */
  readonly ended: Promise<void>;
  readonly #disk: BlockDevice;
  readonly #onError: (error: unknown) => void;
  readonly #fd: number;
  readonly #index: number;
  readonly #descriptors: MappedFile;
  readonly #ring: IoUring;
  readonly #buffers: Buffer[];
  readonly #addresses: bigint[];
  #left: number;
  #scheduled = false;
  #end: () => void = () => {};

  /**
   * @param fd of the device, which several queues share. @param index which of them this is.
   * @param onError is told of each request that fails.
   * @throws SystemError
   */
  constructor(
    fd: number,
    index: number,
    { depth, longest }: DeviceInfo,
    disk: BlockDevice,
    onError: (error: unknown) => void,
  ) {
    this.#fd = fd;
    this.#index = index;
    this.#disk = disk;
    this.#onError = onError;
    const length = Math.ceil((depth * DESCRIPTOR_SIZE) / PAGE) * PAGE;
    this.#descriptors = mapFile(fd, descriptorsAt(index), length, 'read');
    this.#buffers = Array.from({ length: depth }, () => Buffer.allocUnsafeSlow(longest));
    this.#addresses = this.#buffers.map(addressOf);
    this.#left = depth;
    this.#ring = new IoUring(depth, 64, (tag, result) => this.#came(tag, result));
    this.ended = new Promise(resolve => {
      this.#end = resolve;
    });
  }

  /** Asks for requests, as many as the device has at once. */
  fetch(): void {
    for (const tag of this.#buffers.keys()) this.#put(Io.fetch, tag, 0);
    this.#ring.submit();
  }

  /** Once it has ended. */
  close(): void {
    this.#ring.close();
    this.#descriptors.unmap();
  }

  #put(command: number, tag: number, result: number): void {
    const address = this.#addresses[tag]!;
    putIo(this.#ring.prepare(tag), this.#fd, command, { queue: this.#index, tag, result, address });
  }

  #came(tag: number, result: number): void {
    if (result !== 0) {
      this.#left -= 1;
      if (this.#left === 0) this.#end();
      return;
    }
    const request = decodeDescriptor(this.#descriptors.bytes, tag);
    try {
      const answer = this.#do(request, this.#buffers[tag]!);
      if (!isPromise(answer)) this.#commit(tag, request.length);
      else {
        void answer.then(
          () => this.#commitSoon(tag, request.length),
          error => this.#commitSoon(tag, this.#failed(error)),
        );
      }
    } catch (error) {
      this.#commit(tag, this.#failed(error));
    }
  }

  #failed(error: unknown): number {
    this.#onError(error);
    const number = constants.errno[errnoOf(error) as 'EIO'] ?? EIO;
    return -(errnoOf(error) === 'ENOTSUP' ? EOPNOTSUPP : number);
  }

  /** What is answered while the ring is read goes out when all of it is read. */
  #commit(tag: number, result: number): void {
    this.#put(Io.commitAndFetch, tag, result);
  }

  /** Answers of one turn go out together. */
  #commitSoon(tag: number, result: number): void {
    this.#commit(tag, result);
    if (this.#scheduled) return;
    this.#scheduled = true;
    queueMicrotask(() => {
      this.#scheduled = false;
      this.#ring.submit();
    });
  }

  #do({ operation, flags, offset, length }: Descriptor, buffer: Buffer): void | PromiseLike<void> {
    const disk = this.#disk;
    const fua = (flags & OperationFlag.fua) !== 0;
    switch (operation) {
      case Operation.read:
        return readInto(disk, offset, buffer.subarray(0, length));
      case Operation.write:
        return this.#write(offset, buffer.subarray(0, length), fua);
      case Operation.flush:
        return disk.flush?.();
      case Operation.discard:
        return trimRange(disk, offset, length, { fua });
      case Operation.writeZeroes:
        return zeroRange(disk, offset, length, {
          fua,
          mayTrim: (flags & OperationFlag.noUnmap) === 0,
        });
      default:
        throw Object.assign(new Error(`unknown request ${operation}`), { code: 'EOPNOTSUPP' });
    }
  }

  #write(offset: bigint, data: Buffer, fua: boolean): void | PromiseLike<void> {
    const disk = this.#disk;
    const answer = disk.write!(offset, data, { fua: fua && disk.fua === 'native' });
    if (!fua) return answer;
    return Promise.resolve(answer).then(() => settle(disk, { fua }));
  }
}
