import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { StrictDevice } from '../../test/peer/strict-device.ts';
import type { BlockDevice } from '../block/device.ts';
import { BlockError } from '../block/errors.ts';
import { compare } from './compare.ts';
import { copy } from './copy.ts';
import { Journal, readJournal } from './journal.ts';

const folder = mkdtempSync(join(tmpdir(), 'nbdpipe-test-'));
after(() => rmSync(folder, { recursive: true }));

const SIZE = 1 << 20;
const content = Buffer.from(Array.from({ length: SIZE }, (_, index) => 1 + (index % 251)));
const requests = { requestSize: 1 << 16, requests: 3 };

/** Fails to be read from an offset on. */
function broken(source: StrictDevice, from: number): BlockDevice {
  return {
    size: source.size,
    read: (offset, length) => {
      if (offset >= BigInt(from)) throw new BlockError('EIO', 'it broke');
      return source.read(offset, length);
    },
  };
}

test('what broke goes on where everything before was durable', async () => {
  const path = join(folder, 'journal');
  const source = new StrictDevice(content);
  const destination = new StrictDevice(Buffer.alloc(SIZE + 4096));
  const journalOf = (start = 0n) => new Journal(path, source, destination, { start, every: 0 });
  const interrupted = copy(broken(source, SIZE / 2), destination, {
    ...requests,
    observer: journalOf(),
  });
  await assert.rejects(interrupted, /it broke/);
  const reached = readJournal(path);
  assert.ok(reached && reached.done > 0n && reached.done <= SIZE / 2);
  const { sourceSize, destinationSize, done } = reached;
  assert.deepEqual([sourceSize, destinationSize], [BigInt(SIZE), BigInt(SIZE + 4096)]);
  assert.ok(destination.counts.flush > 0);
  assert.ok(destination.bytes.subarray(0, Number(done)).equals(content.subarray(0, Number(done))));

  const before = source.counts.read;
  const observer = journalOf(done);
  await copy(source, destination, { ...requests, start: done, observer });
  await observer.complete();
  assert.equal(source.counts.read - before, (SIZE - Number(done)) / requests.requestSize);
  assert.equal(existsSync(path), false);
  await compare(source, destination);
});

test('nothing is written down that a flush has not made durable', async () => {
  const path = join(folder, 'unflushed');
  const plain = new StrictDevice(Buffer.alloc(SIZE));
  const destination: BlockDevice = {
    size: plain.size,
    read: (offset, length) => plain.read(offset, length),
    write: (offset, data) => plain.write(offset, data),
    flush: () => {
      assert.equal(existsSync(path), false);
      throw new BlockError('EIO', 'no flush');
    },
  };
  const source = new StrictDevice(content);
  const observer = new Journal(path, source, destination, { every: 0 });
  await assert.rejects(copy(source, destination, { observer }), /no flush/);
  assert.equal(existsSync(path), false);
});

test('a file that is no journal is refused and stays', () => {
  const path = join(folder, 'other');
  assert.equal(readJournal(path), undefined);
  for (const text of [
    '',
    'my thesis\n',
    'nbdcopy journal 1\nsource 5\ndestination 5\ndone 6\n',
    'nbdcopy journal 1\nsource 5\ndestination 5\ndone 5',
    'nbdcopy journal 2\nsource 5\ndestination 5\ndone 5\n',
  ]) {
    writeFileSync(path, text);
    assert.throws(() => readJournal(path), /is not a journal of a copy/);
    assert.equal(readFileSync(path, 'latin1'), text);
  }
});
