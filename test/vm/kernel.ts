/** A kernel of Debian's with its modules, unpacked beside the repository and not installed. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';

/** The kernel of a Debian 12 that has ublk: the package that stands for its newest release. */
const NEWEST = 'linux-image-6.12-amd64';
const CACHE = process.env.NBDPIPE_VM_CACHE ?? '/var/cache/nbdpipe-vm';

export interface Kernel {
  readonly image: string;
  /** The bytes of a module that can be loaded. */
  module(name: string): Buffer;
}

/** Takes the kernel from the cache, or downloads it once. */
export function debianKernel(): Kernel {
  const name = kernelPackage();
  const folder = join(CACHE, name);
  if (!existsSync(folder)) unpack(name, folder);
  const boot = join(folder, 'boot');
  const image = readdirSync(boot).find(file => file.startsWith('vmlinuz-'))!;
  const modules = readdirSync(join(folder, 'lib/modules'), { recursive: true }) as string[];
  return {
    image: join(boot, image),
    module: wanted => {
      const path = modules.find(file => file.endsWith(`/${wanted}.ko.xz`));
      if (!path) throw new Error(`the kernel has no module ${wanted}`);
      const packed = join(folder, 'lib/modules', path);
      return execFileSync('xz', ['-dc', packed], { maxBuffer: 1 << 26 });
    },
  };
}

function kernelPackage(): string {
  const text = execFileSync('apt-cache', ['depends', NEWEST], { encoding: 'utf8' });
  const name = /Depends: (linux-image-\S+)/.exec(text)?.[1];
  if (!name) throw new Error(`apt knows no ${NEWEST}`);
  return name;
}

function unpack(name: string, folder: string): void {
  const unfinished = `${folder}.${process.pid}`;
  mkdirSync(unfinished, { recursive: true });
  try {
    execFileSync('apt-get', ['download', '-q', name], { cwd: unfinished, stdio: 'ignore' });
    const [file] = readdirSync(unfinished);
    execFileSync('dpkg-deb', ['-x', join(unfinished, file!), unfinished]);
    rmSync(join(unfinished, file!));
    renameSync(unfinished, folder);
  } finally {
    rmSync(unfinished, { recursive: true, force: true });
  }
}
