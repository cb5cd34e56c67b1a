import { existsSync, linkSync } from 'node:fs';
import { join } from 'node:path';
import { BlockError } from '../../block/errors.ts';
import type { MakeDisk } from '../../content/new-disk.ts';
import { withPrivateFolder } from '../../posix/temporary.ts';

/** The disks of a directory: each is made once, and there as a whole or not at all. */
export class Disks {
  readonly #dir: string;
  readonly #make: MakeDisk;
  readonly #debug: (message: string) => void;
  readonly #underWay = new Map<string, Promise<void>>();

  constructor(dir: string, make: MakeDisk, debug: (message: string) => void) {
    this.#dir = dir;
    this.#make = make;
    this.#debug = debug;
  }

  /**
   * Where the disk of that name is, made now if there is none yet.
   * @throws BlockError EIO when it cannot be made.
   */
  async path(name: string): Promise<string> {
    const path = join(this.#dir, name);
    if (existsSync(path)) return path;
    let making = this.#underWay.get(name);
    if (!making) {
      making = this.#create(name, path).finally(() => this.#underWay.delete(name));
      this.#underWay.set(name, making);
    }
    await making;
    return path;
  }

  /** Made in a hidden folder of the same file system, then linked to where it belongs. */
  #create(name: string, path: string): Promise<void> {
    return withPrivateFolder(join(this.#dir, '.ondemand-'), async folder => {
      const disk = join(folder, name);
      const words = await this.#make(disk);
      if (words !== '') this.#debug(words);
      if (!existsSync(disk)) throw new BlockError('EIO', 'the command made no file "$disk"');
      try {
        linkSync(disk, path);
      } catch (error) {
        // Another server was quicker: its disk is as good.
        if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      }
    });
  }
}
