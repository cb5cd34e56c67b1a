import { existsSync, openSync, renameSync, rmSync } from 'node:fs';
import type { BlockDevice, RequestOptions } from '../../block/device.ts';
import { BlockError, errnoOf, messageOf } from '../../block/errors.ts';
import { Spool } from '../../codecs/spool.ts';
import { fileDevice } from '../../stores/file/device.ts';
import { openFile } from '../../stores/file/open.ts';

export interface IndexOptions extends RequestOptions {
  /** Where the index is kept; in a temporary file unless told. */
  readonly path: string | undefined;
  /** Bytes between its places. */
  readonly span: number;
  debug(message: string): void;
}

/** The index of a gzip file: the one that is there, or one that is made. @throws BlockError */
export async function indexOf(file: BlockDevice, options: IndexOptions): Promise<BlockDevice> {
  const { path, debug } = options;
  if (path === undefined) return await make(file, new Spool(file), options);
  if (existsSync(path)) {
    debug(`the index is '${path}'`);
    return fileDevice(openFile(path, true));
  }
  // Whoever looks for it meanwhile must not find a part of it.
  const draft = `${path}.${process.pid}.part`;
  try {
    const index = await make(file, new Spool(file, create(draft)), options);
    renameSync(draft, path);
    return index;
  } catch (error) {
    rmSync(draft, { force: true });
    if (error instanceof BlockError) throw error;
    throw new BlockError(errnoOf(error), `gzip-index-path: ${messageOf(error)}`, { cause: error });
  }
}

async function make(
  file: BlockDevice,
  spool: Spool,
  { span, debug, signal }: IndexOptions,
): Promise<BlockDevice> {
  debug('the index is made: all is decompressed once');
  const coding = { kind: 'gzip-index', span } as const;
  try {
    const encoded = { coding, from: 0, packed: Number(file.size) };
    return spool.device(await spool.decode(encoded, { offset: 0 }, { signal }));
  } catch (error) {
    await spool.close();
    if (!(error instanceof BlockError)) throw error;
    throw new BlockError(error.errno, `gzip: ${error.message}`, { cause: error });
  }
}

function create(path: string): number {
  return openSync(path, 'wx+', 0o644);
}
