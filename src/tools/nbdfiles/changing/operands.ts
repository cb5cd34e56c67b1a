import { UsageError } from '../../../block/errors.ts';

/** Permissions in octal, as chmod takes them. @throws UsageError */
export function parseMode(text: string): number {
  if (/^[0-7]{1,5}$/.test(text) && Number.parseInt(text, 8) <= 0o7777) {
    return Number.parseInt(text, 8);
  }
  throw new UsageError(`${text}: expected permissions in octal, such as 0644`);
}

/** `FIRST:SECOND`, cut at the first colon. @throws UsageError there is none. */
export function pairOf(option: string, text: string, form: string): readonly [string, string] {
  const colon = text.indexOf(':');
  if (colon > 0) return [text.slice(0, colon), text.slice(colon + 1)];
  throw new UsageError(`--${option}: ${text}: expected ${form}`);
}
