/** nbdublk and the kernel's ublk driver. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { inMachine } from './machine.ts';

/** Where ublk(8) of ublksrv is, which Debian 12 does not have. */
const UBLK = ['/usr/sbin', '/usr/bin', '/usr/local/sbin', '/usr/local/bin'].find(folder =>
  existsSync(join(folder, 'ublk')),
);

/** Starts nbdublk with these words, waits for the device and has its process in $p. */
const FUNCTIONS = `
provide() {
  rm -f /tmp/name
  nbdublk "$@" > /tmp/name 2>> /tmp/errors & p=$!
  until test -s /tmp/name; do kill -0 $p; sleep 0.1; done
  device=$(cat /tmp/name)
}
ended() { if wait $p; then echo "ended with 0"; else echo "ended with $?"; fi; }
`;

test('a file system, discard and deletion; a signal while it is mounted', async t => {
  const output = await inMachine(
    t,
    `${FUNCTIONS}
    nbdkit -U /tmp/s -P /tmp/pid --filter=stats memory 128M statsfile=/tmp/stats
    provide - --unix /tmp/s
    mke2fs -q -t ext4 $device 64M
    mount $device /mnt
    cp -a /usr/share/perl5/Debian* /mnt
    sync
    diff -r /usr/share/perl5/Debian* /mnt/$(basename /usr/share/perl5/Debian*)
    rm -r /mnt/Debian*
    fstrim /mnt
    umount /mnt
    e2fsck -f -n $device
    blkdiscard -f -o 64M -l 8M $device
    blkdiscard -z -f -o 72M -l 8M $device
    nbdublk --list
    nbdublk --delete 0
    ended
    test ! -e $device
    provide - --unix /tmp/s
    mount $device /mnt
    kill $p
    ended
    test ! -e $device && echo "nothing is left"
    umount /mnt
    kill $(cat /tmp/pid); while test -e /tmp/pid; do sleep 0.1; done
    grep -E '^(trim|flush|write|zero):' /tmp/stats
    cat /tmp/errors
    `,
  );
  assert.match(output, /^dev id 0: nr_hw_queues 1 queue_depth 64$/m);
  assert.deepEqual(output.match(/^ended with \d+$/gm), ['ended with 0', 'ended with 0']);
  assert.match(output, /^nothing is left$/m);
  for (const request of ['write', 'zero', 'trim', 'flush']) {
    assert.match(output, new RegExp(`^${request}: [1-9]`, 'm'), output);
  }
  assert.doesNotMatch(output, /^nbdublk:/m);
});

test('by two queues whatever is written is read back, after nbdublk was killed, too', async t => {
  const output = await inMachine(
    t,
    `${FUNCTIONS}
    nbdkit -U /tmp/s memory 32M
    provide --recoverable -C 3 - --unix /tmp/s
    nbdublk --list
    fio --name=x --filename=$device --size=2M --rw=randrw --bsrange=512-64k --verify=crc32c \\
      --direct=1 --ioengine=libaio --iodepth=16 --minimal > /dev/null
    fio --name=y --filename=$device --offset=16M --size=4M --rw=write --bs=4k --verify=crc32c \\
      --direct=1 --ioengine=libaio --iodepth=4 --rate=1m --minimal > /tmp/fio & fio=$!
    sleep 2
    kill -9 $p; wait $p || true
    nbdublk --list
    nbdublk --recover 0 --unix /tmp/s 2>> /tmp/errors & p=$!
    wait $fio && echo "all is there"
    nbdublk --delete 0
    ended
    cat /tmp/errors
    `,
    { processors: 2 },
  );
  // A queue for each connection, but no more than there are processors.
  assert.match(output, /^dev id 0: nr_hw_queues 2 queue_depth 64$/m);
  assert.match(output, /state QUIESCED/);
  assert.match(output, /^all is there\nended with 0$/m);
});

test('ublk(8) lists and deletes it', { skip: UBLK ? false : 'needs ublk' }, async t => {
  const output = await inMachine(
    t,
    `${FUNCTIONS}
    mkdir /run/ublksrvd
    provide - --plugin memory 32M
    ${UBLK}/ublk list
    ${UBLK}/ublk del -n 0
    ended
    ls /dev/ublk*
    cat /tmp/errors
    `,
  );
  assert.match(
    output,
    /^dev id 0: nr_hw_queues 1 queue_depth 64 block size 512 dev_capacity 65536$/m,
  );
  assert.match(output, /^ended with 0\n\/dev\/ublk-control\n$/m);
});

test('what cannot be, in a line each; and a server that goes away', async t => {
  const output = await inMachine(
    t,
    `${FUNCTIONS}
    fails() { if "$@" > /dev/null 2> /tmp/words; then echo "no failure: $*"; fi; cat /tmp/words; }
    fails nbdublk - --plugin memory 0
    fails nbdublk - --plugin memory 1000
    fails nbdublk --delete 7
    fails setpriv --reuid=nobody nbdublk --list
    fails nbdublk --recover 8 --plugin memory 1M
    provide - --plugin pattern 1M
    fails nbdublk 0 --plugin memory 1M
    cat $device | cmp -n 8 - /dev/zero
    kill $p; ended
    provide -r - --plugin memory 1M
    blockdev --getro $device
    fails dd if=/dev/zero of=$device count=1
    kill $p; ended
    nbdkit -U /tmp/s -P /tmp/pid memory 32M
    provide - --unix /tmp/s
    kill -9 $(cat /tmp/pid)
    fails timeout 20 dd if=/dev/zero of=$device bs=64k count=4 oflag=direct
    ended
    nbdublk --list
    ls /dev/ublk*
    tail -1 /tmp/errors
    `,
  );
  const expected = [
    /^nbdublk: the disk is empty: a device needs a sector$/m,
    /^nbdublk: the disk has 1000 bytes: a device has whole sectors of 512 bytes$/m,
    /^nbdublk: \/dev\/ublkb7: info: no such device$/m,
    /^nbdublk: \/dev\/ublk-control: only root may, unless udev is told otherwise$/m,
    /^nbdublk: \/dev\/ublkb8: info: no such device$/m,
    /^nbdublk: \/dev\/ublkb0: add: file already exists$/m,
    /^dd: (failed to open|error writing) '\/dev\/ublkb0': /m,
    /^dd: error writing '\/dev\/ublkb0': Input\/output error$/m,
    /^nbdublk: nbd\+unix:\S+: the server is gone, and so is the disk$/m,
    /^\/dev\/ublk-control$/m,
  ];
  for (const line of expected) assert.match(output, line);
  assert.doesNotMatch(output, /no failure/);
  assert.deepEqual(output.match(/^ended with \d+$/gm), [
    'ended with 0',
    'ended with 0',
    'ended with 1',
  ]);
});

test('every mode, and every name of a device', async t => {
  const output = await inMachine(
    t,
    `
    given() {
      nbdublk "$@" & p=$!
      until test -b /dev/ublkb5; do kill -0 $p; sleep 0.1; done
      cmp -n 4096 /dev/ublkb5 /tmp/pattern && echo "the same: $*"
      if [ "$1" = -r ]; then kill $p; else nbdublk --delete $1; fi
      wait $p
      test ! -e /dev/ublkb5
    }
    nbdkit -i 127.0.0.1 pattern 1M
    nbdkit --vsock pattern 1M
    nbdkit -U /tmp/s pattern 1M
    nbdcopy nbd://127.0.0.1 /tmp/pattern
    given 5 nbd://127.0.0.1
    given /dev/ublkb5 --uri nbd://127.0.0.1
    given 5 --tcp 127.0.0.1 10809
    given 5 --unix /tmp/s
    given 5 --vsock 1 10809
    exec 9<>/dev/tcp/127.0.0.1/10809
    given 5 --fd 9
    exec 9>&-
    given 5 [ nbdkit pattern 1M ]
    given 5 --socket-activation nbdkit pattern 1M
    given 5 --command nbdkit -s pattern 1M
    given -r -C 1 -v 5 /tmp/pattern
    pgrep -f 'nbdublk|pattern 1M$' | wc -l
    `,
  );
  assert.equal(output.match(/^the same: /gm)?.length, 10, output);
  // The three servers that it began with.
  assert.match(output, /^3$/m);
});

test('a user who is not root, where udev lets them', async t => {
  const output = await inMachine(
    t,
    `
    as() { setpriv --reuid=nobody --regid=nogroup --clear-groups "$@"; }
    chmod 666 /dev/ublk-control
    as nbdublk 1 --plugin memory 8M 2>&1 || echo "refused"
    nbdublk --list
    nbdublk --delete 1
    # As udev does.
    while sleep 0.1; do chmod 666 /dev/ublk[bc]* 2> /dev/null || true; done & udev=$!
    as nbdublk 0 --plugin memory 8M & p=$!
    until test -w /dev/ublkb0; do kill -0 $p; sleep 0.1; done
    sleep 0.2
    as fio --name=x --filename=/dev/ublkb0 --rw=randrw --size=1M --verify=crc32c --direct=1 \
      --verify_state_save=0 --ioengine=libaio --iodepth=16 --minimal > /dev/null && echo verified
    as nbdublk --list
    as nbdublk --delete 0
    wait $p && echo "ended with 0"
    kill $udev
    ls /dev/ublk*
    `,
  );
  assert.match(output, /^nbdublk: \/dev\/ublkc1: this user may not use it.*\nrefused$/m);
  assert.match(output, /^verified$/m);
  assert.match(output, /^ended with 0\n\/dev\/ublk-control$/m);
});
