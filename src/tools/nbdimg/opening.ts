import { dirname, resolve } from 'node:path';
import type { BlockDevice } from '../../block/device.ts';
import { BlockError, errnoOf, messageOf, reasonOf, UsageError } from '../../block/errors.ts';
import { PASS, wrapDevice } from '../../block/wrap.ts';
import { formatNames } from '../../formats/formats.ts';
import { neighboursOf, openImageFile } from '../../formats/open-image.ts';
import type { Files, Image, NamedFile, Neighbours } from '../../images/image.ts';
import { BASE_ALLOCATION } from '../../protocol/constants.ts';
import { isNbdUri, isWebUrl } from '../../protocol/uri.ts';
import { createdFile, filesBeside, namedFile } from '../../stores/file/beside.ts';
import type { Given } from './common.ts';
import { type Described, describedBy, describedByJson } from './described.ts';
import { secretsOf } from './secrets.ts';

/** How an image is wanted. */
export interface Wanted {
  readonly readOnly?: boolean;
  readonly format?: string | undefined;
  /** Its backing files are not opened. */
  readonly alone?: boolean;
  readonly checking?: boolean;
  readonly snapshot?: string | undefined;
  /** The id of the secret that opens it, where the name does not say it. */
  readonly keySecret?: string | undefined;
  /** The word is options, as `--image-opts` says. */
  readonly options?: boolean;
}

/** An image, and what it was called. */
export interface Opened {
  readonly image: Image;
  readonly name: string;
  close(): Promise<void>;
}

/** Opens images by the names of a command line. */
export class Opening {
  readonly #files: Files | undefined;
  readonly #secrets: (id: string | undefined) => Buffer;
  readonly #shared: boolean;

  constructor(given: Given) {
    this.#shared = given.has('share');
    this.#files = given.has('noFollow') ? undefined : FILES;
    this.#secrets = secretsOf(given.all('object'));
  }

  /** The files that a new image may name. */
  neighbours(name: string): Neighbours {
    return neighboursOf({ readOnly: true, files: this.#files }, name);
  }

  /** What gives the secret of an id. */
  secret(id: string | undefined): () => Buffer {
    return () => this.#secrets(id);
  }

  /** @throws UsageError or BlockError: `Could not open 'NAME': ...` */
  async open(name: string, wanted: Wanted = {}): Promise<Opened> {
    try {
      const described = this.#describe(name, wanted);
      const file = await openDescribed(described, wanted.readOnly ?? false);
      const image = await openImageFile(
        isCompressed(described, wanted) ? await decompressed(file) : file,
        this.#options(described, wanted),
      );
      return { image, name: displayName(described), close: async () => image.device.close?.() };
    } catch (error) {
      const words = `Could not open '${name}': ${messageOf(error)}`;
      if (error instanceof UsageError) throw error;
      throw new BlockError(errnoOf(error), words, { cause: error });
    }
  }

  #describe(name: string, { format, options }: Wanted): Described {
    const described = options
      ? describedBy(name)
      : name.startsWith('json:')
        ? describedByJson(name.slice('json:'.length))
        : { file: name };
    const chosen = format ?? described.format;
    if (chosen !== undefined && !formatNames.includes(chosen)) {
      throw new BlockError('EINVAL', `Unknown driver '${chosen}'`);
    }
    return { ...described, ...(chosen !== undefined && { format: chosen }) };
  }

  #options(
    { format, keySecret }: Described,
    { readOnly = false, alone, checking, snapshot, keySecret: other }: Wanted,
  ) {
    return {
      format,
      readOnly,
      alone,
      checking,
      snapshot,
      shared: this.#shared && readOnly,
      files: this.#files,
      secret: () => this.#secrets(keySecret ?? other),
    };
  }
}

const plain = filesBeside({ anywhere: true });

/** What images of this machine name: files anywhere, as whoever calls the program may read them. */
export const FILES: Files = {
  open: async (name, from, readOnly) => {
    try {
      return await plain.open(name, from ?? resolve('.', 'x'), readOnly);
    } catch (error) {
      throw systemError(name, error);
    }
  },
  create: (name, from) => plain.create(name, from ?? resolve('.', 'x')),
};

/**
 * Whether a file is to be decompressed, which its name must say, as what a disk begins with is
 * whatever who has the disk likes.
 */
function isCompressed({ file, format }: Described, { readOnly }: Wanted): boolean {
  const path = isWebUrl(file) ? new URL(file).pathname : file;
  return readOnly === true && format === undefined && /\.(xz|zst|gz|bz2)$/i.test(path);
}

async function decompressed(file: NamedFile): Promise<NamedFile> {
  const { expanded } = await import('../../formats/expanded.ts');
  try {
    return { ...file, device: await expanded(file.device) };
  } catch (error) {
    await file.device.close?.();
    throw error;
  }
}

async function openDescribed({ file }: Described, readOnly: boolean): Promise<NamedFile> {
  if (isNbdUri(file)) return { device: await openServer(file) };
  if (isWebUrl(file)) {
    const { openWebDevice } = await import('../web.ts');
    const { device, close } = await openWebDevice(file);
    return { device: wrapDevice(device, { ...PASS, close }) };
  }
  const name = file.replace(/^file:/, '');
  try {
    const opened = namedFile(name, readOnly);
    if (!readOnly && !opened.device.write) {
      await opened.device.close?.();
      throw new BlockError('EACCES', `Could not open '${name}': Permission denied`);
    }
    return opened;
  } catch (error) {
    throw systemError(name, error);
  }
}

/** The export that an NBD URI names. */
async function openServer(uri: string): Promise<BlockDevice> {
  const { enter, openTarget } = await import('../target.ts');
  const target = await openTarget({ word: uri });
  return enter(
    await target.negotiate({ contexts: [BASE_ALLOCATION], sharedMemory: true }),
    target.exportName,
  );
}

/** What the system says, as it says it to C programs. */
function systemError(name: string, error: unknown): BlockError {
  const { cause } = error as { cause?: unknown };
  if (cause === undefined) return error as BlockError;
  const reason = reasonOf(cause);
  const words = `Could not open '${name}': ${reason[0]!.toUpperCase()}${reason.slice(1)}`;
  return new BlockError(errnoOf(error), words, { cause: error });
}

/** The name of a file as one could type it, also where it looks like a protocol. */
function displayName({ file }: Described): string {
  const name = file.replace(/^file:/, '');
  return name !== file && /^[^/]*:/.test(name) ? `./${name}` : name;
}

/** A new file, or what is to be written over. @throws BlockError */
export async function newFile(name: string): Promise<BlockDevice> {
  if (isNbdUri(name)) return openServer(name);
  const path = name.replace(/^file:/, '');
  try {
    return createdFile(path);
  } catch (error) {
    if (error instanceof BlockError) throw error;
    const reason = reasonOf(error);
    const words = `Could not create '${path}': ${reason[0]!.toUpperCase()}${reason.slice(1)}`;
    throw new BlockError(errnoOf(error), words, { cause: error });
  }
}

/** The name of a file that an image names, from where this program runs. */
export function fullName(name: string, from: string): string {
  if (name.startsWith('/') || /^[a-z][a-z0-9+.-]*:/i.test(name)) return name;
  const folder = dirname(from.replace(/^file:/, ''));
  return folder === '.' && !from.startsWith('./') ? name : `${folder}/${name}`;
}
