/** A disk of another machine's, by our S3 plugin and the kernel's own NBD client. */
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import { build } from 'rolldown';
import { runWell } from '../interop/programs.ts';
import { ACCESS_KEY, SECRET_KEY, TOKEN } from '../peer/fake-s3.ts';
import { temporaryFolder } from '../peer/wire.ts';
import { inMachine } from './machine.ts';

const SERVER = resolve(import.meta.dirname, 's3-server.ts');

test('an ISO with partitions on S3, mounted by a loop device', async t => {
  const given = join(temporaryFolder(t), 'given');
  mkdirSync(given);
  await build({
    input: SERVER,
    platform: 'node',
    output: { file: join(given, 's3-server.mjs'), format: 'esm' },
  });
  const digests = await makeIso(temporaryFolder(t), join(given, 'disk.iso'));
  writeFileSync(join(given, 'SHA256SUMS'), digests);
  const who = `access-key=${ACCESS_KEY} secret-key=${SECRET_KEY} session-token='${TOKEN}'`;
  const output = await inMachine(
    t,
    `
    ${process.execPath} /tmp/given/s3-server.mjs /tmp/given/disk.iso > /tmp/url & s3=$!
    until test -s /tmp/url; do kill -0 $s3; sleep 0.1; done
    nbdkit -r -U /tmp/s -P /tmp/pid S3 endpoint-url=$(cat /tmp/url) ${who} bucket=disks key=disk.iso
    nbd-client -unix /tmp/s /dev/nbd0
    blockdev --rereadpt /dev/nbd0
    grep -o 'nbd0p.' /proc/partitions
    mkdir /mnt/whole /mnt/first /mnt/second
    mount -t iso9660 -o loop,ro /dev/nbd0 /mnt/whole
    mount -t iso9660 -o loop,ro /dev/nbd0p1 /mnt/first
    mount -t ext4 -o loop,ro /dev/nbd0p2 /mnt/second
    losetup --list --noheadings --output BACK-FILE
    for place in whole first second; do (cd /mnt/$place && sha256sum -c /tmp/given/SHA256SUMS); done
    umount /mnt/*
    nbd-client -d /dev/nbd0
    kill $(cat /tmp/pid); while test -e /tmp/pid; do sleep 0.1; done
    kill $s3
    `,
    { given },
  );
  assert.match(output, /^nbd0p1\nnbd0p2\n/m);
  assert.match(output, /^\/dev\/nbd0p2$/m);
  assert.deepEqual(output.match(/^\S+: OK$/gm)?.length, 3 * FILES.length);
});

/** Bytes of files; the second is longer than what one request of the kernel's reads. */
const FILES = [100, 1_500_000];

/**
 * Makes an ISO image that is a file system as a whole and in its first partition, and has another of
 * ext4 with the same files in its second. @returns what `sha256sum -c` reads.
 */
async function makeIso(folder: string, iso: string): Promise<string> {
  const [files, second] = [join(folder, 'files'), join(folder, 'second')];
  mkdirSync(files);
  const lines = FILES.map(length => {
    const bytes = randomBytes(length);
    writeFileSync(join(files, `file-${length}`), bytes);
    return `${createHash('sha256').update(bytes).digest('hex')}  file-${length}\n`;
  });
  await runWell('mke2fs', ['-q', '-t', 'ext4', '-d', files, second, '4M']);
  const partitions = ['-partition_offset', '16', '-append_partition', '2', '0x83', second];
  const form = ['-as', 'mkisofs', '-quiet', '-R', ...partitions];
  await runWell('xorriso', [...form, '-o', iso, files]);
  return lines.join('');
}
