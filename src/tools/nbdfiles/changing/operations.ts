import { accessSync, constants, type Stats, statSync } from 'node:fs';
import { basename, posix, resolve } from 'node:path';
import { BlockError, errnoOf, reasonOf, UsageError } from '../../../block/errors.ts';
import { withInput } from '../making/input.ts';
import { endedLine, injectKey, setPassword } from './accounts.ts';
import type { Editor } from './editor.ts';
import { matching } from './glob.ts';
import { Importer } from './importer.ts';
import { pairOf, parseMode } from './operands.ts';
import { editByPerl } from './perl.ts';
import { setHostname, setTimezone } from './settings.ts';
import { asBytes, copyFile, neededContent, rewrite } from './text-file.ts';

/** What is said to the user on standard error. */
export interface Saying {
  /** What was left out. */
  warn(words: string): void;
}

/** One option of customize: what its value is like, and what it does. */
export interface Operation {
  /** Absent: it has no value. */
  readonly form?: string;
  run(editor: Editor, value: string, saying: Saying): Promise<void>;
}

/** Those that change files, by the names that virt-customize has. */
export const OPERATIONS: Readonly<Record<string, Operation>> = {
  'append-line': {
    form: 'FILE:LINE',
    run: async (editor, value) => {
      const [path, line] = pairOf('append-line', value, 'FILE:LINE');
      await rewrite(editor, path, text => `${endedLine(text)}${asBytes(line)}\n`);
    },
  },
  chmod: {
    form: 'PERMISSIONS:FILE',
    run: async (editor, value) => {
      const [mode, path] = pairOf('chmod', value, 'PERMISSIONS:FILE');
      await editor.set(path, { mode: parseMode(mode) });
    },
  },
  chown: {
    form: 'UID:GID:FILE',
    run: async (editor, value) => {
      const [, uid, gid, path] = /^(\d{1,9})[:.](\d{1,9}):(.+)$/s.exec(value) ?? [];
      if (path === undefined) throw new UsageError(`--chown: ${value}: expected UID:GID:FILE`);
      await editor.set(path, { uid: Number(uid), gid: Number(gid) });
    },
  },
  copy: {
    form: 'SOURCE:DEST',
    run: (editor, value) => copyFile(editor, ...pairOf('copy', value, 'SOURCE:DEST')),
  },
  'copy-in': {
    form: 'LOCALPATH:REMOTEDIR',
    run: (editor, value, saying) => {
      const [local, directory] = pairOf('copy-in', value, 'LOCALPATH:REMOTEDIR');
      return importerFor(editor, saying).copy([local], directory);
    },
  },
  delete: {
    form: 'PATH',
    run: async (editor, value) => {
      for (const path of await matching(editor, value)) await editor.remove(path);
    },
  },
  edit: {
    form: 'FILE:EXPR',
    run: (editor, value) => editByPerl(editor, ...pairOf('edit', value, 'FILE:EXPR')),
  },
  hostname: { form: 'HOSTNAME', run: setHostname },
  link: {
    form: 'TARGET:LINK[:LINK..]',
    run: async (editor, value) => {
      const [target, links] = pairOf('link', value, 'TARGET:LINK[:LINK..]');
      for (const path of links.split(':')) await editor.symlink(target, path);
    },
  },
  mkdir: { form: 'DIR', run: (editor, value) => editor.mkdir(value) },
  move: {
    form: 'SOURCE:DEST',
    run: (editor, value) => editor.move(...pairOf('move', value, 'SOURCE:DEST')),
  },
  password: {
    form: 'USER:SELECTOR',
    run: (editor, value, { warn }) => {
      const [user, selector] = pairOf('password', value, 'USER:SELECTOR');
      return setPassword(editor, user, selector, warn);
    },
  },
  'root-password': {
    form: 'SELECTOR',
    run: (editor, value, { warn }) => setPassword(editor, 'root', value, warn),
  },
  'selinux-relabel': {
    run: editor => editor.write('/.autorelabel', { content: Buffer.alloc(0) }),
  },
  'ssh-inject': {
    form: 'USER[:SELECTOR]',
    run: (editor, value) => {
      const colon = value.indexOf(':');
      if (colon < 0) return injectKey(editor, value, undefined);
      return injectKey(editor, value.slice(0, colon), value.slice(colon + 1));
    },
  },
  'tar-in': {
    form: 'TARFILE:REMOTEDIR',
    run: (editor, value, saying) => {
      const [archive, directory] = pairOf('tar-in', value, 'TARFILE:REMOTEDIR');
      return withInput(archive, folder => importerFor(editor, saying).copyAll(folder, directory));
    },
  },
  timezone: { form: 'TIMEZONE', run: setTimezone },
  touch: { form: 'FILE', run: touch },
  truncate: {
    form: 'FILE',
    run: async (editor, path) => {
      await neededContent(editor, path);
      await editor.write(path, { content: Buffer.alloc(0) });
    },
  },
  'truncate-recursive': { form: 'PATH', run: truncateAll },
  upload: {
    form: 'FILE:DEST',
    run: (editor, value) => upload(editor, ...pairOf('upload', value, 'FILE:DEST')),
  },
  write: {
    form: 'FILE:CONTENT',
    run: (editor, value) => {
      const [path, content] = pairOf('write', value, 'FILE:CONTENT');
      return editor.write(path, { content: Buffer.from(content) });
    },
  },
};

/** Those that need the system to run. */
export const NEED_A_GUEST = [
  'firstboot',
  'firstboot-command',
  'firstboot-install',
  'inject-blnsvr',
  'inject-qemu-ga',
  'inject-virtio-win',
  'install',
  'run',
  'run-command',
  'scrub',
  'sm-attach',
  'sm-credentials',
  'sm-register',
  'sm-remove',
  'sm-unregister',
  'uninstall',
  'update',
] as const;

function importerFor(editor: Editor, { warn }: Saying): Importer {
  return new Importer(editor, (path, type) => warn(`${path}: a ${type} is left out`));
}

async function touch(editor: Editor, path: string): Promise<void> {
  if (await editor.existing(path)) await editor.set(path, { mtime: Date.now() / 1000 });
  else await editor.write(path, { content: Buffer.alloc(0) });
}

async function truncateAll(editor: Editor, path: string): Promise<void> {
  const files: string[] = [];
  for await (const place of editor.tree.walk(await editor.tree.find(path))) {
    if (place.node.stat.type === 'file') files.push(place.path);
  }
  for (const file of files) await editor.write(file, { content: Buffer.alloc(0) });
}

async function upload(editor: Editor, local: string, to: string): Promise<void> {
  const directory = await editor.existing(to);
  const isFolder = directory?.node.stat.type === 'directory';
  const target = isFolder ? posix.join(to, basename(local)) : to;
  const { mode, uid, gid } = statOfLocal(local);
  const content = { path: resolve(local) };
  await editor.write(target, { content, mode: mode & 0o7777, uid, gid });
}

function statOfLocal(local: string): Stats {
  try {
    accessSync(local, constants.R_OK);
    const stat = statSync(local);
    if (stat.isFile()) return stat;
  } catch (error) {
    throw new BlockError(errnoOf(error), `${local}: ${reasonOf(error)}`, { cause: error });
  }
  throw new UsageError(`--upload: ${local}: is no regular file`);
}
