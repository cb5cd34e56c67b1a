import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { UsageError } from '../block/errors.ts';

/** Where the build puts the pages: NAME.1 for man, and NAME.md as it was written. */
const PAGES = new URL(
  import.meta.url.endsWith('.ts') ? '../../dist/man/' : './man/',
  import.meta.url,
);

const pathOf = (file: string) => fileURLToPath(new URL(file, PAGES));

/**
 * Shows a manual page with man(1).
 * @param names the page of the first of these that there is.
 * @returns the page as it was written, to be printed, where man cannot show it.
 * @throws UsageError there is no such page.
 */
export function showManual(names: readonly string[]): string {
  const name = names.find(each => existsSync(pathOf(`${each}.1`)));
  if (name === undefined) throw new UsageError(`there is no manual page ${names.join(' or ')}`);
  const { status } = spawnSync('man', [pathOf(`${name}.1`)], {
    stdio: ['inherit', 'inherit', 'ignore'],
  });
  return status === 0 ? '' : readFileSync(pathOf(`${name}.md`), 'utf8');
}
