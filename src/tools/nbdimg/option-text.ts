import { UsageError } from '../../block/errors.ts';
import type {
  ParameterDeclaration,
  ParameterDeclarations,
  RawParameter,
} from '../../declare/parameters.ts';

/** `key=value,key=value`; two commas stand for one. */
export function splitOptions(text: string): RawParameter[] {
  const words = splitSingle(text).filter(word => word !== '');
  return words.map(word => {
    const equals = word.indexOf('=');
    if (equals < 0) {
      // A switch by its name alone.
      return word.startsWith('no') && word !== 'none'
        ? { key: word.slice(2), value: 'off' }
        : { key: word, value: 'on' };
    }
    return { key: word.slice(0, equals), value: word.slice(equals + 1) };
  });
}

/** Cuts where one comma stands alone. */
function splitSingle(text: string): string[] {
  return text
    .replaceAll(',,', '\0')
    .split(',')
    .map(part => part.replaceAll('\0', ','));
}

const KINDS: Partial<Record<ParameterDeclaration['type'], string>> = {
  boolean: 'bool (on/off)',
  size: 'size',
  integer: 'num',
};

/** What `-o help` tells of options. @param title what they are of */
export function optionsHelp(title: string, options: ParameterDeclarations): string {
  const lines = Object.keys(options)
    .sort()
    .map(key => {
      const { type, help } = options[key]!;
      return `  ${`${key}=<${KINDS[type] ?? 'str'}>`.padEnd(22)} - ${help}\n`;
    });
  return `${title}:\n${lines.join('')}`;
}

/** What `-o help` tells of the options of a new image. */
export const createHelp = (format: string, options: ParameterDeclarations = {}) =>
  optionsHelp(`Supported ${format} options`, {
    ...options,
    size: { type: 'size', help: 'Virtual disk size' },
  });

export const wantsHelp = (texts: readonly string[]) =>
  texts.some(text => text.split(',').some(word => word === 'help' || word === '?'));

/** A switch as one types it. @throws UsageError */
export function isOn(key: string, value: string): boolean {
  if (['on', 'yes', 'true', 'y'].includes(value)) return true;
  if (['off', 'no', 'false', 'n'].includes(value)) return false;
  throw new UsageError(`Parameter '${key}' expects 'on' or 'off'`);
}
