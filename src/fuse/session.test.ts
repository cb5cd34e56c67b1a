import assert from 'node:assert/strict';
import { constants } from 'node:os';
import { describe, test } from 'node:test';
import { byteLength, contiguous } from '../block/data.ts';
import type { BlockDevice } from '../block/device.ts';
import { BlockError } from '../block/errors.ts';
import { sparseStore } from '../stores/sparse.ts';
import { Random } from '../testing/model.ts';
import { type FuseOptions, FuseSession, type Reply } from './session.ts';
import { decodeHeader, Opcode, ROOT, Seek } from './wire.ts';

const MIB = 1n << 20n;
const FILE = 2;
const { EACCES, EINVAL, EIO, EISDIR, ENOENT, ENOSPC, ENOSYS, ENOTDIR, ENXIO, EOPNOTSUPP, EPERM } =
  constants.errno;
const HEADER = 40;

function options(own: Partial<FuseOptions> = {}): FuseOptions {
  return {
    uid: 5,
    gid: 6,
    umask: 0,
    entryTimeout: 1.5,
    attributeTimeout: 1,
    keepCache: false,
    directIo: false,
    allowRoot: false,
    onError: () => {},
    ...own,
  };
}

const inFolder = (device: BlockDevice, own?: Partial<FuseOptions>) =>
  new FuseSession([{ name: 'nbd', device }], options(own));

/** A request as the kernel writes it. @param fields as numbers of 4 bytes or bigints of 8. */
function request(opcode: number, node: number, ...fields: (number | bigint | Uint8Array)[]) {
  const parts = fields.map(field => {
    if (typeof field === 'object') return field;
    const bytes = Buffer.alloc(typeof field === 'bigint' ? 8 : 4);
    if (typeof field === 'bigint') bytes.writeBigUInt64LE(field);
    else bytes.writeUInt32LE(field >>> 0);
    return bytes;
  });
  const bytes = Buffer.concat([Buffer.alloc(HEADER), ...parts]);
  bytes.writeUInt32LE(bytes.length, 0);
  bytes.writeUInt32LE(opcode, 4);
  bytes.writeBigUInt64LE(77n, 8);
  bytes.writeBigUInt64LE(BigInt(node), 16);
  return bytes;
}

async function ask(session: FuseSession, bytes: Buffer): Promise<number | Buffer> {
  const reply: Reply = await session.handle(decodeHeader(bytes)!, bytes, Buffer.alloc);
  return typeof reply === 'number' ? reply : Buffer.from(contiguous(reply));
}

async function bytesOf(session: FuseSession, bytes: Buffer): Promise<Buffer> {
  const reply = await ask(session, bytes);
  assert.ok(typeof reply !== 'number', `errno ${reply}`);
  return reply;
}

const name = (text: string) => Buffer.from(`${text}\0`);
const read = (node: number, offset: bigint, length: number) =>
  request(Opcode.read, node, 0n, offset, length, 0, 0n, 0, 0);
const write = (node: number, offset: bigint, data: Uint8Array) =>
  request(Opcode.write, node, 0n, offset, data.length, 0, 0n, 0, 0, data);
const fallocate = (offset: bigint, length: bigint, mode: number) =>
  request(Opcode.fallocate, FILE, 0n, offset, length, mode, 0);
const seek = (offset: bigint, whence: number) => request(Opcode.lseek, FILE, 0n, offset, whence, 0);

describe('what the kernel is told', () => {
  test('its greeting, of as much as both know', async () => {
    const session = inFolder(sparseStore(MIB));
    const init = (major: number, minor: number, flags: number) =>
      request(Opcode.init, 0, major, minor, 131072, flags, 0, Buffer.alloc(44));
    const reply = await bytesOf(session, init(7, 45, 0xffffffff));
    assert.equal(reply.length, 64);
    assert.deepEqual([reply.readUInt32LE(0), reply.readUInt32LE(4)], [7, 38]);
    assert.deepEqual([reply.readUInt32LE(20), reply.readUInt16LE(28)], [1 << 20, 256]);
    assert.equal((await bytesOf(session, init(7, 31, 1))).readUInt32LE(12), 1);
    assert.equal((await bytesOf(session, init(8, 0, 1))).readUInt32LE(0), 7);
    assert.equal(await ask(session, init(7, 22, 1)), constants.errno.EPROTO);
  });

  test('a folder with files', async () => {
    const disks = ['a', 'b'].map(name => ({ name, device: sparseStore(MIB) }));
    const session = new FuseSession(disks, options({ umask: 0o22 }));
    const entry = await bytesOf(session, request(Opcode.lookup, ROOT, name('b')));
    assert.equal(entry.length, 128);
    assert.equal(entry.readBigUInt64LE(0), 3n);
    assert.deepEqual([entry.readBigUInt64LE(16), entry.readUInt32LE(32)], [1n, 500_000_000]);
    assert.deepEqual([entry.readBigUInt64LE(48), entry.readUInt32LE(100)], [MIB, 0o100644]);
    assert.deepEqual([entry.readUInt32LE(108), entry.readUInt32LE(112)], [5, 6]);
    assert.equal(await ask(session, request(Opcode.lookup, ROOT, name('c'))), ENOENT);
    const folder = await bytesOf(session, request(Opcode.getattr, ROOT, 0, 0, 0n));
    assert.equal(folder.readUInt32LE(16 + 60), 0o40555);
    const list = (offset: bigint, room: number) =>
      bytesOf(session, request(Opcode.readdir, ROOT, 0n, offset, room, 0, 0n, 0, 0));
    assert.equal((await list(0n, 4096)).length, 4 * 32);
    const rest = await list(2n, 40);
    assert.deepEqual([rest.length, rest.subarray(24, 25).toString()], [32, 'a']);
    assert.equal((await list(4n, 4096)).length, 0);
  });

  test('a file in the place of a file', async () => {
    const session = new FuseSession({ name: 'x', device: sparseStore(MIB) }, options());
    const attributes = await bytesOf(session, request(Opcode.getattr, ROOT, 0, 0, 0n));
    assert.equal(attributes.readUInt32LE(16 + 60), 0o100666);
    assert.equal(await ask(session, request(Opcode.lookup, ROOT, name('x'))), ENOENT);
    assert.equal(await ask(session, request(Opcode.opendir, ROOT, 0, 0)), ENOTDIR);
  });

  test('sizes up to 2^63-1, and the blocks that are taken', async () => {
    const size = 2n ** 63n - 1n;
    const largest = inFolder(sparseStore(size));
    const told = await bytesOf(largest, request(Opcode.getattr, FILE, 0, 0, 0n));
    assert.equal(told.readBigUInt64LE(24), size);
    const session = inFolder(sparseStore(64n * MIB));
    await bytesOf(session, write(FILE, MIB, Buffer.alloc(4096, 1)));
    const attributes = await bytesOf(session, request(Opcode.getattr, FILE, 0, 0, 0n));
    const blocks = attributes.readBigUInt64LE(32);
    assert.ok(blocks >= 8n && blocks <= 2048n, `${blocks} blocks`);
    const { extents: _, ...dense } = sparseStore(MIB);
    const whole = await bytesOf(inFolder(dense), request(Opcode.getattr, FILE, 0, 0, 0n));
    assert.equal(whole.readBigUInt64LE(32), MIB / 512n);
  });
});

describe('a file', () => {
  test('is written and read up to its end', async () => {
    const session = inFolder(sparseStore(MIB));
    const data = Buffer.alloc(4096, 7);
    assert.equal((await bytesOf(session, write(FILE, 512n, data))).readUInt32LE(), 4096);
    assert.deepEqual(await bytesOf(session, read(FILE, 512n, 4096)), data);
    assert.equal((await bytesOf(session, write(FILE, MIB - 512n, data))).readUInt32LE(), 512);
    assert.equal((await bytesOf(session, read(FILE, MIB - 512n, 4096))).length, 512);
    assert.equal((await bytesOf(session, read(FILE, MIB + 5n, 4096))).length, 0);
    assert.equal(await ask(session, write(FILE, MIB, data)), ENOSPC);
    assert.equal(await ask(session, read(ROOT, 0n, 1)), EISDIR);
  });

  test('has its size and its owner', async () => {
    const session = inFolder(sparseStore(MIB));
    const set = (valid: number, size: bigint) =>
      ask(session, request(Opcode.setattr, FILE, valid, 0, 0n, size, Buffer.alloc(64)));
    assert.equal(await set(8, 5n), EINVAL);
    assert.ok((await set(8, MIB)) instanceof Buffer);
    assert.equal(await set(1, 0n), EPERM);
    assert.ok((await set(0x30, 0n)) instanceof Buffer);
    assert.equal(await ask(session, request(Opcode.unlink, ROOT, name('nbd'))), EPERM);
    assert.equal(await ask(session, request(Opcode.create, ROOT, 0, 0, name('x'))), EPERM);
    assert.equal(await ask(session, request(22, FILE, 0, 0, name('user.x'))), ENOSYS);
  });

  test('that is read-only', async () => {
    const { write: _, ...device } = sparseStore(MIB);
    const session = inFolder(device);
    const open = (flags: number) => ask(session, request(Opcode.open, FILE, flags, 0));
    assert.equal(await open(1), EACCES);
    assert.equal(await open(2), EACCES);
    assert.ok((await open(0)) instanceof Buffer);
    assert.equal(await ask(session, write(FILE, 0n, Buffer.alloc(1))), EACCES);
    assert.equal(await ask(session, fallocate(0n, 512n, 3)), EACCES);
    const attributes = await bytesOf(session, request(Opcode.getattr, FILE, 0, 0, 0n));
    assert.equal(attributes.readUInt32LE(16 + 60), 0o100444);
  });

  test('is open as the options say', async () => {
    const flags = async (own: Partial<FuseOptions>) => {
      const session = inFolder(sparseStore(MIB), own);
      return (await bytesOf(session, request(Opcode.open, FILE, 2, 0))).readUInt32LE(8) & 3;
    };
    assert.deepEqual(
      [await flags({}), await flags({ directIo: true }), await flags({ keepCache: true })],
      [0, 1, 2],
    );
  });

  test('strangers with allow_root', async () => {
    const session = inFolder(sparseStore(MIB), { allowRoot: true });
    const by = (uid: number) => {
      const bytes = request(Opcode.getattr, FILE, 0, 0, 0n);
      bytes.writeUInt32LE(uid, 24);
      return ask(session, bytes);
    };
    assert.equal(await by(process.getuid!() + 1), EACCES);
    assert.ok((await by(process.getuid!())) instanceof Buffer);
    assert.ok((await by(0)) instanceof Buffer);
  });

  test('what its disk fails with, and whom that is told', async () => {
    const told: string[] = [];
    const failing = (errno: 'ENOSPC' | 'ECONNRESET'): BlockDevice => ({
      size: MIB,
      read: () => Promise.reject(new BlockError(errno, errno)),
    });
    const onError = (error: unknown, file: string) => told.push(`${file}: ${error}`);
    assert.equal(await ask(inFolder(failing('ENOSPC'), { onError }), read(FILE, 0n, 1)), ENOSPC);
    assert.equal(await ask(inFolder(failing('ECONNRESET'), { onError }), read(FILE, 0n, 1)), EIO);
    assert.deepEqual(told, ['nbd: BlockError: ENOSPC', 'nbd: BlockError: ECONNRESET']);
  });
});

describe('holes', () => {
  test('are made, also where trimming does not make them', async () => {
    const data = Buffer.alloc(Number(MIB), 1);
    for (const change of [{}, { trim: () => {} }, { trim: undefined }, { zero: undefined }]) {
      const device = { ...sparseStore(MIB), ...change } as BlockDevice;
      const session = inFolder(device);
      await bytesOf(session, write(FILE, 0n, data));
      assert.equal(await ask(session, fallocate(4096n, 2n * MIB, 3)), 0);
      const after = await bytesOf(session, read(FILE, 0n, Number(MIB)));
      assert.ok(after.subarray(0, 4096).equals(data.subarray(0, 4096)));
      assert.ok(after.subarray(4096).every(byte => byte === 0));
    }
  });

  test('zeroes; and what a disk cannot do', async () => {
    const session = inFolder(sparseStore(MIB));
    await bytesOf(session, write(FILE, 0n, Buffer.alloc(8192, 1)));
    assert.equal(await ask(session, fallocate(4096n, 4096n, 16)), 0);
    assert.ok((await bytesOf(session, read(FILE, 4096n, 4096))).every(byte => byte === 0));
    assert.equal(await ask(session, fallocate(MIB - 1n, 2n, 16)), ENOSPC);
    for (const mode of [0, 1, 8, 32]) {
      assert.equal(await ask(session, fallocate(0n, 4096n, mode)), EOPNOTSUPP);
    }
    const { trim: _, zero: __, ...neither } = sparseStore(MIB);
    assert.equal(await ask(inFolder(neither), fallocate(0n, 4096n, 3)), EOPNOTSUPP);
  });

  test('are found', async () => {
    const session = inFolder(sparseStore(16n * MIB));
    await bytesOf(session, write(FILE, 4n * MIB, Buffer.alloc(Number(MIB), 1)));
    const at = async (offset: bigint, whence: number) =>
      (await bytesOf(session, seek(offset, whence))).readBigUInt64LE();
    const data = await at(0n, Seek.data);
    assert.equal(data, 4n * MIB);
    assert.equal(await at(data, Seek.hole), 5n * MIB);
    assert.equal(await at(0n, Seek.hole), 0n);
    assert.equal(await ask(session, seek(6n * MIB, Seek.data)), ENXIO);
    assert.equal(await ask(session, seek(16n * MIB, Seek.hole)), ENXIO);
    await bytesOf(session, write(FILE, 15n * MIB, Buffer.alloc(Number(MIB), 1)));
    assert.equal(await at(15n * MIB, Seek.hole), 16n * MIB);
    const { extents: _, ...dense } = sparseStore(MIB);
    assert.equal(await ask(inFolder(dense), seek(0n, Seek.data)), ENOSYS);
  });

  test('of a device that tells nothing', async () => {
    const silent = { ...sparseStore(MIB), extents: () => [] };
    assert.equal(await ask(inFolder(silent), seek(0n, Seek.data)), EIO);
  });
});

test('requests of random bytes are answered, each with an errno or with bytes', async () => {
  const random = new Random(16);
  const session = inFolder(sparseStore(MIB));
  for (let round = 0; round < 3000; round++) {
    const opcode = random.below(55);
    const body = Buffer.from(
      Array.from({ length: 40 + random.below(64) }, () => random.below(256)),
    );
    // Offsets near the end are the interesting ones.
    if (round % 2 === 0) body.writeBigUInt64LE(MIB - BigInt(random.below(9000)), 8);
    const bytes = request(opcode, random.below(4), body);
    const reply = await session.handle(decodeHeader(bytes)!, bytes, Buffer.alloc);
    assert.ok(typeof reply === 'number' ? reply >= 0 && reply < 200 : byteLength(reply) <= MIB);
  }
  assert.equal(decodeHeader(Buffer.alloc(39)), undefined);
  assert.equal(decodeHeader(Buffer.alloc(50)), undefined);
});
