import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseRecord } from './record.ts';

test('an attribute that is shorter than what it says of its clusters', () => {
  const record = Buffer.alloc(1024);
  record.write('FILE', 'latin1');
  record.writeUInt16LE(48, 4);
  record.writeUInt16LE(3, 6);
  record.writeUInt16LE(56, 20);
  record.writeUInt32LE(0x80, 56);
  record.writeUInt32LE(32, 60);
  record[64] = 1;
  assert.throws(() => parseRecord(40, record), { errno: 'EIO', message: /is damaged/ });
});
