import { readFileSync } from 'node:fs';
import { BlockError, errnoOf, reasonOf, UsageError } from '../../block/errors.ts';
import type { Key } from '../../inspect/encrypted.ts';
import type { FilesLine } from './commands.ts';
import { has } from './sources.ts';

/**
 * The keys of encrypted volumes: `--key ID:key:TEXT`, `--key ID:file:NAME`, where ID may be `all`,
 * and those of standard input, one a line.
 * @throws UsageError; BlockError a file cannot be read.
 */
export function keysOf(line: FilesLine): Key[] {
  const given = line.given.filter(({ key }) => key === 'key').map(({ value }) => keyOf(value!));
  if (!has(line, 'keysFromStdin')) return given;
  const lines = readFileSync(0, 'utf8').split('\n').filter(Boolean);
  return [...given, ...lines.map(text => ({ id: undefined, passphrase: Buffer.from(text) }))];
}

function keyOf(selector: string): Key {
  const [, id, kind, value] = /^([^:]+):(key|file):(.*)$/s.exec(selector) ?? [];
  if (kind === undefined) {
    // What was given may be the key itself, which is not repeated.
    throw new UsageError('--key: expected ID:key:TEXT or ID:file:NAME');
  }
  const passphrase = kind === 'key' ? Buffer.from(value!) : keyFile(value!);
  return { id: id === 'all' ? undefined : id, passphrase };
}

/** A line end after the key is none of it. */
function keyFile(name: string): Buffer {
  try {
    const bytes = readFileSync(name);
    return bytes.at(-1) === 0x0a ? bytes.subarray(0, -1) : bytes;
  } catch (error) {
    throw new BlockError(errnoOf(error), `--key: ${name}: ${reasonOf(error)}`, { cause: error });
  }
}
