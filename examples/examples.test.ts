import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { test } from 'node:test';

const root = resolve(import.meta.dirname, '..');
const nbdkit = [process.execPath, join(root, 'dist/nbdkit.cjs')] as const;
const stripes = join(root, 'examples/stripes.ts');

test('a plugin of ten lines is served, and the client library reads it', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'nbdpipe-examples-'));
  const path = join(folder, 'socket');
  const words = [nbdkit[1], '-f', '-U', path, '-P', join(folder, 'pid'), stripes, '1M', 'byte=7'];
  const server = spawn(nbdkit[0], words, { stdio: ['ignore', 'inherit', 'inherit'] });
  try {
    const { connect } = await import('../src/client/connect.ts');
    const { contiguous } = await import('../src/block/data.ts');
    const uri = `nbd+unix:///?socket=${path}`;
    const patience = AbortSignal.timeout(10_000);
    let client = await connect(uri).catch(() => undefined);
    while (!client && !patience.aborted) client = await connect(uri).catch(() => undefined);
    assert.ok(client, 'the server does not answer');
    const bytes = contiguous(await client.read(500n, 600));
    const expected = Buffer.alloc(600);
    expected.fill(7, 0, 12).fill(7, 524);
    assert.deepEqual(Buffer.from(bytes), expected);
    await client.close();
  } finally {
    server.kill();
    await once(server, 'exit');
    rmSync(folder, { recursive: true });
  }
});

test('help for a plugin comes from its declaration', () => {
  const help = execFileSync(nbdkit[0], [nbdkit[1], stripes, '--help'], { encoding: 'utf8' });
  assert.match(help, /byte/);
  assert.match(help, /What the stripes consist of/);
});
