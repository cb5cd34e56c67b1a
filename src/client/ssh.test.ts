import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { temporaryFolder } from '../../test/peer/wire.ts';
import { parseNbdUri, type SshAddress } from '../protocol/uri.ts';
import { serve } from '../server/server.ts';
import { connect } from './connect.ts';
import { sshCommand } from './ssh.ts';

const commandOf = (uri: string) => sshCommand(parseNbdUri(uri).address as SshAddress);

test('the command of ssh, in which nothing of a URI is an option or a command', () => {
  assert.deepEqual(commandOf('nbd+ssh://host/x'), ['ssh', '-W', 'localhost:10809', '--', 'host']);
  assert.deepEqual(commandOf('nbd+ssh://me@host:2222/x?nbd-port=1'), [
    ...['ssh', '-p', '2222', '-l', 'me'],
    ...['-W', 'localhost:1', '--', 'host'],
  ]);
  const nasty = "/a'$(touch /tmp/x);b c";
  const [, dashes, host, there, ...more] = commandOf(
    `nbd+ssh://host/?socket=${encodeURIComponent(nasty)}`,
  );
  assert.deepEqual([dashes, host, more], ['--', 'host', []]);
  assert.equal(there, "nc -U '/a'\\''$(touch /tmp/x);b c'");
});

/** A program called ssh that notes what it was told, and leads to a socket. */
function fakeSsh(t: TestContext, socket: string): string {
  const folder = temporaryFolder(t);
  const code = `const s = require('node:net').connect(process.argv[1]).on('error', () => process.exit(255));
    process.stdin.pipe(s).pipe(process.stdout)`;
  const script = `#!/bin/sh
printf '%s\\n' "$@" >'${folder}/told'
exec '${process.execPath}' -e '${code.replaceAll("'", "'\\''")}' '${socket}'
`;
  writeFileSync(join(folder, 'ssh'), script, { mode: 0o755 });
  const { PATH = '' } = process.env;
  process.env.PATH = `${folder}${delimiter}${PATH}`;
  t.after(() => {
    process.env.PATH = PATH;
  });
  return join(folder, 'told');
}

test('a server behind ssh, which ends with the connection', async t => {
  const path = join(temporaryFolder(t), 'socket');
  const device = { size: 4n, read: (_: bigint, length: number) => Buffer.alloc(length, 'far') };
  const server = await serve(device, { listen: { path } });
  const told = fakeSsh(t, path);
  const client = await connect('nbd+ssh://me@far.example/');
  assert.equal((await client.read(0n, 4)).toString(), 'farf');
  await client.close();
  assert.equal(readFileSync(told, 'utf8'), '-l\nme\n-W\nlocalhost:10809\n--\nfar.example\n');
  await server.close();
  await assert.rejects(connect('nbd+ssh://far.example/'), {
    errno: 'ECONNRESET',
    message: /^cannot connect by ssh to far\.example: /,
  });
  const limits = { allow: { transports: ['tcp', 'unix'] } } as const;
  await assert.rejects(connect('nbd+ssh://h/', limits), { errno: 'EPERM' });
});
