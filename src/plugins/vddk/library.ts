import { existsSync, readdirSync, readFileSync, realpathSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { BlockError, messageOf, UsageError } from '../../block/errors.ts';
import type { Context } from '../../declare/declare.ts';
import { type CFunction, callAsync, koffi, type sharedLibrary } from '../../posix/libc.ts';
import { harmless } from '../../protocol/text.ts';
import { ERRNOS, OK } from './constants.ts';

/** Where the C nbdkit looks unless it is told. */
export const DEFAULT_FOLDER = '/usr/lib64/vmware-vix-disklib';
const VERSIONS = [8, 7, 6];

const REQUIRED = {
  InitEx:
    'uint64_t (uint32_t major, uint32_t minor, void *log, void *warn, void *panic, const char *libdir, const char *config)',
  Exit: 'void ()',
  GetErrorText: 'void *(uint64_t error, void *unused)',
  FreeErrorText: 'void (void *text)',
  ConnectEx:
    'uint64_t (void *params, char readOnly, const char *snapshot, const char *transports, void *connection)',
  Open: 'uint64_t (void *connection, const char *path, uint32_t flags, void *handle)',
  GetTransportMode: 'const char *(void *handle)',
  Close: 'uint64_t (void *handle)',
  Disconnect: 'uint64_t (void *connection)',
  GetInfo: 'uint64_t (void *handle, void *info)',
  FreeInfo: 'void (void *info)',
  Create: 'uint64_t (void *connection, const char *path, void *params, void *progress, void *data)',
  Flush: 'uint64_t (void *handle)',
  ReadAsync:
    'uint64_t (void *handle, uint64_t start, uint64_t sectors, uintptr_t to, void *done, uintptr_t id)',
  WriteAsync:
    'uint64_t (void *handle, uint64_t start, uint64_t sectors, uintptr_t from, void *done, uintptr_t id)',
  Wait: 'uint64_t (void *handle)',
} as const;

/** From VDDK 6.7 on. */
const OPTIONAL = {
  QueryAllocatedBlocks:
    'uint64_t (void *handle, uint64_t start, uint64_t sectors, uint64_t chunk, void *list)',
  FreeBlockList: 'uint64_t (void *list)',
  AllocateConnectParams: 'void *()',
  FreeConnectParams: 'void (void *params)',
} as const;

type Loaded = NonNullable<ReturnType<typeof sharedLibrary>>;
type Call = keyof typeof REQUIRED | keyof typeof OPTIONAL;
/** Calls that there may be very many of. */
const DATA: ReadonlySet<Call> = new Set(['ReadAsync', 'WriteAsync']);
type Value = Parameters<CFunction>[number];
/** How to tell people of something. */
export type Telling = Pick<Context, 'debug' | 'warn' | 'debugFlags'>;

/** A file, and the number in its name. */
interface Found {
  readonly file: string;
  readonly version: number;
}

/** The file of VixDiskLib in a folder of the VDDK, or right there; undefined: there is none. */
export function findLibrary(folder: string): Found | undefined {
  const places = VERSIONS.flatMap(version =>
    ['lib64', '.'].map(under => ({
      file: join(folder, under, `libvixDiskLib.so.${version}`),
      version,
    })),
  );
  return places.find(({ file }) => existsSync(file));
}

/**
 * Variables for a process that uses the library, undefined if they are set: it loads more of its own
 * by their names. Those that it has of what Node runs with may be too old for Node.
 */
export function variablesFor(file: string): Readonly<Record<string, string>> | undefined {
  const { LD_LIBRARY_PATH: path = '', LD_PRELOAD: preload = '' } = process.env;
  const folders = path.split(delimiter).filter(Boolean);
  if (folders.includes(dirname(file))) return undefined;
  const loaded = readFileSync('/proc/self/maps', 'utf8').match(
    /\/\S*\/lib(stdc\+\+|gcc_s)\.so\S*$/gm,
  );
  const first = [...new Set(loaded ?? []), ...preload.split(/[ :]+/).filter(Boolean)];
  return {
    LD_LIBRARY_PATH: [dirname(file), ...folders].join(delimiter),
    ...(first.length > 0 && { LD_PRELOAD: first.join(delimiter) }),
  };
}

/**
 * What the library itself loads later, by their names: by then it must be there, bound to its own
 * functions, as otherwise it would call those of the OpenSSL that is in Node.
 */
const LOADED_LATER =
  /^lib(crypto|ssl|gvmomi|vim-types|vixDiskLibVim|diskLibPlugin)\.so(\.[\d.]+)?$/;

/** VixDiskLib through FFI. Its calls wait, so each is made by another thread. */
export class Library {
  readonly file: string;
  readonly version: number;
  readonly debug: Context['debug'];
  readonly #functions = new Map<Call, CFunction>();
  readonly #tellsData: boolean;

  /** @throws UsageError it cannot be loaded, or lacks what is needed. */
  constructor({ file, version }: Found, { debug, debugFlags }: Telling) {
    this.file = realpathSync(file);
    this.version = version;
    this.debug = debug;
    this.#tellsData = debugFlags.get('datapath') !== 0;
    const ffi = koffi();
    if (!ffi) throw new UsageError('libraries of the system cannot be used here');
    try {
      const library = ffi.load(file, { deep: true });
      for (const [name, prototype] of Object.entries({ ...REQUIRED, ...OPTIONAL })) {
        this.#bind(library, name as Call, prototype);
      }
    } catch (error) {
      throw new UsageError(`${file}: ${messageOf(error)}`);
    }
    for (const name of readdirSync(dirname(file)).filter(each => LOADED_LATER.test(each))) {
      try {
        ffi.load(join(dirname(file), name), { deep: true });
      } catch (error) {
        debug(`${name}: ${messageOf(error)}`);
      }
    }
  }

  #bind(library: Loaded, name: Call, prototype: string): void {
    try {
      const named = prototype.replace('(', ` VixDiskLib_${name}(`);
      this.#functions.set(name, library.func(named) as unknown as CFunction);
    } catch {
      if (name in OPTIONAL) return;
      throw new UsageError(`VixDiskLib_${name} is missing: expected VDDK 6.5 or later`);
    }
  }

  /** The calls that there are, by their full names. */
  get names(): string[] {
    return [...this.#functions.keys()].map(name => `VixDiskLib_${name}`);
  }

  has(name: Call): boolean {
    return this.#functions.has(name);
  }

  /** What a call answers. */
  ask(name: Call, ...values: Value[]): Promise<number> {
    if (this.#tellsData || !DATA.has(name)) this.debug(`VixDiskLib_${name}`);
    return callAsync(`VixDiskLib_${name}`, this.#functions.get(name)!, ...values);
  }

  /** @throws VixError when it answers with an error. */
  async call(name: Call, ...values: Value[]): Promise<void> {
    await this.expect(OK, name, ...values);
  }

  /** @throws VixError when it answers with anything else. */
  async expect(answer: number, name: Call, ...values: Value[]): Promise<void> {
    const code = await this.ask(name, ...values);
    if (code !== answer) throw await this.errorOf(name, code);
  }

  async errorOf(name: Call, code: number | bigint): Promise<VixError> {
    const text = await this.ask('GetErrorText', code, null);
    const words: string = text ? koffi()!.decode(text, 'char', -1) : `error ${code}`;
    if (text) await this.ask('FreeErrorText', text);
    return new VixError(Number(BigInt(code) & 0xffffn), `VixDiskLib_${name}: ${harmless(words)}`);
  }
}

/** A failure of the library. */
export class VixError extends BlockError {
  readonly number: number;

  constructor(number: number, message: string) {
    super(ERRNOS[number] ?? 'EIO', message);
    this.number = number;
  }
}
