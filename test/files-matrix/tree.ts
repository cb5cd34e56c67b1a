/** The tree of a whole system, and what such a tree seldom has. */
import { existsSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import process from 'node:process';
import { runWell } from '../interop/programs.ts';

const CACHE = process.env.NBDPIPE_MATRIX_CACHE ?? '/var/cache/nbdpipe-files';
const MIRROR = 'http://deb.debian.org/debian';
const LONG = { timeout: 900_000 };

/** A script that ends at its first failure. */
export const shell = (script: string): Promise<string> =>
  runWell('bash', ['-euo', 'pipefail', '-c', script], LONG);

/** The smallest Debian 12, as debootstrap makes it; made once. */
export async function debian(): Promise<string> {
  const folder = join(CACHE, 'debian');
  if (existsSync(folder)) return folder;
  const unfinished = `${folder}.${process.pid}`;
  try {
    await runWell('debootstrap', ['--variant=minbase', 'bookworm', unfinished, MIRROR], LONG);
    renameSync(unfinished, folder);
  } finally {
    rmSync(unfinished, { recursive: true, force: true });
  }
  return folder;
}

/** Extended attributes of one file: how many, and bytes of the largest. */
export interface Attributes {
  readonly count: number;
  readonly largest: number;
}

/** Files of every kind and shape, for where Linux has mounted it. */
export async function addOddities(folder: string, attributes?: Attributes): Promise<void> {
  await shell(`
    mkdir ${folder}/odd; cd ${folder}/odd
    mkfifo pipe; mknod null c 1 3; mknod large b 259 100000
    touch $'byte-\\xe9' $'line\\nend' 'a, "b"' "$(printf 'ü%.0s' {1..120})"
    head -c 5000 /dev/urandom > linked; ln linked again; ln linked ../usr/again
    truncate -s 200M holes; printf middle | dd of=holes bs=1 seek=100000000 conv=notrunc status=none
    perl -e 'open F, ">pieces"; for (1..2000) { seek F, 8192 * $_, 0; printf F "%4096d", $_ }'
    ln -s "$(printf './%.0s' {1..300})linked" long-link; ln -s nowhere broken; ln -s . self
    touch -d @-5 before; touch -d @1.987654321 nanoseconds; touch -h -d @99 broken
    install -m 4755 -o 3000000 -g 70000 /dev/null su; mkdir -m 1777 sticky
    mkdir many; (cd many; seq -f 'a-file-with-a-name-%06g' 10000 | xargs touch)`);
  if (!attributes) return;
  const { count, largest } = attributes;
  await shell(`
    cd ${folder}/odd; touch short several long; mkdir acl
    setfattr -n user.comment -v 'a word' short; setfattr -n user.empty short
    setcap cap_net_raw+ep short; setfattr -n trusted.seen -v 0x00ff short
    perl -e 'print "# file: several\\n"; print "user.$_-", "n" x ($_ % 200), "=\\"$_", "v" x ($_ % 90), "\\"\\n" for 1..${count}' |
      setfattr --restore=-
    perl -e 'print "# file: long\\nuser.value=\\"", "v" x ${largest}, "\\"\\n"' | setfattr --restore=-
    setfacl -m u:12:rw,g:34:r,m:rwx,d:u:56:rx acl; setfattr -h -n trusted.link -v 1 self`);
}

/** As a disk of Windows has them. */
export async function fillAsWindows(folder: string): Promise<void> {
  const system = `${folder}/Windows/System32`;
  await shell(`
    mkdir -p ${system}/config ${system}/drivers/etc '${folder}/Program Files/Common Files' ${folder}/Users/Me/Desktop
    cp -r --preserve=timestamps /usr/share/zoneinfo '${folder}/Program Files/'
    cp --preserve=timestamps /usr/bin/*sh /usr/bin/x* ${system}
    printf '# hosts\\r\\n' > ${system}/drivers/etc/hosts; printf x > ${system}/config/SOFTWARE
    cd ${folder}/Users/Me; printf 1 > 'Übung (1).txt'; printf 2 > '日本語 😀.txt'; printf 3 > "$(printf n%.0s {1..250})"
    head -c 3000000 /dev/urandom > Desktop/picture.jpg; seq 300000 > compressible
    truncate -s 200M holes; printf middle | dd of=holes bs=1 seek=100000000 conv=notrunc status=none
    mkdir many; (cd many; seq -f 'File %06g.dat' 5000 | xargs -d '\\n' touch)`);
}
