import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { commandOf } from '../../test/peer/command.ts';
import { temporaryFolder } from '../../test/peer/wire.ts';

interface Started {
  readonly program: ChildProcess;
  readonly stderr: () => string;
  /** The process of the server in brackets, once it has begun. */
  readonly server: () => Promise<number>;
  /** Where its socket is kept. */
  readonly folder: string;
}

/** A command with a server in brackets that does `script` first and then takes a long time. */
function start(t: TestContext, script: string, words: (server: string[]) => string[]): Started {
  // Before the folder goes, which says what is to be ended.
  t.after(() => {
    program.kill('SIGKILL');
    const server = existsSync(pid) ? Number(readFileSync(pid, 'utf8')) : 0;
    if (server > 0 && runs(server)) process.kill(server, 'SIGKILL');
  });
  const folder = temporaryFolder(t);
  const pid = join(folder, 'pid');
  const temporary = join(folder, 'tmp');
  mkdirSync(temporary);
  const all = `echo $$ >${pid}.new; mv ${pid}.new ${pid}; ${script}; exec sleep 1000`;
  const [name, ...argv] = words(['[', '/bin/sh', '-c', all, ']']);
  const program = spawn(process.execPath, [...commandOf(name!), ...argv], {
    env: { ...process.env, TMPDIR: temporary },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let stderr = '';
  program.stderr!.on('data', text => {
    stderr += text;
  });
  const serverPid = () => until(() => existsSync(pid) && Number(readFileSync(pid, 'utf8')));
  return { program, stderr: () => stderr, server: serverPid, folder: temporary };
}

async function until<T>(known: () => T | false): Promise<T> {
  for (let tries = 0; tries < 1000; tries++) {
    const value = known();
    if (value !== false) return value;
    await new Promise(resolve => setTimeout(resolve, 10));
  }
  throw new Error('it does not happen');
}

/** tsx keeps something there, too. */
const sockets = (folder: string) => readdirSync(folder).filter(name => name.startsWith('nbdpipe-'));

/** Whether a process is there and no zombie. */
function runs(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}

/** The program has ended by the signal, silently, and left nothing behind. */
async function leavesNothing(started: Started, signal: string): Promise<void> {
  const { program, stderr, server, folder } = started;
  const [code, by] = await once(program, 'close');
  assert.deepEqual([code, by, stderr()], [null, signal, '']);
  assert.equal(runs(await server()), false);
  assert.deepEqual(sockets(folder), []);
}

const COMMANDS: Readonly<Record<string, (server: string[]) => string[]>> = {
  nbdinfo: server => ['nbdinfo', ...server],
  'nbdcopy from it': server => ['nbdcopy', ...server, 'null:'],
};

for (const [what, words] of Object.entries(COMMANDS)) {
  describe(`${what}, ended by a signal, ends its server and removes the socket`, () => {
    for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) {
      test(signal, async t => {
        const started = start(t, ':', words);
        await started.server();
        started.program.kill(signal);
        await leavesNothing(started, signal);
      });
    }

    test('as soon as the server has been started', async t => {
      await leavesNothing(start(t, 'kill -TERM $PPID', words), 'SIGTERM');
    });
  });
}

test('a second signal ends it at once', async t => {
  const started = start(t, "trap '' TERM", server => ['nbdinfo', ...server]);
  await started.server();
  started.program.kill('SIGTERM');
  // The first one is known to have come when nothing handles the second.
  const status = `/proc/${started.program.pid}/status`;
  await until(() => isDefault(readFileSync(status, 'utf8')));
  started.program.kill('SIGINT');
  const [code, by] = await once(started.program, 'exit');
  assert.deepEqual([code, by], [null, 'SIGINT']);
});

/** Whether SIGINT has its default effect. */
function isDefault(status: string): boolean {
  const mask = /^SigCgt:\s+([0-9a-f]+)$/m.exec(status)![1]!;
  return (BigInt(`0x${mask}`) & 2n) === 0n;
}

test('an error ends the server, too', async t => {
  const started = start(t, 'exit 3', server => ['nbdinfo', ...server]);
  const [code] = await once(started.program, 'close');
  assert.equal(code, 1);
  assert.match(started.stderr(), /^nbdinfo: .*ended with status 3\n$/);
  assert.deepEqual(sockets(started.folder), []);
});
