import { closeSync, fstatSync, ftruncateSync, statfsSync } from 'node:fs';
import { BlockError, messageOf } from '../block/errors.ts';
import { koffi, lastError, libcFunction } from './libc.ts';
import { DONTNEED, HUGEPAGE, LARGE_PAGE, madvise, NOHUGEPAGE } from './madvise.ts';

const PROT_READ = 1;
const PROT_READ_WRITE = 3;
/** MAP_PRIVATE, MAP_ANONYMOUS and MAP_NORESERVE. */
const FLAGS = 0x2 | 0x20 | 0x4000;
const MAP_SHARED = 1;
const MAP_POPULATE = 0x8000;
const MFD_CLOEXEC = 1;
const MFD_ALLOW_SEALING = 2;
const F_ADD_SEALS = 1033;
const F_GET_SEALS = 1034;
const F_SEAL_SHRINK = 2;
/** F_SEAL_SEAL, F_SEAL_SHRINK and F_SEAL_GROW: the size stays as it is. */
const SEALS = 1 | F_SEAL_SHRINK | 4;
/** What statfs says of memory with ordinary pages. */
const TMPFS = 0x01021994;

/** Node 20 allows buffers of up to 4 GiB. */
const VIEW = 2 ** 30;

const mmap = libcFunction(
  'int64_t mmap(uintptr_t address, size_t length, int protection, int flags, int fd, int64_t offset)',
);
const memfdCreate = libcFunction('int memfd_create(const char *name, unsigned int flags)');
const fcntl = libcFunction('int fcntl(int fd, int command, int argument)');
const munmap = libcFunction('int munmap(uintptr_t address, size_t length)');

/** Where a mapping is: all that another thread needs to use it too. */
export interface Place {
  readonly address: number;
  /** Bytes. */
  readonly length: number;
}

/** Mappings whose views may still be used, by what the views lie in. */
const owners = new WeakMap<ArrayBufferLike, Mapping>();
const unmap = new FinalizationRegistry(({ address, length }: Place) => {
  munmap()?.(address, length);
});

/**
 * Zeroed memory that several threads can use. It begins at a large page, and takes space only where
 * it was written to.
 */
export class Mapping {
  readonly place: Place;
  readonly #views: Buffer[] = [];

  /** Memory that another thread has mapped and keeps. */
  constructor(place: Place) {
    this.place = place;
  }

  /**
   * Maps memory, for as long as this or a view of it is used in this thread.
   * @param length bytes; more than there is memory is allowed.
   * @returns undefined where the system cannot, or does not let us have so much.
   */
  static create(length: number): Mapping | undefined {
    const whole = length + LARGE_PAGE;
    const address = mmap()?.(0, whole, PROT_READ_WRITE, FLAGS, -1, 0) ?? -1;
    if (address === -1) return undefined;
    const mapping = new Mapping({ address: alignUp(address), length });
    unmap.register(mapping, { address, length: whole });
    return mapping;
  }

  /**
   * Maps memory that another process can map too, by its descriptor, for as long as this or a view of
   * it is used here. The descriptor is the caller's to close.
   * @returns undefined where the system cannot.
   */
  static shared(length: number): { mapping: Mapping; fd: number } | undefined {
    const fd = memfdCreate()?.('nbdpipe', MFD_CLOEXEC | MFD_ALLOW_SEALING) ?? -1;
    if (fd === -1) return undefined;
    ftruncateSync(fd, length);
    fcntl()!(fd, F_ADD_SEALS, SEALS);
    const mapping = Mapping.#of(fd, length);
    if (mapping) return { mapping, fd };
    closeSync(fd);
    return undefined;
  }

  /**
   * Maps memory that another process has made: only if it can never become shorter, so that whoever
   * uses it here meets no SIGBUS. The descriptor is the caller's to close.
   * @throws BlockError EINVAL what is wrong with it.
   */
  static given(fd: number, length: number): Mapping {
    const refuse = (why: string) => new BlockError('EINVAL', `the shared memory ${why}`);
    const seals = fcntl()?.(fd, F_GET_SEALS, 0) ?? -1;
    if (seals === -1) throw refuse('is none that can be sealed: expected a memfd');
    if ((seals & F_SEAL_SHRINK) === 0) throw refuse('is not sealed against shrinking');
    // Pages of hugetlbfs may be missing when they are touched, sealed or not.
    if (statfsSync(`/proc/self/fd/${fd}`).type !== TMPFS) throw refuse('has no ordinary pages');
    const { size } = fstatSync(fd);
    if (size < length) throw refuse(`has ${size} bytes: expected ${length}`);
    const mapping = Mapping.#of(fd, length);
    if (!mapping) throw refuse(`cannot be mapped: ${messageOf(lastError('mmap'))}`);
    return mapping;
  }

  static #of(fd: number, length: number): Mapping | undefined {
    const address = mmap()!(0, length, PROT_READ_WRITE, MAP_SHARED, fd, 0);
    if (address === -1) return undefined;
    const mapping = new Mapping({ address, length });
    unmap.register(mapping, mapping.place, mapping);
    return mapping;
  }

  /** Gives memory that is shared with another process back now: nothing may use a view any more. */
  unmap(): void {
    unmap.unregister(this);
    this.#views.length = 0;
    munmap()!(this.place.address, this.place.length);
  }

  /** The bytes from `start` on, `length` of them or fewer. */
  view(start: number, length: number): Buffer {
    const at = start % VIEW;
    const index = (start - at) / VIEW;
    this.#views[index] ??= this.#open(index * VIEW);
    return this.#views[index].subarray(at, at + length);
  }

  #open(start: number): Buffer {
    const { address, length } = this.place;
    const bytes: ArrayBuffer = koffi()!.view(address + start, Math.min(VIEW, length - start));
    owners.set(bytes, this);
    return Buffer.from(bytes);
  }

  /** Asks for a large page, or for small ones, where nothing was written yet. */
  prefer(pages: 'large' | 'small', start: number, length: number): void {
    this.#advise(pages === 'large' ? HUGEPAGE : NOHUGEPAGE, start, length);
  }

  /** Gives memory back: what is there reads as zeroes. Both are multiples of 4 KiB. */
  discard(start: number, length: number): void {
    this.#advise(DONTNEED, start, length);
  }

  #advise(advice: number, start: number, length: number): void {
    madvise()?.(this.place.address + start, length, advice);
  }
}

const alignUp = (address: number) => Math.ceil(address / LARGE_PAGE) * LARGE_PAGE;

/** A part of a file or device as memory, until it is unmapped: nothing may use the bytes then. */
export interface MappedFile {
  readonly bytes: Buffer;
  unmap(): void;
}

/** @throws SystemError */
export function mapFile(
  fd: number,
  offset: number,
  length: number,
  access: 'read' | 'write',
): MappedFile {
  const protection = access === 'read' ? PROT_READ : PROT_READ_WRITE;
  const address = mmap()!(0, length, protection, MAP_SHARED | MAP_POPULATE, fd, offset);
  if (address === -1) throw lastError('mmap');
  const bytes: ArrayBuffer = koffi()!.view(address, length);
  return { bytes: Buffer.from(bytes), unmap: () => void munmap()!(address, length) };
}
