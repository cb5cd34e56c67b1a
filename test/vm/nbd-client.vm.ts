/** The kernel's own NBD client against our server. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { makeCertificates } from '../peer/certificates.ts';
import { temporaryFolder } from '../peer/wire.ts';
import { inMachine } from './machine.ts';

test('a file system on a device, by one connection and by four', async t => {
  const output = await inMachine(
    t,
    `
    nbdkit -U /tmp/s -P /tmp/pid --filter=stats memory 128M statsfile=/tmp/stats
    nbd-client -unix /tmp/s /dev/nbd0 -C 1
    mke2fs -q -t ext4 /dev/nbd0 64M
    mount -o discard /dev/nbd0 /mnt
    cp -a /usr/share/perl5/Debian* /mnt
    sync
    diff -r /usr/share/perl5/Debian* /mnt/$(basename /usr/share/perl5/Debian*)
    rm -r /mnt/Debian*
    umount /mnt
    e2fsck -f -n /dev/nbd0
    nbd-client -d /dev/nbd0
    nbd-client -unix /tmp/s /dev/nbd1 -C 4
    fio --name=x --filename=/dev/nbd1 --offset=64M --size=8M --rw=randrw --bsrange=4k-64k \\
      --verify=crc32c --direct=1 --ioengine=libaio --iodepth=16 --minimal > /tmp/fio
    blkdiscard -f -o 64M -l 8M /dev/nbd1
    cmp -i 64M:0 -n 8M /dev/nbd1 /dev/zero
    nbd-client -d /dev/nbd1
    kill $(cat /tmp/pid); while test -e /tmp/pid; do sleep 0.1; done
    grep -E '^(trim|flush|write):' /tmp/stats
    `,
  );
  for (const request of ['write', 'trim', 'flush']) {
    assert.match(output, new RegExp(`^${request}: [1-9]`, 'm'), output);
  }
});

test('by TLS; what the pattern plugin has; and a disk that is read-only', async t => {
  const keys = join(temporaryFolder(t), 'keys');
  makeCertificates(keys);
  const output = await inMachine(
    t,
    `
    nbdkit -r -i 127.0.0.1 --tls=require --tls-certificates=/tmp/given pattern 1G
    nbd-client 127.0.0.1 /dev/nbd0 -cacertfile /tmp/given/ca-cert.pem \\
      -certfile /tmp/given/client-cert.pem -keyfile /tmp/given/client-key.pem -tlshostname localhost
    dd if=/dev/nbd0 bs=512 skip=1000 count=1 status=none | hexdump -C | head -2
    blockdev --getsize64 --getro /dev/nbd0
    nbd-client -d /dev/nbd0
    `,
    { given: keys },
  );
  assert.match(output, /00000000 {2}00 00 00 00 00 07 d0 00 {2}00 00 00 00 00 07 d0 08/);
  assert.match(output, /^1073741824\n1$/m);
});

test('vsock, both ways, with the tools of C at either end', async t => {
  const output = await inMachine(
    t,
    `
    head -c 16M /dev/urandom > /tmp/in
    copied() {
      rm -f /tmp/out
      $1 /tmp/in $3
      $2 $3 /tmp/out
      cmp /tmp/in /tmp/out && echo the same
    }
    nbdkit --vsock -P /tmp/pid memory 16M
    nbdinfo --size nbd+vsock://1
    copied nbdcopy nbdcopy nbd+vsock://1
    copied nbdcopy /usr/bin/nbdcopy nbd+vsock://1
    /usr/bin/nbdkit --vsock -p 10810 memory 16M
    copied /usr/bin/nbdcopy nbdcopy nbd+vsock://1:10810
    `,
  );
  assert.match(output, /^16777216\nthe same\nthe same\nthe same$/m);
});
