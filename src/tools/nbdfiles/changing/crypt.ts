import { createHash, randomInt } from 'node:crypto';

/** Passwords as Linux keeps them: SHA-crypt with SHA-512, as Ulrich Drepper has specified it. */

const ALPHABET = './0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
const ROUNDS = 5000;
const LENGTH = 64;
const SALT = 16;

/** A salt that nobody has had before. */
export function newSalt(): string {
  return Array.from({ length: SALT }, () => ALPHABET[randomInt(ALPHABET.length)]).join('');
}

/** The second field of /etc/shadow: `$6$SALT$HASH`. @param salt up to 16 letters of ALPHABET. */
export function sha512Crypt(password: string, salt: string): string {
  const key = Buffer.from(password);
  const salted = Buffer.from(salt);
  const alternate = sha512(key, salted, key);
  const first = createHash('sha512').update(key).update(salted).update(repeated(alternate, key));
  for (let bits = key.length; bits > 0; bits >>>= 1) first.update(bits & 1 ? alternate : key);
  let digest: Buffer = first.digest();
  const keys = repeated(sha512(...Array<Buffer>(key.length).fill(key)), key);
  const salts = repeated(sha512(...Array<Buffer>(16 + digest[0]!).fill(salted)), salted);
  for (let round = 0; round < ROUNDS; round++) {
    const isOdd = round % 2 === 1;
    const middle = [...(round % 3 ? [salts] : []), ...(round % 7 ? [keys] : [])];
    digest = sha512(isOdd ? keys : digest, ...middle, isOdd ? digest : keys);
  }
  return `$6$${salt}$${encoded(digest)}`;
}

function sha512(...parts: readonly Buffer[]): Buffer {
  const hash = createHash('sha512');
  for (const part of parts) hash.update(part);
  return hash.digest();
}

/** Bytes again and again, as many as there are in another buffer. */
function repeated(bytes: Buffer, like: Buffer): Buffer {
  return Buffer.alloc(like.length, bytes);
}

/** Three bytes become four letters, the lowest bits first; they are 21 apart and change places. */
function encoded(digest: Buffer): string {
  let text = '';
  for (let index = 0; index < 21; index++) {
    const places = [index, index + 21, index + 42];
    const turned = [0, 1, 2].map(at => digest[places[(at + index) % 3]!]!);
    text += letters((turned[0]! << 16) | (turned[1]! << 8) | turned[2]!, 4);
  }
  return text + letters(digest[LENGTH - 1]!, 2);
}

function letters(value: number, count: number): string {
  return Array.from({ length: count }, (_, at) => ALPHABET[(value >>> (6 * at)) & 63]).join('');
}
