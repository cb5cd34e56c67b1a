import type { BlockDevice } from '../../block/device.ts';
import { PerExport } from '../../block/per-export.ts';
import { passSource } from '../../block/source.ts';
import { defineFilter, wrapSource } from '../../declare/declare.ts';
import { luksDevice, openVolume, type Volume } from '../../formats/luks/device.ts';
import { fileDevice } from '../../stores/file/device.ts';
import { openFile } from '../../stores/file/open.ts';

export default defineFilter({
  name: 'luks',
  description: 'what a volume encrypted with LUKS holds, in the clear',
  parameters: {
    passphrase: { type: 'password', required: true, help: 'What opens the volume' },
    'luks-header': { type: 'path', help: 'File with the header, where the disk has none' },
    'luks-memory': {
      type: 'size',
      default: '1G',
      maximum: 2 ** 32,
      help: 'Most memory for opening the volume',
    },
  },
  create({ passphrase, 'luks-header': header, 'luks-memory': memory }, below) {
    const secret = Buffer.from(passphrase);
    const unlock = async (disk: BlockDevice) => {
      const apart = header === undefined ? undefined : fileDevice(openFile(header, true));
      try {
        const options = { passphrase: secret, header: apart, memory: Number(memory) };
        return await openVolume(disk, options);
      } finally {
        await apart?.close?.();
      }
    };
    const volumes = new PerExport<UnlockedOnce>(below);
    const open = wrapSource(below, async (disk, request) => {
      const volume = await volumes.of(request, () => new UnlockedOnce(unlock));
      return luksDevice(disk, await volume.of(disk));
    });
    return passSource(open, {
      close: async () => {
        secret.fill(0);
        for (const volume of volumes.all()) await volume.wipe();
        await open.close?.();
      },
    });
  },
});

/** A volume that the first connection unlocks for all. */
class UnlockedOnce {
  readonly #unlock: (disk: BlockDevice) => Promise<Volume>;
  #volume: Promise<Volume> | undefined;

  constructor(unlock: (disk: BlockDevice) => Promise<Volume>) {
    this.#unlock = unlock;
  }

  async of(disk: BlockDevice): Promise<Volume> {
    const volume = this.#volume ?? this.#unlock(disk);
    this.#volume = volume;
    try {
      return await volume;
    } catch (error) {
      // The next connection may be luckier.
      if (this.#volume === volume) this.#volume = undefined;
      throw error;
    }
  }

  async wipe(): Promise<void> {
    const volume = await this.#volume?.catch(() => undefined);
    volume?.key.fill(0);
  }
}
