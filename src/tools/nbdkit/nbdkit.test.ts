import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, type TestContext, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { commandOf } from '../../../test/peer/command.ts';
import { connectCommand, connectSystemdSocketActivation } from '../../client/command.ts';
import { connect } from '../../client/connect.ts';
import { parseCommandLine } from '../cli.ts';
import { Given, OPTIONS, readSettings } from './options.ts';

const folder = mkdtempSync(join(tmpdir(), 'nbdpipe-test-'));
after(() => rmSync(folder, { recursive: true }));

const COMMAND = commandOf('nbdkit');

function nbdkit(...argv: string[]) {
  const options = { encoding: 'utf8', cwd: folder } as const;
  return spawnSync(process.execPath, [...COMMAND, ...argv], options);
}

/** Starts a server in the foreground and waits for its socket. */
async function started(t: TestContext, socket: string, ...argv: string[]): Promise<ChildProcess> {
  const child = spawn(process.execPath, [...COMMAND, '-f', '-U', socket, ...argv], {
    cwd: folder,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  t.after(() => child.kill('SIGKILL'));
  const gone = once(child, 'exit').then(() => assert.fail(`nbdkit ${argv} ended`));
  while (!existsSync(join(folder, socket))) await Promise.race([gone, delay(20)]);
  gone.catch(() => {});
  return child;
}

const uriOf = (socket: string) => `nbd+unix://?socket=${join(folder, socket)}`;

const settings = (...argv: string[]) =>
  readSettings(new Given(parseCommandLine(OPTIONS, argv).given), 0);

test('where to listen', () => {
  const tcp = { kind: 'tcp', port: 10809, address: undefined, family: undefined };
  assert.deepEqual(settings().where, tcp);
  assert.deepEqual(settings('-4', '-6', '-p', '7', '-i', '::1').where, {
    ...tcp,
    port: 7,
    address: '::1',
    family: 6,
  });
  assert.deepEqual(settings('--run', 'true').where, { kind: 'unix', path: undefined });
  assert.deepEqual(settings('--run', 'true', '-p', '0').where, { ...tcp, port: 0 });
  assert.deepEqual(settings('-U', '-').where, { kind: 'unix', path: undefined });
  assert.deepEqual(settings('-U', 'x').where, { kind: 'unix', path: 'x' });
  assert.deepEqual(settings('-s').where, { kind: 'stdio' });
});

test('what goes into the background', () => {
  assert.equal(settings().background, true);
  for (const option of ['-f', '-s', '--exit-with-parent', '--run=true']) {
    assert.equal(settings(option).background, false, option);
  }
});

test('options that cannot be are refused in words', () => {
  const refused = (why: RegExp, ...argv: string[]) =>
    assert.throws(() => settings(...argv), { name: 'UsageError', message: why });
  refused(/^--unix and --port cannot be used together$/, '-p1', '-Ux');
  refused(/^--single and --run cannot be used together$/, '-s', '--run=x');
  refused(/^--exportname: too long: expected at most 4096 bytes$/, '-e', 'x'.repeat(4097));
  refused(/^--port: cannot parse '65536': expected a whole number from 0 to 65535$/, '-p65536');
  refused(/^--threads: cannot parse 'x'/, '-tx');
  refused(/^--mask-handshake: cannot parse '-1'/, '--mask-handshake=-1');
  refused(/^--log: unknown value 'x'/, '--log=x');
  refused(/^-D: cannot parse 'a=1': expected NAME\.FLAG=N$/, '-Da=1');
  refused(/^--tls: unknown value 'maybe': expected off, on or require$/, '--tls=maybe');
  refused(/^--oldstyle and --tls=require cannot be used together$/, '-o', '--tls=require');
  refused(/^--unix and --vsock cannot be used together$/, '--vsock', '-Ux');
  refused(/^--single and --dump-plugin cannot be used together$/, '-s', '--dump-plugin');
  refused(/^--timeout: cannot parse 'x': expected a time such as 100ms or 2s$/, '--timeout=x');
  const activated = new Given(parseCommandLine(OPTIONS, ['-p', '1']).given);
  assert.throws(() => readSettings(activated, 1), /--port cannot be used with socket activation/);
  assert.equal(settings('-n', '-o').oldstyle, true);
  assert.equal(settings('-o', '-n').oldstyle, false);
});

test('a captive command gets the variables, and its exit status is ours', () => {
  const shown = nbdkit(
    'null',
    '1M',
    '-e',
    "it's",
    '--run',
    'echo "$uri|$nbd|$port|$exportname"; test -S "$unixsocket"',
  );
  assert.equal(shown.stderr, '');
  assert.equal(shown.status, 0);
  const [uri, nbd, port, name] = shown.stdout.trimEnd().split('|');
  assert.match(uri!, /^nbd\+unix:\/\/\/it's\?socket=\/tmp\/nbdkit[^/]+\/socket$/);
  assert.deepEqual([nbd, port, name], [uri, '', "it's"]);
  assert.equal(existsSync(/socket=(.*)\/socket/.exec(uri!)![1]!), false);
  assert.equal(nbdkit('null', '--run', 'exit 7').status, 7);
  const killed = nbdkit('null', '--run', 'kill -9 $$');
  const words = 'nbdkit: external command was killed by signal 9\n';
  assert.deepEqual([killed.status, killed.stderr], [137, words]);
  const tcp = nbdkit('null', '-i', '127.0.0.1', '-p', '0', '--run', 'echo "$uri $port"');
  const [, one, two] = /^nbd:\/\/127\.0\.0\.1:(\d+) (\d+)\n$/.exec(tcp.stdout)!;
  assert.equal(one, two);
});

test('bad words are one line each', () => {
  writeFileSync(join(folder, 'taken'), '');
  writeFileSync(join(folder, 'bad.mjs'), 'export default {};');
  const cases: [string[], RegExp][] = [
    [[], /^nbdkit: error: no plugin is given: expected nbdkit PLUGIN/],
    [['memroy', '1G'], /^nbdkit: error: unknown plugin 'memroy': did you mean 'memory'\?$/m],
    [
      ['--filter=nosuch', 'null'],
      /^nbdkit: error: unknown filter 'nosuch': expected one of .*offset/,
    ],
    [['./nosuch.ts'], /^nbdkit: error: no file .*nosuch\.ts$/m],
    [['./bad.mjs'], /bad\.mjs: is not a plugin: expected its default export/],
    [['memory', '1X'], /^nbdkit: memory: error: size: cannot parse '1X': expected a number/],
    [
      ['memory', '9E'],
      /^nbdkit: memory: error: size: cannot parse '9E': larger than 2\^63-1 bytes$/m,
    ],
    [['memory'], /^nbdkit: memory: error: size: must be given/],
    [
      ['null', 'sizee=1'],
      /^nbdkit: null: error: unknown parameter 'sizee': expected one of size$/m,
    ],
    [['-f', '-U', 'taken', 'null'], /taken: address already in use$/m],
    [['-f', '-U', 'no/dir', 'null'], /no\/dir: no such directory$/m],
    [['-f', '-U', 'x'.repeat(108), 'null'], /too long: expected at most 107 bytes$/m],
    [['-f', '-i', '192.0.2.1', 'null'], /^nbdkit: error: 192\.0\.2\.1 port 10809: no such address/],
  ];
  for (const [argv, why] of cases) {
    const { status, stderr } = nbdkit(...argv);
    assert.match(stderr, why, argv.join(' '));
    assert.equal(stderr.trimEnd().split('\n').length, 1, stderr);
    assert.equal(status, 1);
  }
});

test('a port in use is one line, also when the server would go into the background', async t => {
  const holder = net.createServer().listen(0, '127.0.0.1');
  t.after(() => holder.close());
  await once(holder, 'listening');
  const { port } = holder.address() as net.AddressInfo;
  const { status, stderr } = nbdkit('-i', '127.0.0.1', '-p', String(port), 'null');
  assert.equal(stderr, `nbdkit: error: 127.0.0.1 port ${port}: address already in use\n`);
  assert.equal(status, 1);
});

test('a signal ends the service in order: requests finish, files go', async t => {
  const server = await started(t, 'signal', '-P', 'signal.pid', 'memory', '1M');
  const pidFile = join(folder, 'signal.pid');
  while (!existsSync(pidFile)) await delay(20);
  assert.equal(readFileSync(pidFile, 'utf8'), `${server.pid}\n`);
  const client = await connect(uriOf('signal'));
  await client.write!(0n, Buffer.from('hello'));
  server.kill('SIGTERM');
  const [status] = await once(server, 'exit');
  assert.equal(status, 0);
  assert.deepEqual(
    readdirSync(folder).filter(name => name.startsWith('signal')),
    [],
  );
  await client.close();
});

test('the background: ready when the command returns, and gone with a signal', async () => {
  // Files, as pipes would be waited for: tsx has a process of its own that keeps them open.
  const words = '"$@" -U bg -P bg.pid --print-uri pattern 1M >bg.out 2>bg.err </dev/null';
  const argv = ['-c', words, 'sh', process.execPath, ...COMMAND];
  const { status } = spawnSync('sh', argv, { cwd: folder, stdio: 'ignore' });
  const said = ['bg.out', 'bg.err'].map(name => readFileSync(join(folder, name), 'utf8'));
  assert.deepEqual([status, ...said], [0, `${uriOf('bg')}\n`, '']);
  const pid = Number(readFileSync(join(folder, 'bg.pid'), 'utf8'));
  const client = await connect(uriOf('bg'));
  assert.equal(client.size, 1048576n);
  await client.close();
  process.kill(pid, 'SIGINT');
  while (existsSync(join(folder, 'bg.pid'))) await delay(20);
  assert.equal(existsSync(join(folder, 'bg')), false);
});

test('a plugin of the user, in TypeScript and in JavaScript, outside of any package', async t => {
  const types = 'interface Size { readonly size: bigint }\n';
  const body = (type: string) => `
    import { BlockError, definePlugin, zeroes } from 'nbdpipe/plugin';
    export default definePlugin({
      name: 'mine',
      description: 'mine',
      parameters: { size: { type: 'size', bare: true, required: true, help: 'Size' } },
      create({ size }${type}) {
        const read = (offset, length) => {
          if (offset > 0n) throw new BlockError('ENOSPC', 'no luck');
          return zeroes(length);
        };
        return { open: () => ({ size, read }) };
      },
    });`;
  writeFileSync(join(folder, 'mine.ts'), types + body(': Size'));
  writeFileSync(join(folder, 'mine.mjs'), body(''));
  for (const name of ['mine.ts', 'mine.mjs']) {
    await started(t, `socket-${name}`, `./${name}`, '1M');
    const client = await connect(uriOf(`socket-${name}`));
    assert.equal(client.size, 1048576n);
    await assert.rejects(async () => client.read(1n, 1), { errno: 'ENOSPC' });
    await client.close();
  }
});

test('parameters go to the first filter that declares them', async t => {
  await started(t, 'filtered', '--filter=offset', '--filter=readonly', 'pattern', '1M', 'offset=8');
  const client = await connect(uriOf('filtered'));
  assert.equal(client.size, 1048568n);
  assert.deepEqual(
    Buffer.from((await client.read(0n, 8)) as Uint8Array),
    Buffer.from([0, 0, 0, 0, 0, 0, 0, 8]),
  );
  await client.close();
});

test('standard input and output, and a socket that is passed on', async () => {
  const single = await connectCommand([process.execPath, ...COMMAND, '-s', 'null', '1M']);
  assert.equal(single.size, 1048576n);
  await single.close();
  const argv = [process.execPath, ...COMMAND, 'null', '2M'];
  const activated = await connectSystemdSocketActivation(argv);
  assert.equal(activated.size, 2097152n);
  await activated.close();
});

test('what --exit-with-parent started ends with its parent', async () => {
  const words = '"$@" & sleep 60';
  const argv = [
    '-c',
    words,
    'sh',
    process.execPath,
    ...COMMAND,
    '--exit-with-parent',
    '-U',
    'orphan',
    'null',
  ];
  const parent = spawn('sh', argv, { cwd: folder, stdio: 'ignore', detached: true });
  const socket = join(folder, 'orphan');
  while (!existsSync(socket)) await delay(20);
  parent.kill('SIGKILL');
  while (existsSync(socket)) await delay(20);
  // The sleep is left, in a group of its own.
  process.kill(-parent.pid!, 'SIGKILL');
});

test('certificates that are not there: a warning, and clients are told that there is no TLS', () => {
  const words = ['--tls-certificates=/nonexistent', 'null', '--run', 'echo "$tls $uri"'];
  const { stdout, stderr, status } = nbdkit(...words);
  assert.match(stderr, /^nbdkit: warning: --tls=on: clients cannot use TLS: \/nonexistent: .*\n$/);
  assert.match(stdout, /^ nbd\+unix:/);
  assert.equal(status, 0);
});

test('debug flags that nobody knows are warned of', () => {
  const flags = ['data.AST=1', 'data.x=1', 'foo.x=1', 'nbdkit.x=1', 'nbdkit.backend.datapath=0'];
  const { stderr, status } = nbdkit(
    ...flags.flatMap(flag => ['-D', flag]),
    'data',
    '1',
    '--run',
    ':',
  );
  const said = ['-D data.x: data has', 'debug flag -D foo.x was', '-D nbdkit.x: nbdkit has'];
  const lines = stderr.trimEnd().split('\n');
  assert.deepEqual([status, lines.length], [0, said.length]);
  for (const [index, words] of said.entries()) {
    assert.ok(lines[index]!.startsWith(`nbdkit: warning: ${words}`), lines[index]);
  }
});

test('help and facts come from the declarations', () => {
  const help = nbdkit('--filter=offset', 'memory', '--help').stdout;
  assert.match(help, /\nfilter: offset \(.*\)\n.*\noffset=<SIZE> /);
  assert.match(help, /\nplugin: memory \(.*\)\n.*\nsize=<SIZE> +\(required\) /);
  assert.match(nbdkit('--help').stdout, /\nplugins: .*\bmemory\b.*\nfilters: .*\blog\b/);
  assert.match(
    nbdkit('memory', '--dump-plugin').stdout,
    /^name=memory$.*^magic_config_key=size$.*^has_config=1$.*^has_pread=1$/ms,
  );
  const model = /^thread_model=serialize_connections$/m;
  const serialize = 'serialize=connections';
  assert.match(
    nbdkit('--filter=nofilter', '--filter=noparallel', 'null', serialize, '--dump-plugin').stdout,
    model,
  );
  assert.match(nbdkit('--dump-config').stdout, /^name=nbdkit$/m);
  assert.match(nbdkit('--version').stdout, /^nbdkit 1\.48\.0 \(nbdpipe \d+\.\d+\.\d+\)\n$/);
  assert.match(nbdkit('--long-options').stdout, /^--exit-with-parent$/m);
  assert.match(nbdkit('--short-options').stdout, /^-U$/m);
});
