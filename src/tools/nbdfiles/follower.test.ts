import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Content, treeOf } from '../../../test/files/made-up.ts';
import { Follower } from './follower.ts';

/** What is shown of each tree in turn. */
async function shown(paths: readonly string[], ...trees: readonly Content[]): Promise<string[]> {
  const texts: string[] = [];
  const follower = new Follower(paths, async bytes => {
    texts[texts.length - 1] += Buffer.from(bytes).toString();
  });
  for (const content of trees) {
    texts.push('');
    if (!(await follower.look(treeOf(content)))) texts.push('over');
  }
  return texts;
}

const lines = (count: number, from = 1) =>
  Array.from({ length: count }, (_, index) => `line ${from + index}\n`).join('');

test('what a file has grown by', async () => {
  assert.deepEqual(
    await shown(['/log'], { log: 'one\n' }, { log: 'one\n' }, { log: 'one\ntwo\n' }),
    ['one\n', '', 'two\n'],
  );
});

test('the last lines of one that has grown much, or is shorter', async () => {
  const long = lines(5000);
  assert.deepEqual(await shown(['/log'], { log: long }, { log: 'a\nb' }), [
    lines(10, 4991),
    'a\nb',
  ]);
  assert.deepEqual(await shown(['/log'], { log: 'x'.repeat(20_000) }, { log: '' }), [
    'x'.repeat(20_000),
    '',
  ]);
});

test('several files, one that comes and goes, and all gone', async () => {
  assert.deepEqual(
    await shown(['/a', '/b'], { a: '1\n' }, { a: '1\n2\n', b: '3\n' }, { b: '3\n4\n' }, {}),
    ['\n\n--- /a ---\n\n1\n', '2\n\n\n--- /b ---\n\n3\n', '4\n', '', 'over'],
  );
});

test('files that never were there', async () => {
  await assert.rejects(shown(['/none'], {}), { message: /none of the files were found/ });
});
