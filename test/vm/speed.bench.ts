/** `npm run bench:vm`: the ways to give a disk to the kernel, one beside the other. */
import { type TestContext, test } from 'node:test';
import { inMachine, type Machine } from './machine.ts';

const FUNCTIONS = `
seconds() { local begin=$EPOCHREALTIME; "$@"; echo "$begin $EPOCHREALTIME" | awk '{ print $2 - $1 }'; }
rate() {
  fio --name=x --filename=$1 --rw=randread --bs=4k --direct=1 --ioengine=libaio --iodepth=$2 \\
    --size=64M --time_based --ramp_time=1 --runtime=5 --output-format=json | awk -F'[:,]' '/"iops" :/ { print $2; exit }'
}
copy() { seconds dd "$@" bs=1M count=192 conv=notrunc status=none; }
# The first copy is not counted: the compiler learns what is used.
speeds() {
  copy if=/dev/zero of=$2 oflag=direct > /dev/null
  copy if=/dev/zero of=$2 oflag=direct > /tmp/written
  copy if=$2 of=/dev/null iflag=direct > /tmp/read
  echo "$1 | $(cat /tmp/read) s | $(cat /tmp/written) s | $(rate $2 1) /s | $(rate $2 16) /s"
}
ublk() { rm -f /tmp/name; nbdublk "$@" > /tmp/name & p=$!; until test -s /tmp/name; do sleep 0.1; done; }
ended() { kill $p; wait $p; }
nbdkit -U /tmp/s memory 192M
echo "what | read 192 MiB | write 192 MiB | 4-KiB reads, depth 1 | depth 16"
`;

const show = async (t: TestContext, script: string, machine: Machine) =>
  console.log(await inMachine(t, `${FUNCTIONS}${script}`, machine));

test('with one processor', async t => {
  const script = `
  ublk - --unix /tmp/s; speeds nbdublk $(cat /tmp/name); ended
  ublk - --plugin memory 192M; speeds "nbdublk --plugin" $(cat /tmp/name); ended
  nbd-client -unix /tmp/s /dev/nbd0 > /dev/null; speeds nbd-client /dev/nbd0; nbd-client -d /dev/nbd0
  touch /tmp/file
  nbdfuse -P /tmp/pid /tmp/file --unix /tmp/s & p=$!; until test -e /tmp/pid; do sleep 0.1; done
  speeds nbdfuse /tmp/file
  device=$(losetup --find --show --direct-io=on /tmp/file); speeds "nbdfuse, loop" $device; losetup -d $device
  ended`;
  await show(t, script, {});
});

test('with two processors', async t => {
  const script = `
  ublk - --unix /tmp/s; speeds "nbdublk" $(cat /tmp/name); ended
  ublk -C 2 - --unix /tmp/s; speeds "nbdublk -C 2" $(cat /tmp/name); ended
  nbd-client -unix /tmp/s /dev/nbd0 -C 1 > /dev/null; speeds "nbd-client" /dev/nbd0; nbd-client -d /dev/nbd0
  nbd-client -unix /tmp/s /dev/nbd1 -C 2 > /dev/null; speeds "nbd-client -C 2" /dev/nbd1; nbd-client -d /dev/nbd1`;
  await show(t, script, { processors: 2 });
});
