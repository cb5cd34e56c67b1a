/** Disks on other machines, which are this one: OpenSSH and Ceph's S3 gateway. */
import { existsSync, mkdtempSync } from 'node:fs';
import { join } from 'node:path';
import type { Starting } from '../test/interop/programs.ts';
import { CEPH, startRadosgw } from '../test/interop/radosgw.ts';
import { makeKey, startSshd } from '../test/interop/sshd.ts';
import { copyOut, sourceOf, target, type Workload } from './kinds.ts';
import { run, Served, seconds } from './measure.ts';

/** The first part of the shared file; made when it is first needed. */
export async function partOf(folder: string, size: '256M' | '1G'): Promise<string> {
  const file = join(folder, `part-${size}`);
  if (!existsSync(file)) await run(['sh', '-c', `head -c ${size} ${sourceOf(folder)} > ${file}`]);
  return file;
}

/** What was started for a workload. */
class Started implements Starting {
  readonly #endings: (() => void | Promise<void>)[] = [];

  after(end: () => void | Promise<void>): void {
    this.#endings.push(end);
  }

  async end(): Promise<void> {
    for (const end of this.#endings) await end();
  }
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
      const started = new Started();
      const own = mkdtempSync(join(folder, 'ssh-'));
      const file = (name: string) => join(own, name);
      await makeKey(file('key'));
      const sshd = await startSshd(started, file, ['key']);
      const path = way === 'read' ? part : target(folder);
      const server = await Served.start(side, folder, [
        'ssh',
        path,
        ...sshd.words,
        `known-hosts=${file('known')}`,
      ]);
      const words = way === 'read' ? copyOut(server.uri) : ['nbdcopy', part, server.uri];
      return {
        measure: () => seconds(words),
        stop: async () => {
          await server.stop();
          await started.end();
        },
      };
    },
  };
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
    const started = new Started();
    const gateway = await startRadosgw(started);
    const { endpoint, accessKey, secretKey } = gateway;
    await run(['/usr/bin/python3', '-c', UPLOAD, part, endpoint, accessKey, secretKey]);
    const keys = [`access-key=${accessKey}`, `secret-key=${secretKey}`];
    const words = ['S3', `endpoint-url=${endpoint}`, ...keys, 'bucket=disks', 'key=disk'];
    const server = await Served.start(side, folder, words);
    return {
      measure: () => seconds(copyOut(server.uri)),
      stop: async () => {
        await server.stop();
        await started.end();
      },
    };
  },
};
