import assert from 'node:assert/strict';
import net from 'node:net';
import { join } from 'node:path';
import { PassThrough, Writable } from 'node:stream';
import { test } from 'node:test';
import { temporaryFolder } from '../../test/peer/wire.ts';
import { SocketTransport } from './socket.ts';
import { StreamTransport } from './stream.ts';

test('a stream: the news that all was sent comes however little it was', async () => {
  let taken: () => void = () => {};
  const slow = new Writable({
    write: (_bytes, _encoding, done) => {
      taken = done;
    },
  });
  const transport = new StreamTransport(new PassThrough(), slow);
  const drained = new Promise<void>(resolve => {
    transport.onDrain = resolve;
  });
  transport.send([Buffer.alloc(5), Buffer.alloc(6)]);
  assert.equal(transport.queued, 11);
  taken();
  await new Promise(setImmediate);
  taken();
  await drained;
  assert.equal(transport.queued, 0);
});

test('a socket: the news that all was sent comes however little it was', async t => {
  const path = join(temporaryFolder(t), 'socket');
  const accepted = new Promise<net.Socket>(resolve => {
    const listener = net.createServer({ pauseOnConnect: true }, resolve).listen(path);
    t.after(() => listener.close());
  });
  const transport = await SocketTransport.connect({ path });
  const other = await accepted;
  t.after(() => {
    other.destroy();
    transport.destroy();
  });
  while (transport.queued === 0) transport.send([Buffer.alloc(512), Buffer.alloc(512)]);
  assert.ok(transport.queued <= 1024, 'too little for the stream to say so itself');
  const drained = new Promise<void>(resolve => {
    transport.onDrain = resolve;
  });
  other.resume();
  await drained;
  assert.equal(transport.queued, 0);
});
