import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import { freePort, listens } from '../peer/ports.ts';
import { runWell, type Starting, startProgram } from './programs.ts';

/** Makes a pair of keys, `path` and `path.pub`. */
export async function makeKey(path: string, passphrase = ''): Promise<void> {
  await runWell('ssh-keygen', ['-q', '-t', 'ed25519', '-N', passphrase, '-f', path]);
}

/**
 * OpenSSH on a port of its own, for who has one of some keys.
 * @param file where its files are, by their names: `known` will tell clients of its key.
 * @param keys names of pairs that are there.
 * @returns what the ssh plugin needs to log in with the first of them.
 */
export async function startSshd(
  t: Starting,
  file: (name: string) => string,
  keys: readonly string[],
): Promise<{ port: number; words: string[] }> {
  await makeKey(file('host'));
  const publicOf = (name: string) => readFileSync(file(`${name}.pub`), 'utf8');
  writeFileSync(file('authorized'), keys.map(publicOf).join(''));
  const port = await freePort();
  writeFileSync(file('known'), `[127.0.0.1]:${port} ${publicOf('host')}`);
  const settings = [
    `ListenAddress 127.0.0.1:${port}`,
    `HostKey ${file('host')}`,
    `AuthorizedKeysFile ${file('authorized')}`,
    `PidFile ${file('pid')}`,
    'StrictModes no',
    'UsePAM no',
    'PermitRootLogin yes',
    'PasswordAuthentication no',
    'MaxStartups 100',
    'Subsystem sftp internal-sftp',
  ];
  writeFileSync(file('sshd_config'), `${settings.join('\n')}\n`);
  if (process.getuid?.() === 0) mkdirSync('/run/sshd', { recursive: true });
  await startProgram(t, '/usr/sbin/sshd', ['-D', '-e', '-f', file('sshd_config')], () =>
    listens(port),
  );
  const who = [`user=${userInfo().username}`, `identity=${file(keys[0]!)}`, 'config='];
  return { port, words: ['host=127.0.0.1', `port=${port}`, ...who] };
}
