/** What values that come from others' code must be like, and the words for those that are not. */

/** What is wrong with the value of this name, as a sentence; undefined when nothing is. */
export type Check = (value: unknown, name: string) => string | undefined;

/** A check of some members of an object. */
export type Shape = Readonly<Record<string, Check>>;

/** The first fault among the members of an object. @param name of the object, "" for the outermost. */
export function faultOf(value: unknown, shape: Shape, name = ''): string | undefined {
  if (typeof value !== 'object' || value === null) return mustBe('an object')(value, name);
  for (const [member, check] of Object.entries(shape)) {
    const path = name === '' ? member : `${name}.${member}`;
    const fault = check((value as Record<string, unknown>)[member], path);
    if (fault !== undefined) return fault;
  }
  return undefined;
}

/** The value in a few words. */
export function shown(value: unknown): string {
  if (typeof value === 'string') return `'${value.length > 40 ? `${value.slice(0, 40)}…` : value}'`;
  if (typeof value === 'number') return `the number ${value}`;
  if (typeof value === 'bigint') return `${value}n`;
  if (typeof value === 'function') return 'a function';
  if (Array.isArray(value)) return 'an array';
  return typeof value === 'object' && value !== null ? 'an object' : String(value);
}

/** Fails unless the value passes. @param what it must be, in words. */
export function mustBe(what: string, passes: (value: unknown) => boolean = () => false): Check {
  return (value, name) =>
    passes(value) ? undefined : `${name} must be ${what}, not ${shown(value)}`.trimStart();
}

const ofType = (type: string, what: string) => mustBe(what, value => typeof value === type);

export const aFunction = ofType('function', 'a function');
export const aString = ofType('string', 'a string');
export const aBoolean = ofType('boolean', 'true or false');

export function optional(check: Check): Check {
  return (value, name) => (value === undefined ? undefined : check(value, name));
}

export function oneOf(words: readonly string[]): Check {
  return (value, name) =>
    words.includes(value as string)
      ? undefined
      : `${name}: ${shown(value)} is none of ${words.join(', ')}`;
}

/** A list whose items all pass. */
export function listOf(check: Check): Check {
  return (value, name) => {
    if (!Array.isArray(value)) return mustBe('an array')(value, name);
    for (const [index, item] of value.entries()) {
      const fault = check(item, `${name}[${index}]`);
      if (fault !== undefined) return fault;
    }
    return undefined;
  };
}
