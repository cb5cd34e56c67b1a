import assert from 'node:assert/strict';
import { test } from 'node:test';
import { lineOf } from './debugfs.ts';

test('words that debugfs takes apart again', () => {
  assert.equal(lineOf(['rm', './a b']).toString(), 'rm "./a b"\n');
  assert.equal(lineOf(['symlink', '"', 'x"y z"']).toString(), 'symlink """" "x""y z"""\n');
  assert.equal(lineOf(['rm', './a\udcff']).toString('latin1'), 'rm "./a\xff"\n');
  for (const odd of ['a\nquit', 'a\rb', 'a\0b', 'x'.repeat(8000)]) {
    assert.throws(() => lineOf(['rm', odd]), { errno: 'ENOTSUP' });
  }
});
