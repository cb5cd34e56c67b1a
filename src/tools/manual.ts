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
 * @returns the page as it was written, to be printed, where man cannot show it.
 * @throws UsageError there is no such page.
 */
export function showManual(name: string): string {
  const page = pathOf(`${name}.1`);
  if (!existsSync(page)) throw new UsageError(`there is no manual page ${name}`);
  const { status } = spawnSync('man', [page], { stdio: ['inherit', 'inherit', 'ignore'] });
  return status === 0 ? '' : readFileSync(pathOf(`${name}.md`), 'utf8');
}

/** Whether there is a manual page of this name. */
export function hasManual(name: string): boolean {
  return existsSync(pathOf(`${name}.1`));
}
