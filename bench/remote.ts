/** Disks on other machines, which are this one: OpenSSH and Ceph's S3 gateway. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { CEPH, startRadosgw } from '../test/interop/radosgw.ts';
import { freePort, listens } from '../test/peer/ports.ts';
import { copyOut, sourceOf, target, type Workload } from './kinds.ts';
import { run, Served, seconds } from './measure.ts';

/** The first part of the shared file; made when it is first needed. */
export async function partOf(folder: string, size: '256M' | '1G'): Promise<string> {
  const file = join(folder, `part-${size}`);
  if (!existsSync(file)) await run(['sh', '-c', `head -c ${size} ${sourceOf(folder)} > ${file}`]);
  return file;
}

/** 1 GiB through the ssh plugins of both sides, from or to the same server. */
export function overSsh(way: 'read' | 'write'): Workload {
  return {
    name: `ssh, ${way} 1 GiB`,
    unit: 's',
    goal: 1.2,
    needs: ['nbdkit', 'nbdcopy', 'ssh-keygen', 'sshd'],
    start: async (side, folder) => {
      const part = await partOf(folder, '1G');
      const sshd = await startSshd(folder);
      const path = way === 'read' ? part : target(folder);
      const server = await Served.start(side, folder, ['ssh', path, ...sshd.words]);
      const words = way === 'read' ? copyOut(server.uri) : ['nbdcopy', part, server.uri];
      return {
        measure: () => seconds(words),
        stop: async () => {
          await server.stop();
          await sshd.stop();
        },
      };
    },
  };
}

async function startSshd(folder: string) {
  const port = await freePort();
  const file = (name: string) => join(folder, `ssh-${port}-${name}`);
  for (const name of ['host', 'key']) {
    await run(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-f', file(name)]);
  }
  const publicOf = (name: string) => readFileSync(file(`${name}.pub`), 'utf8');
  writeFileSync(file('authorized'), publicOf('key'));
  writeFileSync(file('known'), `[127.0.0.1]:${port} ${publicOf('host')}`);
  const settings = [
    `ListenAddress 127.0.0.1:${port}`,
    `HostKey ${file('host')}`,
    `AuthorizedKeysFile ${file('authorized')}`,
    `PidFile ${file('pid')}`,
    'StrictModes no',
    'UsePAM no',
    'PermitRootLogin yes',
    'Subsystem sftp internal-sftp',
  ];
  writeFileSync(file('config'), `${settings.join('\n')}\n`);
  if (process.getuid?.() === 0) mkdirSync('/run/sshd', { recursive: true });
  const child = spawn('/usr/sbin/sshd', ['-D', '-f', file('config')], { stdio: 'ignore' });
  const ended = once(child, 'exit');
  while (!(await listens(port))) {
    if (child.exitCode !== null) throw new Error('sshd does not start');
    await delay(20);
  }
  const stop = async () => {
    child.kill('SIGTERM');
    await ended;
  };
  const where = ['host=127.0.0.1', `port=${port}`, `user=${userInfo().username}`];
  const keys = [`identity=${file('key')}`, `known-hosts=${file('known')}`, 'config='];
  return { words: [...where, ...keys], stop };
}

const UPLOAD = `
import boto3, sys
path, url, access, secret = sys.argv[1:]
s3 = boto3.client("s3", endpoint_url=url, aws_access_key_id=access, aws_secret_access_key=secret)
s3.create_bucket(Bucket="disks")
s3.upload_file(path, "disks", "disk")
`;

/** An object at a gateway of its own for each side; that of C is a script of Python with boto3. */
export const fromS3: Workload = {
  name: 'S3 from radosgw, read 256 MiB',
  unit: 's',
  goal: 2,
  needs: ['nbdkit', 'nbdcopy', ...CEPH],
  start: async (side, folder) => {
    const part = await partOf(folder, '256M');
    const endings: (() => void | Promise<void>)[] = [];
    const gateway = await startRadosgw({ after: end => void endings.push(end) });
    const { endpoint, accessKey, secretKey } = gateway;
    await run(['/usr/bin/python3', '-c', UPLOAD, part, endpoint, accessKey, secretKey]);
    const keys = [`access-key=${accessKey}`, `secret-key=${secretKey}`];
    const words = ['S3', `endpoint-url=${endpoint}`, ...keys, 'bucket=disks', 'key=disk'];
    const server = await Served.start(side, folder, words);
    return {
      measure: () => seconds(copyOut(server.uri)),
      stop: async () => {
        await server.stop();
        for (const end of endings) await end();
      },
    };
  },
};
