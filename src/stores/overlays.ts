import type { BlockDevice, DeviceSource } from '../block/device.ts';
import { BlockError, messageOf } from '../block/errors.ts';
import { needPowerOfTwo } from '../block/size.ts';
import { exportKey } from '../block/source.ts';
import { wrapSource } from '../declare/declare.ts';
import { namelessFile } from '../posix/temporary.ts';
import { fileDevice } from './file/device.ts';
import { Overlay } from './overlay.ts';
import { type OverlaidDisk, openOverlayFile } from './overlay-file.ts';

/** A parameter for the size of blocks. */
export const OVERLAY_BLOCK = {
  type: 'size',
  default: '64K',
  minimum: 4096,
  maximum: 1 << 25,
} as const;

/** The overlays of a filter, one for each export, for as long as the server runs. */
export class Overlays {
  readonly #block: number;
  readonly #path: string | undefined;
  readonly #overlays = new Map<string, Promise<Overlay>>();

  /**
   * @param key of the parameter that gives the size of blocks, in bytes.
   * @param path of a file that keeps the overlay from run to run.
   * @throws UsageError the size is no power of two.
   */
  constructor(key: string, block: bigint, path?: string) {
    needPowerOfTwo(key, block);
    this.#block = Number(block);
    this.#path = path;
  }

  /** Devices over those of a source, each with the overlay of its export. */
  over(
    source: DeviceSource,
    wrap: (below: BlockDevice, overlay: Overlay) => BlockDevice | Promise<BlockDevice>,
  ): DeviceSource {
    const over = wrapSource(source, async (below, request) => {
      const name = await exportKey(source, request);
      return wrap(below, await this.#overlayOf(name, below.size));
    });
    const close = async () => {
      await Promise.all([...this.#overlays.values()].map(async overlay => (await overlay).close()));
      await source.close?.();
    };
    return { ...over, close };
  }

  async #overlayOf(name: string, size: bigint): Promise<Overlay> {
    const opening = this.#overlays.get(name) ?? this.#open({ name, size, block: this.#block });
    this.#overlays.set(name, opening);
    const overlay = await opening.catch(error => {
      this.#overlays.delete(name);
      throw error;
    });
    if (overlay.size === size) return overlay;
    throw new BlockError('EIO', `the disk had ${overlay.size} bytes and has ${size} now`);
  }

  async #open(disk: OverlaidDisk): Promise<Overlay> {
    if (this.#path === undefined) return temporaryOverlay(disk.size, disk.block);
    if (this.#overlays.size > 0) {
      const words = `${this.#path}: it is for one export: '${disk.name}' needs one of its own`;
      throw new BlockError('ENOTSUP', words);
    }
    return openOverlayFile(this.#path, disk);
  }
}

/**
 * An overlay that is kept in a file without a name. @param size of the disk, @param block in bytes.
 * @throws BlockError EIO there can be no such file.
 */
export function temporaryOverlay(size: bigint, block: number): Overlay {
  const file = { writable: true, shared: false, blockDevice: false, rotational: undefined };
  const blocks = fileDevice({ ...file, fd: newFile(), size, sparse: false });
  return new Overlay({ blocks }, size, block);
}

function newFile(): number {
  try {
    return namelessFile();
  } catch (error) {
    throw new BlockError('EIO', `no temporary file can be made: ${messageOf(error)}`);
  }
}
