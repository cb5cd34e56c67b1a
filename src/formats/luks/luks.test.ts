import assert from 'node:assert/strict';
import { test } from 'node:test';
import { StrictDevice } from '../../../test/peer/strict-device.ts';
import { contiguous } from '../../block/data.ts';
import { BlockError } from '../../block/errors.ts';
import { Random } from '../../testing/model.ts';
import { bytesBeforeData, type CreateOptions, createLuks } from './create.ts';
import { luksDevice, openVolume } from './device.ts';
import { JsonAt, type JsonObject } from './json.ts';
import { luks2Bytes, readLuks2 } from './luks2.ts';
import { readHeader } from './read.ts';
import { addSlot, removeSlots } from './slots.ts';

const SECRET = Buffer.from('secret');
const OTHER = Buffer.from('other');
/** So that tests are quick. */
const CHEAP = { iterTime: 1, memory: 1 << 16 };
const SIZE = 1 << 20;

/** A disk with a new volume of 1 MiB. */
async function volumeOn(options: Partial<CreateOptions> = {}): Promise<StrictDevice> {
  const all = { passphrase: SECRET, ...CHEAP, ...options };
  const disk = new StrictDevice(Buffer.alloc(bytesBeforeData(all) + SIZE));
  await createLuks(disk, all);
  return disk;
}

async function open(disk: StrictDevice, passphrase = SECRET, header?: StrictDevice) {
  return luksDevice(disk, await openVolume(disk, { passphrase, header }));
}

for (const [what, options] of [
  ['version 1', {}],
  ['version 1 of other ciphers', { cipherAlg: 'aes-128', cipherMode: 'cbc', ivgenAlg: 'essiv' }],
  ['version 1 of an other hash', { hashAlg: 'ripemd160', cipherMode: 'ecb' }],
  ['version 2', { version: 2 }],
  ['version 2 with argon2i', { version: 2, pbkdf: 'argon2i', sectorSize: 2048 }],
  ['version 2 with PBKDF2', { version: 2, pbkdf: 'pbkdf2', sectorSize: 4096, hashAlg: 'sha512' }],
] as const) {
  test(`a volume of ${what} keeps what is written, and nothing of it is in the clear`, async () => {
    const disk = await volumeOn(options);
    const device = await open(disk);
    assert.equal(device.size, BigInt(SIZE));
    const bytes = Buffer.alloc(300_001, 'nobody reads this without the key ');
    await device.write!(4001n, bytes);
    await device.close!();
    assert.equal(disk.bytes.indexOf('nobody reads this'), -1);
    const again = await open(disk);
    assert.ok(bytes.equals(contiguous(await again.read(4001n, bytes.length))));
    await assert.rejects(open(disk, OTHER), {
      errno: 'EACCES',
      message: /opens none of the 1 key/,
    });
  });
}

test('what was on the disk before is no part of a new volume', async () => {
  const disk = await volumeOn();
  const old = Buffer.from(disk.bytes.subarray(0, 600));
  await createLuks(disk, { passphrase: OTHER, ...CHEAP });
  old.copy(disk.bytes);
  await assert.rejects(open(disk), { errno: 'EACCES' });
});

test('a header may be apart from the data', async () => {
  for (const version of [1, 2] as const) {
    const options = { version, passphrase: SECRET, ...CHEAP, detached: true };
    const header = new StrictDevice(Buffer.alloc(bytesBeforeData(options)));
    await createLuks(header, options);
    const disk = new StrictDevice(Buffer.alloc(10_000));
    const device = await open(disk, SECRET, header);
    assert.equal(device.size, 9728n);
    await device.write!(0n, Buffer.alloc(9728, 7));
    assert.ok(disk.bytes.subarray(0, 512).some(byte => byte !== 7));
    assert.equal(await addSlot(header, { ...options, added: OTHER }), 1);
    await open(disk, OTHER, header);
    await assert.rejects(open(header), { errno: 'EINVAL' });
  }
});

test('writes of parts of one sector, through several devices, lose nothing', async () => {
  const disk = await volumeOn();
  const volume = await openVolume(disk, { passphrase: SECRET });
  const devices = [luksDevice(disk, volume), luksDevice(disk, volume)];
  await Promise.all(
    Array.from({ length: 16 }, (_, index) =>
      devices[index % 2]!.write!(BigInt(index * 100), Buffer.alloc(100, index + 1)),
    ),
  );
  const bytes = contiguous(await devices[0]!.read(0n, 1600));
  for (const [at, byte] of bytes.entries()) assert.equal(byte, Math.floor(at / 100) + 1);
});

test('passphrases are added and removed', async () => {
  for (const version of [1, 2] as const) {
    const disk = await volumeOn({ version, pbkdf: 'pbkdf2' });
    const add = (added: string, slot?: number) =>
      addSlot(disk, { passphrase: SECRET, added: Buffer.from(added), slot, ...CHEAP });
    assert.equal(await add('a'), 1);
    assert.equal(await add('b', 5), 5);
    assert.equal(await add('b'), 2);
    await open(disk, Buffer.from('b'));
    await assert.rejects(add('c', 5), { errno: 'EBUSY' });
    await assert.rejects(add('c', 99), { errno: 'EINVAL' });
    const wrong = { passphrase: OTHER, added: OTHER, ...CHEAP };
    await assert.rejects(addSlot(disk, wrong), { errno: 'EACCES' });
    const { header } = await readHeader(disk);
    const { offset } = header.slots.find(({ number }) => number === 5)!;
    const material = Buffer.from(disk.bytes.subarray(offset, offset + 4096));
    assert.deepEqual(await removeSlots(disk, { which: Buffer.from('b') }), [2, 5]);
    assert.ok(!material.equals(disk.bytes.subarray(offset, offset + 4096)));
    await assert.rejects(open(disk, Buffer.from('b')), { errno: 'EACCES' });
    await assert.rejects(removeSlots(disk, { which: 2 }), { errno: 'ENOENT' });
    assert.deepEqual(await removeSlots(disk, { which: 0 }), [0]);
    await assert.rejects(removeSlots(disk, { which: 1 }), { errno: 'EPERM' });
    await open(disk, Buffer.from('a'));
    await removeSlots(disk, { which: 1, force: true });
    await assert.rejects(open(disk, Buffer.from('a')), { message: /none of the 0 key slots/ });
  }
});

test('there are as many slots as a version has', async () => {
  const disk = await volumeOn();
  const add = () => addSlot(disk, { passphrase: SECRET, added: OTHER, ...CHEAP });
  for (let slot = 1; slot < 8; slot++) assert.equal(await add(), slot);
  await assert.rejects(add(), { errno: 'ENOSPC' });
});

test('options that make no sense are refused', async () => {
  for (const [options, message] of [
    [{ cipherAlg: 'serpent-256' }, /'serpent-xts-plain64' is not supported/],
    [{ cipherAlg: 'aes' }, /aes has no keys/],
    [{ cipherAlg: 'aes-512' }, /aes has no keys of 512 bits/],
    [{ cipherMode: 'ctr' }, /mode of the cipher/],
    [{ hashAlg: 'md6' }, /the hash 'md6'/],
    [{ version: 2, sectorSize: 1000 }, /sectors of 1000 bytes/],
  ] as const) {
    await assert.rejects(volumeOn(options), { message });
  }
  const small = new StrictDevice(Buffer.alloc(4096));
  await assert.rejects(createLuks(small, { passphrase: SECRET }), { errno: 'ENOSPC' });
});

/** Fields of version 1 that are wrong. */
const WRONG1: readonly (readonly [what: string, (header: Buffer) => void, message: RegExp])[] = [
  ['magic', header => header.fill(0, 0, 6), /holds no volume/],
  ['version', header => header.writeUInt16BE(3, 6), /no version 3/],
  ['cipher', header => header.write('twofish\0', 8), /'twofish-xts-plain64' is not supported/],
  ['cipher without end', header => header.fill(0x61, 8, 72), /not supported/],
  ['hash', header => header.write('whirlpool\0', 72), /'whirlpool'/],
  ['key length 0', header => header.writeUInt32BE(0, 108), /a key of 0 bytes/],
  ['key length', header => header.writeUInt32BE(2 ** 32 - 1, 108), /a key of 4294967295 bytes/],
  ['key of another cipher', header => header.writeUInt32BE(62, 108), /no keys of 248 bits/],
  ['stripes 0', header => header.writeUInt32BE(0, 252), /has 0 stripes/],
  ['stripes', header => header.writeUInt32BE(2 ** 32 - 1, 252), /has 4294967295 stripes/],
  ['slot in the header', header => header.writeUInt32BE(1, 248), /lies over something else/],
  ['slot in the data', header => header.writeUInt32BE(4000, 248), /reaches beyond the header/],
  ['slot beyond', header => header.writeUInt32BE(2 ** 32 - 1, 248), /reaches beyond the header/],
  ['iterations', header => header.writeUInt32BE(2 ** 32 - 1, 212), /4294967295 iterations/],
  ['no iterations', header => header.writeUInt32BE(0, 212), /0 iterations/],
  ['iterations of the digest', header => header.writeUInt32BE(2 ** 32 - 1, 164), /4294967295 iter/],
  ['data in the header', header => header.writeUInt32BE(8, 104), /reaches beyond the header/],
  ['data beyond', header => header.writeUInt32BE(2 ** 32 - 1, 104), /the data begins at byte/],
  ['no data', header => header.writeUInt32BE(0, 104), /reaches beyond the header/],
];

test('headers of version 1 with wrong fields are refused with words', async () => {
  const disk = await volumeOn();
  const good = Buffer.from(disk.bytes.subarray(0, 592));
  for (const [what, damage, message] of WRONG1) {
    good.copy(disk.bytes);
    damage(disk.bytes);
    await assert.rejects(open(disk), { name: 'BlockError', message }, what);
  }
  for (const length of [0, 591, 592, 4096, 100_000]) {
    good.copy(disk.bytes);
    const cut = new StrictDevice(Buffer.from(disk.bytes.subarray(0, length)));
    await assert.rejects(open(cut), { errno: 'EINVAL' });
  }
});

/** What somebody may put in the place of a value of version 2. */
const WRONG2: readonly (readonly [place: string, value: unknown, message: RegExp])[] = [
  ['keyslots', undefined, /keyslots: expected an object/],
  ['keyslots', [], /keyslots: expected an object/],
  ['keyslots.0.key_size', 0, /from 1 to 64/],
  ['keyslots.0.key_size', '64', /from 1 to 64/],
  ['keyslots.0.key_size', 1e300, /from 1 to 64/],
  ['keyslots.0.af.stripes', 1e9, /keyslots.0.af.stripes: expected a whole number from 1 to 10000/],
  ['keyslots.0.af.type', 'luks3', /expected luks1/],
  ['keyslots.0.af.hash', 'x\x1b', /the hash 'x\\u001b'/],
  ['keyslots.0.area.offset', '0', /slot 0 lies over something else/],
  ['keyslots.0.area.offset', '16777216', /slot 0 reaches beyond the header/],
  ['keyslots.0.area.offset', '9223372036854775807', /less than 2\^53/],
  ['keyslots.0.area.offset', '-1', /expected digits/],
  ['keyslots.0.area.offset', 32768, /expected digits/],
  ['keyslots.0.area.encryption', 'twofish-xts-plain64', /'twofish-xts-plain64' is not supported/],
  ['keyslots.0.kdf.type', 'scrypt', /argon2id or argon2i or pbkdf2/],
  ['keyslots.0.kdf.memory', 2 ** 31, /KiB/],
  ['keyslots.0.kdf.memory', 2 ** 21, /more than the limit of 1073741824/],
  ['keyslots.0.kdf.time', 2 ** 31, /passes/],
  ['keyslots.0.kdf.cpus', 2 ** 31, /lanes/],
  ['keyslots.0.kdf.salt', '', /base64/],
  ['keyslots.0.priority', 7, /from 0 to 2/],
  ['keyslots.1000', {}, /keys from 0 to 31/],
  ['segments', {}, /0 segments/],
  ['segments.1', { type: 'crypt' }, /2 segments/],
  ['segments.0.type', 'linear', /expected crypt/],
  ['segments.0.sector_size', 1000, /a power of two/],
  ['segments.0.sector_size', 2 ** 30, /from 512 to 4096/],
  ['segments.0.offset', '4096', /the data lies over the headers/],
  ['segments.0.offset', '9999999999999999999', /the data begins at byte/],
  ['segments.0.size', '9999999999999999999', /the data ends at byte/],
  ['segments.0.flags', ['backup-final'], /no flags/],
  ['segments.0.integrity', {}, /integrity protection/],
  ['digests', {}, /no digest/],
  ['digests.0.iterations', 2 ** 32 - 1, /4294967295 iterations/],
  ['digests.0.hash', 'none', /the hash 'none'/],
  ['config.requirements', { mandatory: ['online-reencrypt'] }, /not supported: online-reencrypt/],
];

test('headers of version 2 with wrong metadata are refused with words', async () => {
  const disk = await volumeOn({ version: 2 });
  const fields = (await readLuks2(disk))!;
  for (const [place, value, message] of WRONG2) {
    const json = structuredClone(fields.json.object());
    const keys = place.split('.');
    const last = keys.pop()!;
    const parent = keys.reduce((object, key) => object[key] as JsonObject, json);
    parent[last] = value;
    const bytes = luks2Bytes({ ...fields, json: JsonAt.of(json) }, 0, Buffer.alloc(64));
    bytes.copy(disk.bytes);
    disk.bytes.fill(0, fields.size, fields.size + 4096);
    await assert.rejects(open(disk), { name: 'BlockError', message }, place);
  }
});

test('metadata that is no JSON, or nested without end, is refused', async () => {
  const deep = `${'{"keyslots":'.repeat(1000)}{}${'}'.repeat(1000)}`;
  for (const [text, message] of [
    ['{', /no JSON/],
    ['', /no JSON/],
    ['[]', /expected an object/],
    ['['.repeat(1 << 18), /no JSON/],
    [deep, /nested too deep/],
  ] as const) {
    assert.throws(() => JsonAt.parse(text).object(), { errno: 'EINVAL', message });
  }
});

test('of two headers the newer one that is whole counts', async () => {
  const disk = await volumeOn({ version: 2 });
  const { size } = (await readLuks2(disk))!;
  const good = Buffer.from(disk.bytes.subarray(0, 2 * size));
  const damage = async (...places: number[]) => {
    good.copy(disk.bytes);
    for (const place of places) disk.bytes[place]! ^= 1;
  };
  for (const place of [0, 6, 9, 17, 300, 448, 4200]) {
    await damage(place);
    await open(disk);
    await damage(size + place);
    await open(disk);
    await damage(place, size + place);
    await assert.rejects(open(disk), { errno: 'EINVAL' });
  }
  // A passphrase was added, and the power failed between the headers.
  good.copy(disk.bytes);
  await addSlot(disk, { passphrase: SECRET, added: OTHER, ...CHEAP });
  good.copy(disk.bytes, 0, 0, size);
  await open(disk, OTHER);
  assert.equal((await readLuks2(disk))!.sequence, 2n);
});

test('whatever is in a header, it is read or refused', async () => {
  const random = new Random(15);
  for (const version of [1, 2] as const) {
    const disk = await volumeOn({ version });
    const length = version === 1 ? 592 : 5500;
    const good = Buffer.from(disk.bytes.subarray(0, length));
    for (let round = 0; round < 300; round++) {
      good.copy(disk.bytes);
      for (let count = 0; count < 3; count++) {
        disk.bytes[random.below(length)] = random.below(256);
      }
      await readHeader(disk).catch(error => assert.ok(error instanceof BlockError, error.stack));
    }
  }
});
