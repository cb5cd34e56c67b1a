import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { UsageError } from '../block/errors.ts';
import {
  type ParameterDeclarations,
  type ParameterType,
  parseBoolean,
  parseDelay,
  parseInteger,
  parseParameters,
  parseProbability,
  splitParameter,
} from './parameters.ts';

const outside = {
  resolvePath: (path: string) => `/work/${path}`,
  readPassword: (_key: string, value: string) => `secret ${value}`,
};

const DECLARED: ParameterDeclarations = {
  size: { type: 'size', help: 'Size of it', required: true, bare: true },
  file: { type: 'path', help: 'Where it is', repeat: true },
  mode: { type: 'string', help: 'How', choices: ['a', 'b'], default: 'a' },
  count: { type: 'integer', help: 'How many', minimum: 1, maximum: 10 },
  key: { type: 'password', help: 'The key' },
};

function parse(words: readonly string[], extra = false) {
  return parseParameters(DECLARED, words.map(splitParameter), outside, extra);
}

test('a switch is on or off, or on while a file exists', () => {
  const parse = (text: string) => {
    const words = [{ key: 'on', value: text }];
    const { values } = parseParameters({ on: { type: 'switch', help: '' } }, words, outside);
    return (values.on as () => boolean)();
  };
  assert.deepEqual(['true', 'off', import.meta.filename, '/nowhere'].map(parse), [
    true,
    false,
    true,
    false,
  ]);
  assert.throws(() => parse('nowhere'), /cannot parse 'nowhere': expected true or false/);
});

test('words become typed values', () => {
  assert.deepEqual(parse(['1K', 'file=x', 'file=y=z', 'count=0x0a', 'key=+f']).values, {
    size: 1024n,
    file: ['/work/x', '/work/y=z'],
    mode: 'a',
    count: 10,
    key: 'secret +f',
  });
  const plain = { size: 1n, file: [], mode: 'b', count: undefined, key: undefined };
  assert.deepEqual(parse(['size=1', 'mode=b']).values, plain);
});

describe('words that are wrong', () => {
  const cases: readonly (readonly [readonly string[], RegExp])[] = [
    [[], /^size: must be given/],
    [['1', 'size=2'], /^size: given more than once/],
    [['1X'], /^size: cannot parse '1X': expected a number/],
    [['1', 'colour=red'], /^unknown parameter 'colour': expected one of size, file/],
    [['1', '__proto__=x'], /^unknown parameter '__proto__'|size: given more than once/],
    [['1', 'constructor=x'], /^unknown parameter 'constructor'/],
    [['1', 'mode=c'], /^mode: unknown value 'c': expected one of a, b/],
    [['1', 'count=0'], /^count: '0' is too small: expected at least 1/],
    [['1', 'count=11'], /^count: '11' is too large: expected at most 10/],
    [['1', 'count=1.5'], /^count: cannot parse '1.5'/],
    [['1', 'file='], /^file: a path must not be empty/],
  ];
  for (const [words, expected] of cases) {
    test(`'${words.join(' ')}'`, () => {
      assert.throws(
        () => parse(words),
        (error: unknown) => {
          assert.ok(error instanceof UsageError);
          assert.match(error.message, expected);
          return true;
        },
      );
    });
  }

  test('undeclared keys where they are welcome', () => {
    const { extra } = parse(['1', 'colour=red', 'file=x', 'colour=blue'], true);
    const colour = (value: string) => ({ key: 'colour', value });
    assert.deepEqual(extra, [colour('red'), colour('blue')]);
    const bare = parseParameters({}, [splitParameter('word')], outside, true);
    assert.deepEqual(bare.extra, [{ key: undefined, value: 'word' }]);
  });

  test('parameters in the order in which they were given', () => {
    const { given } = parse(['file=x', '1K', 'file=y']);
    assert.deepEqual(given, [
      { key: 'file', value: '/work/x' },
      { key: 'size', value: 1024n },
      { key: 'file', value: '/work/y' },
    ]);
  });

  test('a value alone where nothing takes it', () => {
    const alone = () => parseParameters({}, [splitParameter('x')], outside);
    assert.throws(alone, /'x': expected key=value/);
  });
});

test('where a word is split', () => {
  assert.deepEqual(splitParameter('a=b=c'), { key: 'a', value: 'b=c' });
  assert.deepEqual(splitParameter('a-b.c_1=\n'), { key: 'a-b.c_1', value: '\n' });
  for (const word of ['/a=b', '=b', '1a=b', 'a b=c', 'ab']) {
    assert.deepEqual(splitParameter(word), { key: undefined, value: word });
  }
});

const VALUES: readonly (readonly [(text: string) => unknown, ParameterType, object, string[]])[] = [
  [
    parseInteger,
    'integer',
    { '0': 0, '-5': -5, '+7': 7, '0x1F': 31, '010': 8, '00': 0, '9007199254740991': 2 ** 53 - 1 },
    ['', 'x', '1k', '0x', '1e3', '9007199254740992', '08', '--1'],
  ],
  [
    parseBoolean,
    'boolean',
    { yes: true, ON: true, '1': true, t: true, no: false, off: false, '0': false, F: false },
    ['', 'maybe', '2', 'yess'],
  ],
  [
    parseDelay,
    'delay',
    { '1': 1000, '1.5': 1500, '10ms': 10, '2s': 2000, '5us': 0.005, '7ns': 7e-6 },
    ['', '-1', 'ms', '1m', '1 s', '1e3'],
  ],
  [
    parseProbability,
    'probability',
    { '0': 0, '1': 1, '10%': 0.1, '0.25': 0.25, '1:4': 0.25, '0:0': 0, '1e-3': 0.001, '100%': 1 },
    ['', '2', '101%', '2:1', '1:0', '-1', 'x', '1:2:3'],
  ],
];
for (const [parseOne, type, good, bad] of VALUES) {
  describe(type, () => {
    for (const [text, value] of Object.entries(good)) {
      test(`'${text}'`, () => assert.equal(parseOne(text), value));
    }
    for (const text of bad) {
      test(`'${text}' is none`, () => assert.throws(() => parseOne(text), UsageError));
    }
  });
}
