import assert from 'node:assert/strict';
import { test } from 'node:test';
import { constantDevice } from '../../block/constant.ts';
import { BlockError } from '../../block/errors.ts';
import { Random } from '../../testing/model.ts';
import { journalEntries } from './journal.ts';

const HEADER = 256;
const align = (length: number) => Math.ceil(length / 8) * 8;

/** A file of the journal with such entries, each a list of `NAME=value`. */
function journalOf(entries: readonly (readonly string[])[], compact: boolean): Buffer {
  const parts: Buffer[] = [];
  let end = HEADER;
  const append = (type: number, body: Buffer): number => {
    const object = Buffer.alloc(align(16 + body.length));
    object[0] = type;
    object.writeBigUInt64LE(BigInt(16 + body.length), 8);
    body.copy(object, 16);
    parts.push(object);
    end += object.length;
    return end - object.length;
  };
  const placed = new Map<string, number>();
  const dataAt = (text: string) => {
    const head = Buffer.alloc(compact ? 56 : 48);
    const at = placed.get(text) ?? append(1, Buffer.concat([head, Buffer.from(text)]));
    placed.set(text, at);
    return at;
  };
  const offsets = (list: readonly number[], width: number) => {
    const bytes = Buffer.alloc(list.length * width);
    for (const [index, at] of list.entries()) bytes.writeUInt32LE(at, index * width);
    return bytes;
  };
  const places = entries.map((fields, index) => {
    const head = Buffer.alloc(48);
    head.writeBigUInt64LE(BigInt(1_000_000 * (index + 1)), 8);
    const items = offsets(fields.map(dataAt), compact ? 4 : 16);
    return append(3, Buffer.concat([head, items]));
  });
  // Two arrays, the first of which leads to the second.
  const width = compact ? 4 : 8;
  const first = append(6, Buffer.concat([Buffer.alloc(8), offsets(places.slice(0, 1), width)]));
  const spare = [...places.slice(1), 0, 0];
  const second = append(6, Buffer.concat([Buffer.alloc(8), offsets(spare, width)]));
  const header = Buffer.alloc(HEADER);
  header.write('LPKSHHRH');
  header.writeUInt32LE(compact ? 16 : 0, 12);
  header.writeBigUInt64LE(BigInt(entries.length), 152);
  header.writeBigUInt64LE(BigInt(first), 176);
  const bytes = Buffer.concat([header, ...parts]);
  bytes.writeBigUInt64LE(BigInt(second), first + 16);
  return bytes;
}

const ENTRIES = [
  ['MESSAGE=one', 'PRIORITY=6', '_PID=1'],
  ['MESSAGE=two\nlines', 'PRIORITY=6'],
  ['MESSAGE=three=3', '_PID=1', `LONG=${'x'.repeat(300)}`],
] as const;

async function read(bytes: Buffer): Promise<string[][]> {
  const found: string[][] = [];
  for await (const { fields } of journalEntries(constantDevice(bytes))) {
    found.push([...fields].map(([name, value]) => `${name}=${value}`));
  }
  return found;
}

for (const compact of [false, true]) {
  test(`entries of a journal${compact ? ' in compact form' : ''}`, async () => {
    const bytes = journalOf(ENTRIES, compact);
    assert.deepEqual(await read(bytes), ENTRIES);
    const { value } = await journalEntries(constantDevice(bytes)).next();
    assert.equal(value?.time, 1_000_000n);
  });
}

test('arrays that lead back, features that are not known, and no journal', async () => {
  const loop = journalOf(ENTRIES, false);
  const first = Number(loop.readBigUInt64LE(176));
  loop.writeBigUInt64LE(BigInt(first), first + 16);
  await assert.rejects(read(loop), { message: /entry array: one is at/ });
  const strange = journalOf(ENTRIES, false);
  strange.writeUInt32LE(64, 12);
  await assert.rejects(read(strange), { errno: 'ENOTSUP' });
  await assert.rejects(read(Buffer.alloc(300)), { message: /header: it is none/ });
  await assert.rejects(read(Buffer.alloc(3)), { errno: 'EIO' });
});

test('damaged journals give entries or an error', async () => {
  const random = new Random(7);
  const good = journalOf(ENTRIES, true);
  for (let round = 0; round < 500; round++) {
    const bytes = Buffer.from(good);
    for (let count = random.below(4); count >= 0; count--) {
      bytes[random.below(bytes.length)] = random.below(256);
    }
    try {
      assert.ok((await read(bytes)).length <= ENTRIES.length);
    } catch (error) {
      assert.ok(error instanceof BlockError, String(error));
    }
  }
});
