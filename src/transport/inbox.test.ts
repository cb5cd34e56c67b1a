import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Inbox } from './inbox.ts';

const numbered = (length: number) => Buffer.from(Array.from({ length }, (_, at) => at % 251));

/** As a transport does: the space is asked for before there is anything to put into it. */
function deliver(space: Uint8Array, bytes: Uint8Array, inbox: Inbox): void {
  space.set(bytes);
  inbox.received(bytes.length);
}

function inboxOf(leftover = Buffer.alloc(0)): Inbox {
  return new Inbox(
    leftover,
    () => {},
    () => {},
  );
}

test('a payload for several views that was read ahead fills them all', () => {
  const inbox = inboxOf();
  const armed = inbox.space();
  const views = [Buffer.alloc(3), Buffer.alloc(5), Buffer.alloc(4)];
  let complete = 0;
  inbox.expect(views, 28, () => {
    complete += 1;
  });
  const bytes = numbered(10);
  deliver(armed, bytes, inbox);
  assert.deepEqual(Buffer.concat(views).subarray(0, 10), bytes);
  assert.deepEqual([complete, inbox.expecting, inbox.available], [0, true, 0]);
  deliver(inbox.space(), Buffer.from([77, 78]), inbox);
  assert.deepEqual(Buffer.concat(views), Buffer.concat([bytes, Buffer.from([77, 78])]));
  assert.deepEqual([complete, inbox.expecting], [1, false]);
});

test('what follows a payload that was read ahead stays for the parser', () => {
  const inbox = inboxOf();
  const armed = inbox.space();
  const payload = Buffer.alloc(4);
  inbox.expect(payload, 28, () => {});
  deliver(armed, numbered(10), inbox);
  assert.deepEqual(payload, numbered(4));
  assert.equal(inbox.available, 6);
  assert.equal(inbox.buffer[inbox.start], 4);
});

test('there is always space, however much comes before anything is parsed', () => {
  const inbox = inboxOf(numbered(1000));
  const expected = [numbered(1000)];
  for (let round = 0; round < 50; round++) {
    const space = inbox.space();
    assert.ok(space.length > 0, `round ${round}`);
    const bytes = numbered(Math.min(space.length, 5000));
    deliver(space, bytes, inbox);
    expected.push(bytes);
  }
  const held = inbox.buffer.subarray(inbox.start, inbox.end);
  assert.ok(held.equals(Buffer.concat(expected)));
});

test('after a long payload only the next header is read ahead', () => {
  const inbox = inboxOf();
  const payload = Buffer.alloc(1 << 16);
  inbox.expect(payload, 28, () => {});
  deliver(inbox.space(), numbered(1 << 16), inbox);
  assert.deepEqual(payload, numbered(1 << 16));
  assert.equal(inbox.space().length, 28);
});
