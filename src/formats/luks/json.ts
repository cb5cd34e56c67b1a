import { harmless } from '../../protocol/text.ts';
import { corrupt } from './header.ts';

type Json = unknown;
export type JsonObject = { [key: string]: Json };

/** Deeper than anything in LUKS2 is. */
const DEEPEST = 16;

/** JSON that somebody else made, read with a look at every type, and the place for messages. */
export class JsonAt {
  readonly value: Json;
  readonly #path: string;

  private constructor(value: Json, path: string) {
    this.value = value;
    this.#path = path;
  }

  /** What we make ourselves. */
  static of(value: JsonObject): JsonAt {
    return new JsonAt(value, '');
  }

  /** @throws BlockError EINVAL for what is no JSON, no object or nested too deep. */
  static parse(text: string): JsonAt {
    let value: Json;
    try {
      value = JSON.parse(text);
    } catch {
      throw corrupt('the metadata is no JSON');
    }
    checkDepth(value, DEEPEST);
    return new JsonAt(value, '');
  }

  /** @throws BlockError EINVAL naming the place. */
  wrong(expected: string): Error {
    return corrupt(`metadata: ${harmless(this.#path) || 'the root'}: expected ${expected}`);
  }

  has(key: string): boolean {
    return Object.hasOwn(this.object(), key);
  }

  get(key: string): JsonAt {
    const object = this.object();
    const path = this.#path ? `${this.#path}.${key}` : key;
    return new JsonAt(Object.hasOwn(object, key) ? object[key] : undefined, path);
  }

  object(): JsonObject {
    const { value } = this;
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
      return value as JsonObject;
    }
    throw this.wrong('an object');
  }

  /** The members of an object whose keys are small numbers, as LUKS2 has them. */
  numbered(most: number): [number: number, member: JsonAt][] {
    return Object.keys(this.object()).map(key => {
      const number = /^\d{1,3}$/.test(key) ? Number(key) : most;
      if (number >= most) throw this.wrong(`keys from 0 to ${most - 1}`);
      return [number, this.get(key)];
    });
  }

  text(): string {
    if (typeof this.value === 'string') return this.value;
    throw this.wrong('text');
  }

  oneOf<const T extends string>(...words: readonly T[]): T {
    const found = words.find(word => word === this.value);
    if (found !== undefined) return found;
    throw this.wrong(words.join(' or '));
  }

  integer(minimum: number, maximum: number): number {
    const { value } = this;
    if (typeof value === 'number' && Number.isInteger(value)) {
      if (value >= minimum && value <= maximum) return value;
    }
    throw this.wrong(`a whole number from ${minimum} to ${maximum}`);
  }

  /** A number of 64 bits, which JSON has as text. */
  decimal(): bigint {
    const { value } = this;
    if (typeof value === 'string' && /^\d{1,19}$/.test(value)) return BigInt(value);
    throw this.wrong('digits');
  }

  /** Bytes in base64. */
  bytes(most: number): Buffer {
    const bytes = Buffer.from(this.text(), 'base64');
    if (bytes.length > 0 && bytes.length <= most) return bytes;
    throw this.wrong(`1 to ${most} bytes in base64`);
  }

  /** An array of texts. */
  texts(): string[] {
    const { value } = this;
    if (Array.isArray(value) && value.every(each => typeof each === 'string')) return value;
    throw this.wrong('a list of texts');
  }
}

function checkDepth(value: Json, left: number): void {
  if (typeof value !== 'object' || value === null) return;
  if (left === 0) throw corrupt('the metadata is nested too deep');
  for (const member of Object.values(value)) checkDepth(member, left - 1);
}
