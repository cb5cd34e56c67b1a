import { BlockError } from '../../block/errors.ts';

/** What LVM writes about itself: names with values, lists or more of the same. */
export type Section = ReadonlyMap<string, Value>;
export type Value = string | number | readonly Value[] | Section;

const DEEPEST = 16;
const TOKEN =
  /\s+|#[^\n]*|("(?:[^"\\]|\\.)*")|(-?\d+(?:\.\d+)?)|([A-Za-z0-9_.+-][A-Za-z0-9_.+/-]*)|([{}[\]=,])/sy;

/** @throws BlockError EIO it is damaged. */
export function parseText(text: string): Section {
  const tokens = tokensOf(text);
  let at = 0;
  const bad = (why: string) => new BlockError('EIO', `lvm: metadata: ${why}`);
  const expect = (token: string) => {
    if (tokens[at++] !== token) throw bad(`'${token}' is missing`);
  };
  const value = (depth: number): Value => {
    const token = tokens[at++];
    if (token === undefined || depth > DEEPEST) throw bad('it is cut short');
    if (token.startsWith('"')) return token.slice(1, -1).replace(/\\(.)/gs, '$1');
    if (token !== '[') {
      if (Number.isNaN(Number(token))) throw bad(`'${token.slice(0, 40)}' is no value`);
      return Number(token);
    }
    const list: Value[] = [];
    while (tokens[at] !== ']') {
      list.push(value(depth + 1));
      if (tokens[at] !== ']') expect(',');
    }
    at += 1;
    return list;
  };
  const section = (depth: number): Section => {
    if (depth > DEEPEST) throw bad('it is too deep');
    const found = new Map<string, Value>();
    while (at < tokens.length && tokens[at] !== '}') {
      const name = tokens[at++]!;
      if (tokens[at] === '{') {
        at += 1;
        found.set(name, section(depth + 1));
        expect('}');
      } else {
        expect('=');
        found.set(name, value(depth));
      }
    }
    return found;
  };
  const whole = section(0);
  if (at < tokens.length) throw bad('it does not end where it should');
  return whole;
}

function tokensOf(text: string): string[] {
  const tokens: string[] = [];
  TOKEN.lastIndex = 0;
  while (TOKEN.lastIndex < text.length) {
    const place = TOKEN.lastIndex;
    const match = TOKEN.exec(text);
    if (!match) throw new BlockError('EIO', `lvm: metadata: it is damaged at ${place}`);
    const token = match[1] ?? match[2] ?? match[3] ?? match[4];
    if (token !== undefined) tokens.push(token);
  }
  return tokens;
}

/** A value of a kind, which has to be there. @throws BlockError EIO */
export function textIn(section: Section, name: string): string {
  const value = section.get(name);
  if (typeof value === 'string') return value;
  throw new BlockError('EIO', `lvm: metadata: ${name} is missing`);
}

/** A whole number from 0 on. @throws BlockError EIO */
export function numberIn(section: Section, name: string): number {
  const value = section.get(name);
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return value;
  throw new BlockError('EIO', `lvm: metadata: ${name} is missing`);
}

/** The sections in a section; none where it is not there. */
export function sectionsIn(section: Section, name: string): [name: string, section: Section][] {
  const value = section.get(name);
  if (!(value instanceof Map)) return [];
  return [...value].flatMap(([key, inner]) =>
    inner instanceof Map ? [[key, inner] as [string, Section]] : [],
  );
}
