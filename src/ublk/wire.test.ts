import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  Control,
  decodeDescriptor,
  decodeInfo,
  encodeInfo,
  encodeParameters,
  Io,
  putControl,
  putIo,
} from './wire.ts';

/** Numbers that the kernel's header gives. */
test('commands', () => {
  assert.equal(Control.add, 0xc0207504);
  assert.equal(Control.info, 0x80207512);
  assert.equal(Io.fetch, 0xc0107520);
  const entry = Buffer.alloc(128);
  putControl(entry, 5, Control.start, {
    ...{ id: 3, address: 0x1234n, length: 64, data: 99n, path: 11 },
  });
  assert.deepEqual([entry[0], entry.readInt32LE(4), entry.readUInt32LE(8)], [46, 5, 0xc0207506]);
  assert.deepEqual([entry.readUInt32LE(48), entry.readUInt16LE(54)], [3, 64]);
  assert.deepEqual([entry.readBigUInt64LE(56), entry.readBigUInt64LE(64)], [0x1234n, 99n]);
  assert.equal(entry.readUInt16LE(72), 11);
  putIo(entry, 6, Io.commitAndFetch, { queue: 2, tag: 7, result: -5, address: 1n });
  assert.deepEqual(
    [entry.readUInt16LE(48), entry.readUInt16LE(50), entry.readInt32LE(52)],
    [2, 7, -5],
  );
});

test('what is known of a device', () => {
  const info = { id: 2, queues: 1, depth: 64, longest: 1 << 19, state: 0, pid: -1, flags: 0x58n };
  assert.deepEqual(decodeInfo(encodeInfo(info)), info);
});

test('the form of a disk', () => {
  const form = {
    ...{ sectors: 2n ** 54n, readOnly: true, rotational: true, cache: false, fua: true },
    ...{ block: 4096, preferred: 65536, longest: 1 << 19, discard: false, writeZeroes: true },
  };
  const bytes = encodeParameters(form);
  assert.deepEqual([bytes.readUInt32LE(4), bytes.readUInt32LE(8)], [3, 0b1011]);
  assert.deepEqual([...bytes.subarray(12, 16)], [12, 12, 16, 12]);
  assert.deepEqual([bytes.readUInt32LE(16), bytes.readBigUInt64LE(24)], [1024, 2n ** 54n]);
  assert.deepEqual(
    [44, 48, 52].map(at => bytes.readUInt32LE(at)),
    [4096, 0, 0x7fffff],
  );
  assert.equal(encodeParameters({ ...form, writeZeroes: false }).readUInt32LE(4), 1);
});

test('what the kernel asks for', () => {
  const bytes = Buffer.alloc(48);
  bytes.writeUInt32LE(1 | (1 << 13), 24);
  bytes.writeUInt32LE(8, 28);
  bytes.writeBigUInt64LE(1n << 54n, 32);
  const expected = { operation: 1, flags: 1 << 13, offset: 1n << 63n, length: 4096 };
  assert.deepEqual(decodeDescriptor(bytes, 1), expected);
});
