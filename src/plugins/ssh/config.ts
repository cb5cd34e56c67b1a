import { readFileSync } from 'node:fs';
import { matches } from './known-hosts.ts';

/** What files of ssh say of a host: values by keywords in lower case, in order. */
export type HostConfig = ReadonlyMap<string, readonly string[]>;

/** Of the keywords that matter here all values count, of others the first. */
export function readConfig(files: readonly string[], host: string): HostConfig {
  const values = new Map<string, string[]>();
  for (const file of files) {
    let applies = true;
    for (const line of linesOf(file)) {
      const [, keyword, rest] = /^\s*(\w+)(?:\s*=\s*|\s+)(.+?)\s*$/.exec(line) ?? [];
      if (keyword === undefined) continue;
      const key = keyword.toLowerCase();
      const words = wordsOf(rest!);
      if (key === 'host') applies = matches(words, host);
      // Conditions that need more than the name of the host are not understood here.
      else if (key === 'match') applies = rest!.toLowerCase() === 'all';
      else if (applies) values.set(key, [...(values.get(key) ?? []), ...words]);
    }
  }
  return values;
}

function linesOf(file: string): string[] {
  try {
    return readFileSync(file, 'utf8').split('\n');
  } catch {
    return [];
  }
}

/** Words may stand in quotation marks. */
function wordsOf(text: string): string[] {
  return [...text.matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain!);
}

/** What `%` and `~` stand for in names of files. */
export interface Expansions {
  readonly home: string;
  readonly localUser: string;
  readonly localHost: string;
  readonly host: string;
  readonly user: string;
  readonly port: number;
}

export function expand(path: string, about: Expansions): string {
  const values: Readonly<Record<string, string>> = {
    d: `${about.home}/.ssh`,
    u: about.localUser,
    l: about.localHost,
    h: about.host,
    r: about.user,
    p: String(about.port),
    '%': '%',
  };
  return path
    .replace(/^~(?=\/|$)/, about.home)
    .replace(/%(.)/g, (all, letter) => values[letter] ?? all);
}
