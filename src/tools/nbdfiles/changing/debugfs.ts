import { writeFileSync } from 'node:fs';
import { BlockError } from '../../../block/errors.ts';
import { bytesOf } from '../../../formats/fs/names.ts';
import { runProgram } from '../../../posix/program.ts';

/** A command of debugfs, word by word: names as file systems here have them. */
export type Command = readonly [string, ...string[]];

/** debugfs ends a line there, whatever stands around it. */
const UNSAYABLE = /[\0\n\r]/;
/** Bytes of a line that debugfs reads as one. */
const LONGEST = 8000;
const GREETING = /^debugfs \d[^\n]*$/;

/**
 * Has debugfs (of e2fsprogs) change a file system. It ends well whatever happens, so that each word of
 * complaint counts as a failure, after which some of the commands may have been obeyed.
 * @param script the name of a file for the commands, which is made.
 * @throws BlockError ENOTSUP a name that debugfs has no word for; EIO what it complains of.
 */
export async function runDebugfs(
  path: string,
  commands: readonly Command[],
  script: string,
): Promise<void> {
  writeFileSync(script, Buffer.concat(commands.map(lineOf)), { mode: 0o600 });
  const variables = { LC_ALL: 'C', DEBUGFS_PAGER: '__none__' };
  const options = { variables, reason: 'first' } as const;
  const words = await runProgram('debugfs', ['-w', '-f', script, path], options);
  const complaint = words.split('\n').find(line => line.trim() !== '' && !GREETING.test(line));
  if (complaint !== undefined) throw new BlockError('EIO', `debugfs: ${complaint.trim()}`);
}

/** A word in quotation marks, where a quotation mark is doubled and nothing else means anything. */
export function lineOf(command: Command): Buffer {
  const odd = command.find(word => UNSAYABLE.test(word));
  if (odd !== undefined) {
    throw new BlockError('ENOTSUP', `'${odd}': debugfs takes no names with a line end in them`);
  }
  const [name, ...words] = command;
  const quoted = words.map(word => ` "${word.replaceAll('"', '""')}"`);
  const line = bytesOf(`${name}${quoted.join('')}\n`);
  if (line.length > LONGEST) throw new BlockError('ENOTSUP', 'a name is too long for debugfs');
  return line;
}
