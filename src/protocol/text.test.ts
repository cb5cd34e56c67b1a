import assert from 'node:assert/strict';
import { test } from 'node:test';
import { harmless, jsonText } from './text.ts';

/** What a terminal obeys, breaks a line at, or turns text around for. */
const HARMFUL = [
  ...Array.from({ length: 0x20 }, (_, code) => code),
  ...Array.from({ length: 0x21 }, (_, code) => 0x7f + code),
  ...[0x61c, 0x200e, 0x200f, 0x2028, 0x2029, 0x202a, 0x202b, 0x202c, 0x202d, 0x202e],
  ...[0x2066, 0x2067, 0x2068, 0x2069],
].map(code => String.fromCharCode(code));

test('text from a peer has no effect on a terminal', () => {
  for (const character of HARMFUL) {
    const code = character.charCodeAt(0).toString(16).padStart(4, '0');
    assert.equal(harmless(`a${character}b`), `a\\u${code}b`);
  }
  const good = 'Grüße "in" \\ 日本語 עברית 👩‍💻 \u00a0';
  assert.equal(harmless(good), good);
  assert.equal(harmless(harmless('\x1b[2J')), '\\u001b[2J');
});

test('in JSON it is exact', () => {
  const all = `"\\${HARMFUL.join('')}ü👩‍💻`;
  const json = `"${jsonText(all)}"`;
  assert.equal(JSON.parse(json), all);
  for (const character of HARMFUL) assert.ok(!json.includes(character));
});
