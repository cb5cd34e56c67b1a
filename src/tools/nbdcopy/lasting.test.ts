/** Copies that outlive lost connections and interruptions, and are read back. */
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, type TestContext, test } from 'node:test';
import type { BlockDevice, OpenRequest } from '../../block/device.ts';
import { sourceOf } from '../../declare/declare.ts';
import { Server } from '../../server/server.ts';
import { parseCommandLine } from '../cli.ts';
import { copy } from './copy.ts';
import { OPTIONS, readSettings } from './options.ts';

const folder = mkdtempSync(join(tmpdir(), 'nbdpipe-test-'));
after(() => rmSync(folder, { recursive: true }));

const SIZE = 1 << 20;
const content = Buffer.from(Array.from({ length: SIZE }, (_, index) => 1 + (index % 251)));

function memory(bytes: Buffer): BlockDevice {
  return {
    size: BigInt(bytes.length),
    read: (offset, length) => bytes.subarray(Number(offset), Number(offset) + length),
    write: (offset, data) => void bytes.set(data, Number(offset)),
    flush: () => {},
  };
}

async function serve(t: TestContext, open: (request: OpenRequest) => BlockDevice): Promise<string> {
  const server = new Server({ source: sourceOf(open) });
  t.after(() => server.close());
  const path = join(folder, `${Math.random()}`);
  await server.listen({ path });
  return `nbd+unix:///?socket=${path}`;
}

const nbdcopy = (...argv: string[]) => {
  const { given, words } = parseCommandLine(OPTIONS, argv);
  const [from, to] = words.map(word => ({ word }));
  return copy(from!, to!, readSettings(given));
};

test('a connection that is lost at either end is made again', async t => {
  let losses = 0;
  /** Is lost at its eleventh request, once. */
  const losing = (device: BlockDevice, request: OpenRequest, kind: 'read' | 'write') => {
    let requests = 0;
    const act = device[kind]! as (...values: unknown[]) => unknown;
    const lossy = (...values: unknown[]) => {
      requests += 1;
      if (requests === 11 && losses < 2) {
        losses += 1;
        request.disconnect(true);
      }
      return act(...values);
    };
    return { ...device, [kind]: lossy };
  };
  const bytes = Buffer.alloc(SIZE);
  const from = await serve(t, request => losing(memory(content), request, 'read'));
  const to = await serve(t, request => losing(memory(bytes), request, 'write'));
  await assert.rejects(nbdcopy('--request-size=32k', from, to));
  losses = 0;
  await nbdcopy('--request-size=32k', '--retries=2', '--verify', from, to);
  assert.equal(losses, 2);
  assert.ok(bytes.equals(content));
});

test('a server that comes back with another disk is an error', async t => {
  let size = SIZE;
  const from = await serve(t, request => ({
    ...memory(content.subarray(0, size)),
    read: () => {
      size = SIZE / 2;
      request.disconnect(true);
      return Buffer.alloc(0);
    },
  }));
  await assert.rejects(nbdcopy('--retries=1', from, 'null:'), /has 524288 bytes now/);
});

test('--verify finds what the destination has made of the copy', async t => {
  const bytes = Buffer.alloc(SIZE);
  const forgetful = memory(bytes);
  const to = await serve(t, () => ({
    ...forgetful,
    flush: () => {
      bytes[77_777] = 0;
    },
  }));
  const source = join(folder, 'to-verify');
  writeFileSync(source, content);
  await assert.rejects(nbdcopy('--verify', source, to), /differs from the source at offset 77777$/);
  await nbdcopy('--verify', source, join(folder, 'verified'));
  await assert.rejects(nbdcopy('--verify', source, 'null:'), /null: cannot be read again/);
});

test('--resume goes on where the journal says, and ends with the copy', async () => {
  const [source, target, journal] = ['source', 'target', 'journal'].map(name => join(folder, name));
  const run = (...options: string[]) => nbdcopy(...options, '--resume', journal!, source!, target!);
  const begun = (done: number, size = SIZE) => {
    writeFileSync(source!, content);
    writeFileSync(target!, Buffer.alloc(size, 0xee));
    const sizes = `source ${SIZE}\ndestination ${SIZE}\n`;
    writeFileSync(journal!, `nbdcopy journal 1\n${sizes}done ${done}\n`);
  };
  begun(200_000);
  await run('--destination-is-zero');
  const copied = readFileSync(target!);
  // What was durable is not copied again, but for the block in which it ended.
  assert.ok(copied.subarray(0, 196_608).every(byte => byte === 0xee));
  assert.ok(copied.subarray(196_608).equals(content.subarray(196_608)));
  assert.equal(existsSync(journal!), false);

  await run();
  assert.ok(readFileSync(target!).equals(content));
  assert.equal(existsSync(journal!), false);

  begun(200_000, SIZE / 2);
  await assert.rejects(
    run(),
    /--resume: the destination .* has 524288 bytes, and had 1048576 before$/,
  );
  assert.equal(readFileSync(target!).length, SIZE / 2);
  begun(0);
  writeFileSync(source!, 'short');
  await assert.rejects(run(), /--resume: the source .* has 5 bytes/);
  writeFileSync(journal!, 'x');
  await assert.rejects(run(), /--resume: .* is not a journal/);
  await assert.rejects(run('--blkhash'), /--resume: --blkhash/);
  assert.ok(existsSync(journal!));
});
