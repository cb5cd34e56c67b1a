import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort, listens } from '../peer/ports.ts';
import { runWell, type Starting, startProgram } from './programs.ts';

/** What Ceph's gateway needs to be there. */
export const CEPH = ['ceph-mon', 'ceph-osd', 'ceph', 'monmaptool', 'radosgw', 'radosgw-admin'];

const CLUSTER = '11111111-2222-3333-4444-555555555555';
const DISK = '22222222-3333-4444-5555-666666666666';

export interface Gateway {
  readonly endpoint: string;
  readonly accessKey: string;
  readonly secretKey: string;
}

/**
 * Ceph with one monitor, one disk in memory and an S3 gateway, as small and as quick to begin as it
 * can be: 4 s and more.
 */
export async function startRadosgw(t: Starting): Promise<Gateway> {
  const folder = mkdtempSync(join(tmpdir(), 'nbdpipe-ceph-'));
  const file = (name: string) => join(folder, name);
  try {
    return await start(t, file);
  } finally {
    t.after(() => rmSync(folder, { recursive: true }));
  }
}

async function start(t: Starting, file: (name: string) => string): Promise<Gateway> {
  const [monitor, gateway] = [await freePort(), await freePort()];
  for (const name of ['mon', 'osd']) mkdirSync(file(name));
  writeFileSync(file('ceph.conf'), configuration(file, monitor, gateway));
  writeFileSync(file('osd/fsid'), `${DISK}\n`);
  const conf = ['-c', file('ceph.conf')];
  const monitors = ['--create', '--fsid', CLUSTER, '--addv', 'a', `[v1:127.0.0.1:${monitor}/0]`];
  await runWell('monmaptool', [...monitors, file('monmap')]);
  await runWell('ceph-mon', [...conf, '-i', 'a', '--mkfs', '--monmap', file('monmap')]);
  await startProgram(t, 'ceph-mon', [...conf, '-i', 'a', '-f'], () => listens(monitor));
  // What the disk would tell the monitor by itself it may tell before they know each other.
  const told = `osd new ${DISK}\nosd crush add osd.0 1 root=default\n`;
  await runWell('ceph', conf, { input: told });
  await runWell('ceph-osd', [...conf, '-i', '0', '--mkfs', '--osd-uuid', DISK]);
  await startProgram(t, 'ceph-osd', [...conf, '-i', '0', '-f'], () => true);
  const radosgw = [...conf, '-n', 'client.rgw', '-f'];
  await startProgram(t, 'radosgw', radosgw, () => listens(gateway));
  const [accessKey, secretKey] = ['NBDPIPE', 'the secret/of+it'];
  const user = [
    '--uid=u',
    '--display-name=u',
    `--access-key=${accessKey}`,
    `--secret=${secretKey}`,
  ];
  await runWell('radosgw-admin', [...conf, 'user', 'create', ...user]);
  return { endpoint: `http://127.0.0.1:${gateway}`, accessKey, secretKey };
}

function configuration(file: (name: string) => string, monitor: number, gateway: number): string {
  // The monitor waits for others to agree unless it is told not to.
  return `[global]
fsid = ${CLUSTER}
mon host = v1:127.0.0.1:${monitor}
auth cluster required = none
auth service required = none
auth client required = none
ms mon client mode = crc
ms bind msgr2 = false
run dir = ${file('')}
log file = ${file('$name.log')}
admin socket =
pid file =
mon data = ${file('mon')}
mon cluster log file = ${file('cluster.log')}
mon data avail crit = 0
mon allow pool size one = true
paxos propose interval = 0.01
paxos min wait = 0.01
osd data = ${file('osd')}
osd objectstore = memstore
osd class load list = *
osd class default list = *
osd class update on start = false
osd crush update on start = false
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
osd pool default pgp num = 1
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
rgw frontends = beast endpoint=127.0.0.1:${gateway}
rgw enable apis = s3
rgw run sync thread = false
`;
}
