import { posix } from 'node:path';
import { BlockError, UsageError } from '../../../block/errors.ts';
import type { Editor } from './editor.ts';
import { contentIn, rewrite } from './text-file.ts';

const HOSTNAME = '/etc/hostname';
const HOSTS = '/etc/hosts';
const ZONES = '/usr/share/zoneinfo';

/** What a system is called; its old name in /etc/hosts becomes the new one. @throws UsageError */
export async function setHostname(editor: Editor, name: string): Promise<void> {
  if (!/^[\da-z]([\da-z.-]{0,251}[\da-z])?$/i.test(name)) {
    throw new UsageError(`--hostname: ${name}: expected letters, digits, dots and hyphens`);
  }
  if (!(await editor.existing('/etc'))) throw new BlockError('ENOENT', '/etc: is not there');
  const old = (await contentIn(editor, HOSTNAME))?.toString('latin1').trim();
  await editor.write(HOSTNAME, { content: Buffer.from(`${name}\n`) });
  if (!old || old === 'localhost' || !(await editor.existing(HOSTS))) return;
  const renamed = (word: string) => {
    if (word === old) return name;
    return word.startsWith(`${old}.`) ? `${name.split('.')[0]}${word.slice(old.length)}` : word;
  };
  await rewrite(editor, HOSTS, text =>
    text.replace(/^[^#\n]*/gm, line => line.replace(/\S+/g, renamed)),
  );
}

/** By the link /etc/localtime, and the file that Debian has beside it. @throws UsageError */
export async function setTimezone(editor: Editor, zone: string): Promise<void> {
  const path = posix.join(ZONES, zone);
  const file = path.startsWith(`${ZONES}/`) ? await editor.existing(path) : undefined;
  if (file?.node.stat.type !== 'file') {
    throw new UsageError(`--timezone: ${zone}: the system has no such time zone in ${ZONES}`);
  }
  await editor.symlink(path, '/etc/localtime');
  const name = '/etc/timezone';
  if (await editor.existing(name)) await editor.write(name, { content: Buffer.from(`${zone}\n`) });
}
