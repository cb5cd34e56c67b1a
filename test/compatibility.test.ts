/** docs/compatibility.md says of each option, plugin and filter whether it is here, and is right. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { describe, test } from 'node:test';
import { messageOf } from '../src/block/errors.ts';
import { dashed, type Option, parseCommandLine } from '../src/tools/cli.ts';
import { builtIn } from '../src/tools/load.ts';
import { Given, OPTIONS, type OptionKey, readSettings } from '../src/tools/nbdkit/options.ts';

const page = readFileSync(resolve(import.meta.dirname, '../docs/compatibility.md'), 'utf8');

/** The rows of the first table under a heading: what they are about, and the second column. */
function rowsOf(heading: string): Map<string, string> {
  const [, section] = page.split(`\n## ${heading}\n`);
  const lines = section!
    .split('\n## ')[0]!
    .split('\n')
    .filter(line => line.startsWith('|'));
  const cells = lines.slice(2).map(line => line.split('|').map(cell => cell.trim()));
  return new Map(cells.map(([, name, here]) => [name!, here!]));
}

/** Whether an option is taken, whatever becomes of it. */
function supported(option: string): boolean {
  const key = Object.keys(OPTIONS).find(each =>
    OPTIONS[each as OptionKey].names.some(name => dashed(name) === option),
  ) as OptionKey | undefined;
  if (key === undefined) return false;
  const value = key === 'tls' ? 'require' : '1';
  const words = 'value' in OPTIONS[key] ? [option, value] : [option];
  try {
    readSettings(new Given(parseCommandLine(OPTIONS, words).given), 0);
    return true;
  } catch (error) {
    return !/not supported/.test(messageOf(error));
  }
}

for (const [, command] of page.matchAll(/^## Options of (nbd(?!kit)\w+)$/gm)) {
  test(`every option of ${command}`, () => {
    const program = resolve(import.meta.dirname, `../dist/${command}.cjs`);
    const ours = ['--long-options', '--short-options'].flatMap(question => {
      const { stdout } = spawnSync(process.execPath, [program, question], { encoding: 'utf8' });
      return stdout.trim().split('\n');
    });
    const named: string[] = [];
    for (const [names, here] of rowsOf(`Options of ${command}`)) {
      assert.equal(here, 'yes', names);
      named.push(...names.match(/(?<=`)-[^`]+(?=`)/g)!);
    }
    assert.deepEqual(named.sort(), ours.sort());
  });
}

test('every option of nbdkit', () => {
  const rows = rowsOf('Options of nbdkit');
  const named: string[] = [];
  for (const [names, here] of rows) {
    for (const name of names.match(/(?<=`)-[^`]+(?=`)/g)!) {
      named.push(name);
      assert.equal(here, supported(name) ? 'yes' : 'no', name);
    }
  }
  const options: Option[] = Object.values(OPTIONS);
  const ours = options.filter(({ hidden }) => !hidden).flatMap(({ names }) => names.map(dashed));
  assert.deepEqual(named.sort(), ours.sort());
});

for (const kind of ['plugin', 'filter'] as const) {
  describe(`every ${kind}`, () => {
    const rows = rowsOf(kind === 'plugin' ? 'Plugins' : 'Filters');
    const ours = builtIn(kind);
    test('that is here is in the table', () => {
      assert.deepEqual(
        ours.filter(name => !rows.has(name)),
        [],
      );
    });
    for (const [name, here] of rows) {
      test(name, () => assert.equal(here, ours.includes(name) ? 'yes' : 'no'));
    }
  });
}
