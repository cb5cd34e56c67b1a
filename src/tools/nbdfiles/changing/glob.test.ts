import assert from 'node:assert/strict';
import { test } from 'node:test';
import { matcher } from './glob.ts';

test('patterns of the shell', () => {
  for (const [pattern, yes, no] of [
    ['*.log', ['a.log', 'b.c.log'], ['a.logs', '.log', 'log']],
    ['a?c', ['abc', 'aüc', 'a\u{1f600}c'], ['ac', 'abbc']],
    ['[a-c]x', ['ax', 'cx'], ['dx', 'x']],
    ['[!a]x', ['bx', '^x'], ['ax']],
    ['.*', ['.a', '..b'], ['a']],
    ['a+(b)', ['a+(b)'], ['aab', 'a+b']],
    ['[^]', ['^'], ['a']],
  ] as const) {
    for (const name of yes) assert.match(name, matcher(pattern), pattern);
    for (const name of no) assert.doesNotMatch(name, matcher(pattern), pattern);
  }
});
