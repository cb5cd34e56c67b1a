/**
 * A machine of its own for what needs drivers of the kernel: qemu without hardware's help boots Debian's
 * kernel, with the file system of this machine as its root, for reading only.
 */
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import process from 'node:process';
import type { TestContext } from 'node:test';
import { run } from '../interop/programs.ts';
import { temporaryFolder } from '../peer/wire.ts';
import { cpio } from './cpio.ts';
import { debianKernel, type Kernel } from './kernel.ts';

/** In the order in which they need each other. */
const MODULES = [
  ...['netfs', '9pnet', '9pnet_virtio', '9p', 'crc16', 'mbcache', 'jbd2', 'crc32c_generic', 'ext4'],
  ...['cdrom', 'isofs', 'loop', 'nbd', 'ublk_drv'],
  ...['vsock', 'vmw_vsock_virtio_transport_common', 'vsock_loopback'],
];
const MEMORY_MIB = 1536;
const DIST = resolve(import.meta.dirname, '../../dist');
/** A script that takes so long hangs. */
const HANG_MS = 400_000;
const MARK = 'NBDPIPE-STATUS';

/** The first program: all is mounted, and the script run where it finds what is here. */
const INIT = `#!/bin/busybox sh
export PATH=/bin
/bin/busybox --install -s /bin
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev
for module in /modules/*; do insmod $module; done
ip link set lo up
mount -t 9p -o trans=virtio,version=9p2000.L,msize=512000,cache=loose,ro host /host || reboot -f
for place in tmp var/tmp run mnt; do mount -t tmpfs tmpfs /host/$place; done
for place in proc sys dev; do mount --bind /$place /host/$place; done
mkdir /host/tmp/bin; cp /commands/* /host/tmp/bin; cp -r /given /script /host/tmp
chroot /host /usr/bin/env -i HOME=/tmp LC_ALL=C PATH=/tmp/bin:/usr/sbin:/usr/bin:/sbin:/bin \\
  /bin/bash -e /tmp/script
echo ${MARK}=$?
reboot -f
`;

/** What our commands are called there. */
const COMMANDS = ['nbdkit', 'nbdinfo', 'nbdcopy', 'nbdfuse', 'nbdublk'];

export interface Machine {
  /** A folder whose files are in /tmp/given there. */
  readonly given?: string;
  /** 1 unless said. All of them are one thread: with more than one, qemu crashes now and then. */
  readonly processors?: number;
}

/**
 * Runs a bash script as root in a machine that has booted for it, in /tmp of its own, with our commands
 * and nothing of a network.
 * @returns what it printed. @throws Error with that, unless it ends well.
 */
export async function inMachine(
  t: TestContext,
  script: string,
  { given, processors = 1 }: Machine = {},
): Promise<string> {
  const kernel = debianKernel();
  const initramfs = join(temporaryFolder(t), 'initramfs');
  writeFileSync(initramfs, firstFiles(kernel.module, script, given));
  const root = 'local,id=host,path=/,security_model=none,readonly=on,multidevs=remap';
  const words = [
    ...['-M', 'q35', '-accel', 'tcg,thread=single', '-cpu', 'max', '-smp', `${processors}`],
    ...['-m', String(MEMORY_MIB), '-nodefaults', '-no-reboot'],
    ...['-display', 'none', '-serial', 'stdio', '-monitor', 'none'],
    ...['-fsdev', root, '-device', 'virtio-9p-pci,fsdev=host,mount_tag=host'],
    ...['-kernel', kernel.image, '-initrd', initramfs],
    ...['-append', 'console=ttyS0 quiet panic=-1 loglevel=1 mitigations=off'],
  ];
  const { stdout, stderr } = await run('qemu-system-x86_64', words, { timeout: HANG_MS });
  const text = stdout.replaceAll('\r', '');
  const [output = '', status] = text.split(`${MARK}=`);
  if (status?.startsWith('0\n')) return output;
  throw new Error(`the script ended with ${status?.trim() ?? 'the machine'}:\n${output}${stderr}`);
}

function firstFiles(module: Kernel['module'], script: string, given?: string): Buffer {
  const folders = ['bin', 'proc', 'sys', 'dev', 'host', 'modules', 'commands', 'given'];
  const modules = MODULES.map((name, index) => ({
    path: `modules/${String(index).padStart(2, '0')}-${name}.ko`,
    content: module(name),
  }));
  const commands = COMMANDS.map(name => ({
    path: `commands/${name}`,
    content: Buffer.from(`#!/bin/sh\nexec '${process.execPath}' '${join(DIST, name)}.cjs' "$@"\n`),
    executable: true,
  }));
  const files = (given === undefined ? [] : readdirSync(given)).map(name => ({
    path: `given/${name}`,
    content: readFileSync(join(given!, name)),
  }));
  const busybox = execFileSync('sh', ['-c', 'command -v busybox'], { encoding: 'utf8' }).trim();
  return cpio([
    ...folders.map(path => ({ path })),
    { path: 'bin/busybox', content: readFileSync(busybox), executable: true },
    { path: 'init', content: Buffer.from(INIT), executable: true },
    { path: 'script', content: Buffer.from(`cd /tmp\n${script}`) },
    ...modules,
    ...commands,
    ...files,
  ]);
}
