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

test('the next header comes with the end of a payload, and waits for the parser', () => {
  const inbox = inboxOf();
  const payload = Buffer.alloc(1 << 14);
  let complete = false;
  inbox.expect(payload, 28, () => {
    complete = true;
  });
  deliver(inbox.space(), numbered(1000), inbox);
  const space = inbox.space();
  const beyond = inbox.beyond()!;
  assert.deepEqual([space.length, beyond.length], [payload.length - 1000, 28]);
  const bytes = numbered(space.length + 20);
  space.set(bytes.subarray(0, space.length));
  beyond.set(bytes.subarray(space.length));
  inbox.received(bytes.length);
  assert.ok(complete);
  assert.ok(payload.equals(Buffer.concat([numbered(1000), bytes.subarray(0, space.length)])));
  const held = inbox.buffer.subarray(inbox.start, inbox.end);
  assert.ok(held.equals(bytes.subarray(space.length)));
});

test('what comes beyond a payload fills the next one, when that begins at once', () => {
  const inbox = inboxOf();
  const second = Buffer.alloc(100);
  inbox.expect(Buffer.alloc(10), 28, () => inbox.expect(second, 28, () => {}));
  const space = inbox.space();
  inbox.beyond()!.set(numbered(40));
  inbox.received(space.length + 40);
  assert.ok(second.subarray(0, 40).equals(numbered(40)));
  assert.deepEqual([inbox.available, inbox.expecting], [0, true]);
  assert.equal(inbox.space().length, 60);
});

test('only the last of several views has something beyond it', () => {
  const inbox = inboxOf();
  inbox.expect([Buffer.alloc(3), Buffer.alloc(5)], 28, () => {});
  inbox.space();
  assert.equal(inbox.beyond(), undefined);
});
