import { chownSync } from 'node:fs';
import { UsageError } from '../../block/errors.ts';

/**
 * Goes on as another user and group, by name or number.
 * @param directory shall belong to them.
 * @throws UsageError there is no such user or group, or this one may not become it.
 */
export function dropPrivileges(
  user: string | undefined,
  group: string | undefined,
  directory: string | undefined,
): void {
  if (group !== undefined) {
    attempt('group', group, id => {
      process.setgroups!([id]);
      process.setgid!(id);
    });
  }
  if (user !== undefined) {
    attempt('user', user, id => {
      if (directory !== undefined) chownSync(directory, numberOf(id), -1);
      if (group === undefined) process.setgroups!([process.getgid!()]);
      process.setuid!(id);
    });
  }
}

/** Only the system knows the numbers of names: it is asked by becoming that user for a moment. */
function numberOf(user: string | number): number {
  const before = process.geteuid!();
  process.seteuid!(user);
  const id = process.geteuid!();
  process.seteuid!(before);
  return id;
}

function attempt(what: string, text: string, become: (id: string | number) => void): void {
  try {
    become(/^\d+$/.test(text) ? Number(text) : text);
  } catch (error) {
    const why = (error as NodeJS.ErrnoException).code === 'EPERM' ? 'not permitted' : 'no such one';
    throw new UsageError(`cannot change to ${what} '${text}': ${why}`);
  }
}
