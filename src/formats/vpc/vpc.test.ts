import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import {
  GrowingMemory,
  makeImage,
  makeImageFile,
  openImageFile,
} from '../../../test/peer/images.ts';
import { temporaryFolder } from '../../../test/peer/wire.ts';
import { readBytes } from '../../testing/model.ts';
import { openImage } from '../open-image.ts';
import { checksum, newFooter } from './footer.ts';

const MIB = 1 << 20;

async function image(size = 8n << 20n, options = ''): Promise<GrowingMemory> {
  const file = new GrowingMemory(Buffer.alloc(0));
  await makeImage(file, 'vpc', size, options);
  return file;
}

async function open(file: GrowingMemory, readOnly = false) {
  return (await openImage({ device: file }, { format: 'vpc', readOnly })).device;
}

/** The checksums of the footers and the header are right again. */
function signed(bytes: Buffer): Buffer {
  const end = bytes.length - 512;
  for (const at of [0, end]) {
    const footer = bytes.subarray(at, at + 512);
    if (footer.toString('latin1', 0, 8) === 'conectix') {
      footer.writeUInt32BE(checksum(footer, 64), 64);
    }
  }
  const header = bytes.subarray(512, 1536);
  header.writeUInt32BE(checksum(header, 36), 36);
  return bytes;
}

test('the size is rounded up to what a geometry tells, unless it is to be exact', () => {
  // As qemu-img 7.2 makes them.
  for (const [asked, size] of [
    [1n << 20n, 1_079_296n],
    [1n << 30n, 1_073_995_776n],
    [10n << 30n, 10_737_893_376n],
    [126n << 30n, 135_291_494_400n],
    [200n << 30n, 214_748_364_800n],
  ] as const) {
    assert.equal(newFooter('dynamic', asked, false).size, size);
    assert.equal(newFooter('dynamic', asked, true).size, asked);
  }
  assert.throws(() => newFooter('dynamic', 2041n << 30n, true), /at most 2040 GiB/);
});

test('the footer is behind the last block, and is there again after a crash', async () => {
  const file = await image();
  const device = await open(file);
  await device.write!(BigInt(3 * MIB), Buffer.from('data'));
  await device.flush!();
  const crashed = new GrowingMemory(file.bytes);
  await device.close!();
  const footer = file.bytes.subarray(0, 512);
  assert.ok(file.bytes.subarray(-512).equals(footer));
  assert.equal(file.bytes.length, 2048 + 512 + 2 * MIB + 512);
  const again = await open(crashed);
  assert.equal((await readBytes(again, BigInt(3 * MIB), 4)).toString(), 'data');
  await again.close!();
  assert.ok(crashed.bytes.equals(file.bytes));
  // One of the two is enough.
  file.bytes.fill(0, 0, 512);
  await open(file);
});

test('sectors whose bits are not set read as zeroes, and are set when they are written', async () => {
  const file = await image();
  const device = await open(file);
  await device.write!(0n, Buffer.alloc(2 * MIB, 7));
  await device.close!();
  file.bytes.fill(0x0f, 2048, 2048 + 512);
  const again = await open(file);
  const bytes = await readBytes(again, 0n, 8192);
  for (const [at, byte] of bytes.entries()) assert.equal(byte, at % 4096 < 2048 ? 0 : 7);
  await again.write!(700n, Buffer.from('hello'));
  assert.equal((await readBytes(again, 698n, 9)).toString('latin1'), '\0\0hello\0\0');
  await again.close!();
  assert.equal(file.bytes[2048], 0x4f);
});

test('a differencing disk shows the one that it was made over, where it has nothing', async t => {
  const folder = temporaryFolder(t);
  const [parent, child] = ['parent.vhd', 'child.vhd'].map(name => join(folder, name));
  await makeImageFile(parent!, 'vpc', 4n << 20n);
  await makeImageFile(child!, 'vpc', 4n << 20n);
  const below = await openImageFile(parent!);
  await below.device.write!(0n, Buffer.alloc(MIB, 1));
  await below.device.close!();
  const bytes = readFileSync(child!);
  const footer = readFileSync(parent!).subarray(0, 512);
  for (const at of [0, bytes.length - 512]) bytes.writeUInt32BE(4, at + 60);
  footer.copy(bytes, 512 + 40, 68, 84);
  Buffer.from('C:\\old\\parent.vhd', 'utf16le')
    .swap16()
    .copy(bytes, 512 + 64);
  writeFileSync(child!, signed(bytes));
  const { device } = await openImageFile(child!);
  await device.write!(5000n, Buffer.from('child'));
  await device.close!();
  const again = await openImageFile(child!, undefined, true);
  const read = await readBytes(again.device, 4990n, 20);
  assert.equal(read.toString('latin1'), `${'\x01'.repeat(10)}child${'\x01'.repeat(5)}`);
  assert.equal((await readBytes(again.device, BigInt(MIB), 10)).toString('hex'), '00'.repeat(10));
  await again.device.close!();
  const other = Buffer.from(bytes);
  other.fill(9, 512 + 40, 512 + 56);
  writeFileSync(child!, signed(other));
  await assert.rejects(openImageFile(child!), { message: /not the disk that this one was made/ });
  bytes.fill(0, 512 + 64, 512 + 576);
  Buffer.from('../../etc/passwd', 'utf16le')
    .swap16()
    .copy(bytes, 512 + 64);
  writeFileSync(child!, signed(bytes));
  await assert.rejects(openImageFile(child!), { message: /'?passwd'?: no such file/i });
});

const put = (at: number, value: number) => (bytes: Buffer) => void bytes.writeUInt32BE(value, at);

const WRONG: readonly (readonly [what: string, (bytes: Buffer) => void, message: RegExp])[] = [
  ['type', put(60, 7), /disks of type 7/],
  ['header', put(20, 0xffff_f000), /header of the disk is missing/],
  ['header far away', put(16, 0x7fff_ffff), /header is at byte/],
  ['table', put(512 + 20, 0), /the table is at byte 0/],
  ['table between sectors', put(512 + 20, 1537), /the table is at byte 1537/],
  ['table far away', put(512 + 16, 0x7fff_ffff), /the table is at byte/],
  ['entries', put(512 + 28, 0xffff_ffff), /Max Table Entries too large \(4294967295\)/],
  ['too few entries', put(512 + 28, 1), /table is too small/],
  ['no blocks', put(512 + 32, 0), /blocks of 0 bytes/],
  ['blocks', put(512 + 32, 0x8000_0000), /blocks of 2147483648 bytes/],
  ['odd blocks', put(512 + 32, 3 << 20), /blocks of 3145728 bytes/],
  ['block beyond', put(1536, 0xffff_fffe), /blocks lie beyond the file/],
];

test('headers with wrong fields are refused with words', async () => {
  const good = (await image()).bytes;
  for (const [what, damage, message] of WRONG) {
    const bytes = Buffer.from(good);
    damage(bytes);
    bytes.copyWithin(bytes.length - 512, 0, 512);
    const file = new GrowingMemory(signed(bytes));
    await assert.rejects(open(file), { name: 'BlockError', message }, what);
  }
  const over = Buffer.from(good);
  put(1536, 0)(over);
  const device = await open(new GrowingMemory(over), true);
  await assert.rejects(async () => device.read(0n, 512), {
    errno: 'EIO',
    message: /over the head/,
  });
  const damaged = Buffer.from(good);
  damaged[600] = 1;
  await assert.rejects(open(new GrowingMemory(damaged)), { message: /header of the disk is dam/ });
  for (const length of [0, 100, 512]) {
    const cut = new GrowingMemory(good.subarray(0, length));
    await assert.rejects(open(cut), { name: 'BlockError' }, `${length} bytes`);
  }
  const fixed = (await image(1n << 20n, 'subformat=fixed')).bytes;
  const short = new GrowingMemory(fixed.subarray(512));
  await assert.rejects(open(short), { message: /the disk has 1079296 bytes, the file/ });
});
