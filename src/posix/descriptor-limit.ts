import { readFileSync } from 'node:fs';

let limit: number | undefined;

/** The number that no descriptor of this process reaches; Infinity where the system does not say. */
export function descriptorLimit(): number {
  limit ??= ask();
  return limit;
}

function ask(): number {
  try {
    const limits = readFileSync('/proc/self/limits', 'latin1');
    return Number(/^Max open files\s+(\d+)/m.exec(limits)?.[1] ?? Number.POSITIVE_INFINITY);
  } catch {
    return Number.POSITIVE_INFINITY;
  }
}
