import { shellWord } from '../posix/shell.ts';
import type { SshAddress } from '../protocol/uri.ts';

/**
 * The command whose standard input and output lead to the server. Nothing of a URI can become an
 * option of ssh, or a command there: the host stands after `--`, and the path is quoted.
 */
export function sshCommand({ ssh, sshPort, user, there }: SshAddress): string[] {
  const options: string[] = [];
  if (sshPort !== undefined) options.push('-p', String(sshPort));
  if (user !== undefined) options.push('-l', user);
  if ('port' in there) return ['ssh', ...options, '-W', `localhost:${there.port}`, '--', ssh];
  return ['ssh', ...options, '--', ssh, `nc -U ${shellWord(there.path)}`];
}
