import assert from 'node:assert/strict';
import { test } from 'node:test';
import { REQUEST } from '../../test/contract/open.ts';
import type { BlockDevice, DeviceSource } from '../block/device.ts';
import { checkDeclaration, checkSource } from './check.ts';

const good = {
  name: 'mine',
  description: 'a disk',
  parameters: { size: { type: 'size', help: 'Size' } },
  create: () => ({ open: () => ({}) }),
};

/** What is said of the declaration above with other members. */
function faultOf(changes: object, kind: 'plugin' | 'filter' = 'plugin'): string {
  let said = 'nothing';
  try {
    checkDeclaration(kind, { ...good, ...changes });
  } catch (error) {
    assert.equal((error as Error).name, 'UsageError');
    said = (error as Error).message;
  }
  return said;
}

const size = (changes: object) =>
  faultOf({ parameters: { size: { type: 'size', help: 'Size', ...changes } } });

test('a declaration as it must be', () => {
  assert.equal(faultOf({}), 'nothing');
  assert.equal(size({ aliases: ['s'], required: true, bare: true, minimum: 512n }), 'nothing');
  assert.equal(size({ default: '1M', repeat: true, maximum: 2 ** 40 }), 'nothing');
  assert.equal(faultOf({ create: undefined, wrap: () => ({}) }, 'filter'), 'nothing');
});

test('what a declaration gets wrong', () => {
  const types = 'string, path, size, integer, boolean, switch, delay, probability, password';
  assert.equal(size({ type: 'sizes' }), `parameters.size.type: 'sizes' is none of ${types}`);
  assert.equal(size({ help: 7 }), 'parameters.size.help must be a string, not the number 7');
  assert.equal(
    size({ required: false }),
    'parameters.size.required must be true or left out, not false',
  );
  assert.match(
    size({ defualt: '1M' }),
    /^parameters\.size\.defualt is not known: expected one of .*default/,
  );
  assert.equal(
    size({ default: 'big' }).split(':').slice(0, 2).join(),
    "parameters.size.default, cannot parse 'big'",
  );
  assert.equal(
    size({ choices: ['a', 1] }),
    'parameters.size.choices[1] must be a string, not the number 1',
  );
  assert.match(faultOf({ parameters: { '1st': good.parameters.size } }), /'1st' cannot be given/);
  const bare = { type: 'string', help: 'x', bare: true };
  assert.equal(
    faultOf({ parameters: { a: bare, b: bare } }),
    'parameters: only one may be bare, not a and b',
  );
  assert.equal(faultOf({ parameters: null }), 'parameters must be an object, not null');
  assert.equal(faultOf({ name: 'my disk' }), "name must be a name without spaces, not 'my disk'");
  assert.match(faultOf({ descriptoin: 'x' }), /^descriptoin is not known: expected one of name/);
  assert.equal(faultOf({ create: 7 }), 'create must be a function, not the number 7');
});

test('what is no declaration of its kind', () => {
  assert.throws(() => checkDeclaration('plugin', undefined), /is not a plugin: .*definePlugin/);
  assert.throws(() => checkDeclaration('filter', {}), /is not a filter: .*defineFilter/);
  assert.match(faultOf({ create: undefined, wrap: () => ({}) }), /^create must be a function/);
  assert.equal(faultOf({ wrap: () => ({}), check: () => {} }, 'filter'), 'nothing');
  assert.match(faultOf({ wrap: 7 }, 'filter'), /^wrap must be a function, not the number 7/);
  assert.match(faultOf({ check: () => {} }), /^check is not known/);
});

test('what create gives is a source', () => {
  const given = (source: unknown) => checkSource('mine', source as DeviceSource);
  assert.throws(() => given(undefined), {
    message: 'create: source must be an object, not undefined',
  });
  assert.throws(() => given({ size: 1n }), {
    message: 'create: source.open must be a function, not undefined',
  });
});

test('what a device gets wrong is said as it is opened, and whose it is', async () => {
  const device = { size: 512n, read: () => Buffer.alloc(1) };
  const saidOf = async (changes: object, open?: () => unknown) => {
    const source = checkSource('mine', {
      open: (open ?? (() => ({ ...device, ...changes }))) as () => BlockDevice,
    });
    return (async () => source.open(REQUEST))().then(
      () => 'nothing',
      error => `${error.errno} ${error.message}`,
    );
  };
  const sizes = { minimum: 512, preferred: 4096, maximum: 65536 };
  assert.equal(await saidOf({}), 'nothing');
  assert.equal(await saidOf({ blockSize: sizes, fua: 'native', contexts: [] }), 'nothing');
  const cases: [object, string][] = [
    [{ size: 512 }, 'size must be a bigint from 0 to 2^63-1, not the number 512'],
    [{ size: -1n }, 'size must be a bigint from 0 to 2^63-1, not -1n'],
    [{ read: undefined }, 'read must be a function, not undefined'],
    [{ write: true }, 'write must be a function, not true'],
    [{ fua: 'yes' }, "fua: 'yes' is none of none, emulated, native"],
    [
      { blockSize: { ...sizes, minimum: 3 } },
      'blockSize.minimum must be a power of two from 1 to 65536, not the number 3',
    ],
    [
      { blockSize: { ...sizes, maximum: 512 } },
      'blockSize: minimum, preferred and maximum must be in this order',
    ],
    [{ contexts: [{ name: 'x:y' }] }, 'contexts[0].status must be a function, not undefined'],
  ];
  for (const [changes, words] of cases) {
    assert.equal(await saidOf(changes), `EIO the device of mine: ${words}`);
  }
  const none = 'EIO the device of mine: must be an object, not undefined';
  assert.equal(await saidOf({}, () => undefined), none);
  assert.equal(await saidOf({}, async () => undefined), none);
});
