import { readFileSync } from 'node:fs';
import { UsageError } from '../block/errors.ts';

const PLACE = '/etc/services';

/** A TCP port by its number, or by the name of its service. @throws UsageError */
export function portNumber(text: string): number {
  const number = /^\d+$/.test(text) ? Number(text) : serviceNamed(text);
  if (number !== undefined && number > 0 && number < 65536) return number;
  throw new UsageError(`'${text}': expected 1 to 65535, or a name in ${PLACE}`);
}

function serviceNamed(name: string): number | undefined {
  for (const line of lines()) {
    const [first, port, ...aliases] = line.replace(/#.*/, '').trim().split(/\s+/);
    const [, number] = /^(\d+)\/tcp$/.exec(port ?? '') ?? [];
    if (number !== undefined && [first, ...aliases].includes(name)) return Number(number);
  }
  return undefined;
}

function lines(): string[] {
  try {
    return readFileSync(PLACE, 'latin1').split('\n');
  } catch {
    return [];
  }
}
