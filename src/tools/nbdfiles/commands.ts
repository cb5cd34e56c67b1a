import { UsageError } from '../../block/errors.ts';
import type { CommandLine, Option } from '../cli.ts';
import { nearest } from '../nearest.ts';

/** A command line, and the commands that stood in brackets in it. */
export interface FilesLine extends CommandLine<string> {
  readonly commands: readonly (readonly [string, ...string[]])[];
  /** How the program was called, for messages. */
  readonly program: string;
}

export interface FilesCommand {
  readonly options: Readonly<Record<string, Option>>;
  readonly help: string;
  /** @returns the exit status. */
  run(line: FilesLine): Promise<number>;
}

const COMMANDS: Readonly<Record<string, () => Promise<{ default: FilesCommand }>>> = {
  cat: () => import('./cat.ts'),
  chmod: () => import('./changing/chmod.ts'),
  'copy-in': () => import('./changing/copy-in.ts'),
  'copy-out': () => import('./copy-out.ts'),
  customize: () => import('./changing/customize.ts'),
  df: () => import('./df.ts'),
  diff: () => import('./diff.ts'),
  edit: () => import('./changing/edit.ts'),
  filesystems: () => import('./filesystems.ts'),
  inspector: () => import('./inspector.ts'),
  ls: () => import('./ls.ts'),
  'make-fs': () => import('./making/make-fs.ts'),
  rm: () => import('./changing/rm.ts'),
  tail: () => import('./tail.ts'),
  'tar-in': () => import('./changing/tar-in.ts'),
  'tar-out': () => import('./tar-out.ts'),
  write: () => import('./changing/write.ts'),
};

export function commandNames(): string[] {
  return Object.keys(COMMANDS);
}

/** @throws UsageError there is none of that name. */
export async function loadCommand(name: string): Promise<FilesCommand> {
  const load = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (load) return (await load()).default;
  const close = nearest(name, commandNames());
  const hint =
    close === undefined ? `expected ${commandNames().join(', ')}` : `did you mean '${close}'?`;
  throw new UsageError(`unknown command '${name}': ${hint}`);
}
