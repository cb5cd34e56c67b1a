import { UsageError } from '../../block/errors.ts';

/**
 * Goes on as another user and group, by name or number.
 * @throws UsageError there is no such user or group, or this one may not become it.
 */
export function dropPrivileges(to: { user: string | undefined; group: string | undefined }): void {
  const { user, group } = to;
  if (group !== undefined) {
    attempt('group', group, id => {
      process.setgroups!([id]);
      process.setgid!(id);
    });
  }
  if (user !== undefined) {
    attempt('user', user, id => {
      if (group === undefined) process.setgroups!([process.getgid!()]);
      process.setuid!(id);
    });
  }
}

function attempt(what: string, text: string, become: (id: string | number) => void): void {
  try {
    become(/^\d+$/.test(text) ? Number(text) : text);
  } catch (error) {
    const why = (error as NodeJS.ErrnoException).code === 'EPERM' ? 'not permitted' : 'no such one';
    throw new UsageError(`cannot change to ${what} '${text}': ${why}`, { cause: error });
  }
}
