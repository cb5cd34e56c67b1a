/** Disks on another machine, which is this one, by OpenSSH. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { after, describe, type TestContext, test } from 'node:test';
import { contiguous } from '../../src/block/data.ts';
import type { BlockDevice } from '../../src/block/device.ts';
import { PASS, wrapDevice } from '../../src/block/wrap.ts';
import { deviceContract } from '../contract/contract.ts';
import { makersOf, pluginSource, REQUEST } from '../contract/open.ts';
import { freePort } from '../peer/ports.ts';
import { temporaryFolder } from '../peer/wire.ts';
import { has, ourCommands, runWell, type Starting, startProgram } from './programs.ts';
import { makeKey, startSshd } from './sshd.ts';

const SSHD = '/usr/sbin/sshd';
const folder = mkdtempSync(join(tmpdir(), 'nbdpipe-ssh-'));
const file = (name: string) => join(folder, name);
const endings: (() => Promise<void>)[] = [];
after(async () => {
  for (const end of endings) await end();
  rmSync(folder, { recursive: true });
});

/** Keys and a server that all tests use, started by the first of them. */
async function start(): Promise<{ port: number; words: string[] }> {
  await makeKey(file('key'));
  await makeKey(file('locked'), 'sesame');
  await makeKey(file('stranger'));
  const until: Starting = { after: end => void endings.push(async () => end()) };
  return startSshd(until, file, ['key', 'locked']);
}

let started: ReturnType<typeof start> | undefined;
const ready = () => {
  started ??= start();
  return started;
};

/** What a connection needs beside the path; undefined where there is no sshd. */
async function server(t: TestContext) {
  return has(t, 'sshd', 'ssh-keygen') ? await ready() : undefined;
}

const KNOWN = `known-hosts=${file('known')}`;

async function opened(...words: string[]): Promise<BlockDevice> {
  return await (await pluginSource('ssh', ...words)).open(REQUEST);
}

if (existsSync(SSHD)) {
  let count = 0;
  const open = async () => {
    const { words } = await ready();
    const path = file(`disk-${count++}`);
    writeFileSync(path, randomBytes(300_000));
    truncateSync(path, 1_000_001);
    const device = await opened(...words, KNOWN, path);
    return wrapDevice(device, { ...PASS, recipe: device.recipe });
  };
  deviceContract('ssh', open, { writes: 'kept', steps: 60, makers: makersOf('ssh') });
}

test('copies by nbdkit', async t => {
  const here = await server(t);
  if (!here) return;
  const { env } = ourCommands(t);
  const [from, to, back] = ['from', 'to', 'back'].map(file) as [string, string, string];
  writeFileSync(from, randomBytes(5_000_001));
  const ssh = ['-U', '-', 'ssh', ...here.words, KNOWN, to];
  const create = ['create=true', 'create-size=5000001', 'create-mode=0640'];
  await runWell('nbdkit', [...ssh, ...create, '--run', `nbdcopy --flush '${from}' "$uri"`], {
    env,
  });
  assert.ok(readFileSync(to).equals(readFileSync(from)));
  assert.equal(statSync(to).mode & 0o777, 0o640);
  await runWell('nbdkit', [...ssh, '--run', `nbdcopy "$uri" '${back}'`], { env });
  assert.ok(readFileSync(back).equals(readFileSync(from)));
});

test('a file that may only be read, and one that is made by the first client', async t => {
  const here = await server(t);
  if (!here) return;
  writeFileSync(file('small'), 'hello');
  const source = await pluginSource('ssh', ...here.words, KNOWN, file('small'));
  const device = await source.open({ ...REQUEST, readOnly: true });
  assert.deepEqual([device.size, device.write, device.multiConn], [5n, undefined, true]);
  assert.equal(Buffer.from(contiguous(await device.read(1n, 3))).toString(), 'ell');
  await device.close?.();
  const creating = ['create=1', 'create-size=4096'];
  const made = await pluginSource('ssh', ...here.words, KNOWN, file('made'), ...creating);
  const first = await made.open(REQUEST);
  await first.write!(0n, Buffer.from('kept'));
  const second = await made.open(REQUEST);
  assert.equal(Buffer.from(contiguous(await second.read(0n, 4))).toString(), 'kept');
  await first.close?.();
  await second.close?.();
});

test('a connection that is lost fails all requests', async t => {
  const here = await server(t);
  if (!here) return;
  writeFileSync(file('lost'), Buffer.alloc(4096));
  const device = await opened(...here.words, KNOWN, file('lost'));
  truncateSync(file('lost'), 100);
  await assert.rejects(async () => device.read(0n, 4096), /the file ends at 100 bytes now/);
  await device.close?.();
  await assert.rejects(async () => device.read(0n, 100), { errno: 'ECONNRESET' });
});

describe('who is let in', () => {
  const cases: Readonly<Record<string, (port: number) => [words: string[], why?: RegExp]>> = {
    'by an encrypted key': () => [[`identity=${file('locked')}`, 'passphrase=sesame']],
    'a passphrase is missing': () => [[`identity=${file('locked')}`], /give passphrase=/],
    'not by another key': () => [[`identity=${file('stranger')}`], /does not let this user in/],
    'a key that is not there': () => [[`identity=${file('nothing')}`], /identity: .*ENOENT/],
    'a host that is not known': () => [
      [`identity=${file('key')}`, `known-hosts=${file('nothing')}`],
      /is not known: its ssh-ed25519 key is not in/,
    ],
    'a host with another key': port => {
      const other = readFileSync(file('stranger.pub'), 'utf8');
      writeFileSync(file('changed'), `[127.0.0.1]:${port} ${other}`);
      const words = [`identity=${file('key')}`, `known-hosts=${file('changed')}`];
      return [words, /has another ssh-ed25519 key/];
    },
    'a host that is not asked for its key': () => [
      [`identity=${file('key')}`, `known-hosts=${file('nothing')}`, 'verify-remote-host=false'],
    ],
  };
  for (const [what, wordsOf] of Object.entries(cases)) {
    test(what, async t => {
      const here = await server(t);
      if (!here) return;
      const [words, why] = wordsOf(here.port);
      writeFileSync(file('small'), 'hello');
      const known = words.some(word => word.startsWith('known-hosts')) ? [] : [KNOWN];
      const common = here.words.filter(word => !word.startsWith('identity'));
      const opening = opened(...common, ...words, ...known, file('small'));
      if (why) await assert.rejects(opening, why);
      else await (await opening).close?.();
    });
  }

  test('by the files of ssh, and an agent', async t => {
    const here = await server(t);
    if (!here || !has(t, 'ssh-agent', 'ssh-add')) return;
    const socket = join(temporaryFolder(t), 'agent');
    await startProgram(t, '/usr/bin/ssh-agent', ['-D', '-a', socket], () => existsSync(socket));
    const added = spawnSync('ssh-add', ['-q', file('key')], {
      env: { ...process.env, SSH_AUTH_SOCK: socket },
    });
    assert.equal(added.status, 0);
    writeFileSync(
      file('config'),
      `Host disk*\n  HostName 127.0.0.1\n  Port ${here.port}\n  UserKnownHostsFile "${file('known')}"\n` +
        `  IdentityAgent ${socket}\n  IdentityFile ${file('nothing')}\nHost *\n  Port 1\n  User ${userInfo().username}\n`,
    );
    writeFileSync(file('small'), 'hello');
    const device = await opened('host=disks', `config=${file('config')}`, file('small'));
    assert.equal(device.size, 5n);
    await device.close?.();
  });
});

test('what is not there', async t => {
  const here = await server(t);
  if (!here) return;
  const missing = opened(...here.words, KNOWN, file('missing'));
  await assert.rejects(missing, { errno: 'ENOENT', message: /missing: no such file$/ });
  const port = await freePort();
  const nobody = opened('host=127.0.0.1', `port=${port}`, 'config=', KNOWN, 'x');
  await assert.rejects(nobody, /^BlockError: 127\.0\.0\.1: .*ECONNREFUSED/);
});
