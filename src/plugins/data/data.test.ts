import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { deviceContract } from '../../../test/contract/contract.ts';
import { openPlugin } from '../../../test/contract/open.ts';
import { UsageError } from '../../block/errors.ts';
import { readBytes } from '../../testing/model.ts';
import { optimise } from './optimise.ts';
import { parse } from './parser.ts';
import { treeLines } from './print.ts';

const folder = mkdtempSync(join(tmpdir(), 'nbdpipe-data-'));
after(() => rmSync(folder, { recursive: true }));

async function bytesOf(...words: string[]): Promise<string> {
  const device = await openPlugin('data', ...words);
  if (device.size === 0n) return '';
  return (await readBytes(device, 0n, Number(device.size))).toString('hex');
}

async function isBytes(text: string, hex: string, ...words: string[]): Promise<void> {
  assert.equal(await bytesOf(`data=${text}`, ...words), hex.replaceAll(' ', ''), text);
}

const WRITTEN = { writes: 'kept', steps: 40 } as const;
const SMALL = '1 @70000 0xaa*100000 ( 1 @40000 )*5';
deviceContract('data sparse', () => openPlugin('data', SMALL), WRITTEN);
deviceContract('data zstd', () => openPlugin('data', SMALL, 'allocator=zstd'), WRITTEN);
deviceContract('data malloc', () => openPlugin('data', SMALL, 'allocator=malloc'), WRITTEN);
deviceContract('data 1T', () => openPlugin('data', '0x55*1T'), WRITTEN);
deviceContract('data 7E', () => openPlugin('data', '( 0x55 @3 "abc" )*1T @7E'), WRITTEN);
deviceContract('data islands', () => openPlugin('data', '( "abc"*100000 @1M )*1G'), WRITTEN);

test('size suffixes, base64 and all escapes of C in the language', async () => {
  await isBytes('@1K @-1023 1', `00 01 ${'00'.repeat(1022)}`);
  await isBytes('7*2s', '07'.repeat(1024));
  await isBytes('(1*1K)[1023:1k]', '01');
  await isBytes('base64:aGk= base64:', '68 69');
  await isBytes('base64:AQ==*3 (base64:AgID)', '010101 020203');
  await isBytes('"\\0\\12\\377\\x41\\u00e9\\U0001f600"', '00 0a ff 41 c3a9 f09f9880');
  await isBytes('le16:1*2 (be16:1)', '0100 0100 0001');
});

const MISTAKES: readonly (readonly [text: string, column: number, words: RegExp])[] = [
  ['1 2 256', 5, /a byte must be 0 to 255/],
  ['0 09', 3, /cannot parse the number '09'/],
  ['1 2, 3', 4, /unexpected ','/],
  ['1 (2', 3, /unmatched '\('/],
  ['1 2)', 4, /unmatched '\)'/],
  ['1 <(echo (', 3, /unmatched '\('/],
  ['"abc', 1, /no closing "/],
  ['"a\\400"', 3, /cannot parse the escape/],
  ['"\\ud800"', 2, /cannot parse the escape/],
  ['le16:65536', 1, /does not fit in 16 bits/],
  ['base64:AQ=', 1, /not base64/],
  ['1 @-2', 3, /goes back beyond the start/],
  ['1*8E @+1', 3, /too large/],
  ['1*7E*2', 5, /larger than 2\^63-1/],
  ['(1 2)*2E*2', 9, /larger than 2\^63-1/],
  ['@7E 1*3E', 6, /larger than 2\^63-1/],
  ['1*99999999999999999999', 3, /too large/],
  ['(1 @9)[1:10]', 7, /the expression has 9 bytes/],
  ['1 \\a', 3, /\\a is not defined/],
  ['1 $missing', 3, /\$missing is not defined/],
  ['</nosuch', 1, /\/nosuch: no such file/],
  ['1 </', 3, /is a directory/],
  ['<(echo why >&2; exit 3)', 1, /failed with status 3: why/],
  ['<(kill -9 $$)', 1, /was ended by SIGKILL/],
  ['</dev/zero', 1, /more than 1 GiB/],
  ['('.repeat(9999), 251, /nested more than 250 deep/],
  ['1'.concat('*2'.repeat(999)), 502, /more than 250 deep/],
];

test('a mistake is shown with a caret under it', async () => {
  for (const [text, column, words] of MISTAKES) {
    await assert.rejects(openPlugin('data', `data=${text}`), (error: unknown) => {
      assert.ok(error instanceof UsageError);
      assert.match(error.message, words, text);
      assert.ok(error.message.startsWith(`data:1:${column}: `), error.message);
      assert.match(error.excerpt!, /^ {2}.*\n {2} *\^$/);
      return true;
    });
  }
});

test('the caret finds its place in a later line, a long line and a variable', async () => {
  const excerpt = async (text: string, ...words: string[]) => {
    const error = await openPlugin('data', `data=${text}`, ...words).then(
      () => assert.fail('accepted'),
      (reason: UsageError) => reason,
    );
    return `${error.message.split(': ')[0]}\n${error.excerpt}`;
  };
  assert.equal(await excerpt('1\n2 x\n3'), 'data:2:3\n  2 x\n    ^');
  assert.equal(await excerpt('1 $v', 'v= 1 y'), '$v:1:4\n   1 y\n     ^');
  const long = await excerpt(`${'1 '.repeat(500)}x${' 1'.repeat(500)}`);
  const [, line, caret] = long.split('\n');
  assert.ok(line!.length < 80);
  assert.equal(line![caret!.indexOf('^')], 'x');
});

test('a variable that contains itself is refused', async () => {
  await assert.rejects(openPlugin('data', '$a', 'a=$a'), /nested more than 250 deep/);
  const bomb = Array.from({ length: 30 }, (_, n) => `v${n}=$v${n + 1} $v${n + 1}`);
  await assert.rejects(openPlugin('data', '$v0', ...bomb, 'v30=1'), /more than 100000 variables/);
});

test('names that double are kept once, however large they grow', async () => {
  const doubling = Array.from({ length: 50 }, () => '(\\a \\a) -> \\a').join(' ');
  const device = await openPlugin('data', `(1 2 @1K) -> \\a ${doubling} \\a`);
  assert.equal(device.size, 1024n << 50n);
  assert.equal((await readBytes(device, 1024n << 49n, 2)).toString('hex'), '0102');
  const chain = Array.from({ length: 2000 }, () => '(\\a 1) -> \\a').join(' ');
  await assert.rejects(openPlugin('data', `1*1M -> \\a ${chain} \\a`), /nested more than 500 deep/);
});

test('a terabyte of one byte costs no memory', async () => {
  const before = process.memoryUsage().arrayBuffers;
  const device = await openPlugin('data', '0x55*1T');
  assert.equal(device.size, 1n << 40n);
  for (let at = 0n; at < device.size; at += device.size / 64n) {
    const bytes = await readBytes(device, at, 1 << 20);
    assert.ok(bytes.equals(Buffer.alloc(1 << 20, 0x55)));
  }
  assert.ok(process.memoryUsage().arrayBuffers - before < 200 << 20);
  assert.deepEqual(await device.extents!(0n, 2 ** 40), [
    { length: 2 ** 40, hole: false, zero: false },
  ]);
});

test('holes of a repeated group are told', async () => {
  const device = await openPlugin('data', '( 1 @64K )*1M');
  const runs = await device.extents!(0n, 262144);
  assert.deepEqual(
    runs.map(({ length, hole }) => [length, hole]),
    Array.from({ length: 8 }, (_, n) => [32768, n % 2 === 1]),
  );
  const many = await device.extents!(0n, 2 ** 36);
  assert.ok(many.length > 1000 && many.length < 50_000);
});

test('a zero that was put there is no hole', async () => {
  const device = await openPlugin('data', '@32768 0 @65536 0*9 @98304 0 1 @163840', 'size=1M');
  const runs = await device.extents!(0n, 1 << 20);
  assert.deepEqual(
    runs.map(({ length, hole, zero }) => [length, hole, zero]),
    [
      [32768, true, true],
      [32768, false, true],
      [32768, true, true],
      [32768, false, false],
      [(1 << 20) - 131072, true, true],
    ],
  );
});

test('a disk that was written stays written, and only there', async () => {
  const device = await openPlugin('data', '( 1 2 3 4 )*1G');
  await device.write!(40_001n, Buffer.from('xyz'));
  assert.equal((await readBytes(device, 40_000n, 5)).toString('hex'), '0178797a01');
  await device.zero!(1n << 20n, 1 << 20, { mayTrim: true });
  assert.equal((await readBytes(device, (1n << 20n) - 2n, 3)).toString('hex'), '030400');
  assert.equal((await readBytes(device, 2n << 20n, 2)).toString('hex'), '0102');
  const runs = await device.extents!(1n << 20n, 2 << 20);
  assert.deepEqual(
    runs.map(({ length, hole }) => [length, hole]),
    [
      [1 << 20, true],
      [1 << 20, false],
    ],
  );
});

test('endless scripts and files are cut where the slice or the size says', async () => {
  await isBytes('<(yes)[:4]', '790a790a');
  await isBytes('<(yes)[2:5]*2', '790a79 790a79');
  await isBytes('( 1 <(yes) )[:3]', '01790a');
  await isBytes('<(yes) -> \\y \\y[:2] \\y[:3]', '790a 790a79');
  await isBytes('$endless[:2]', '790a', 'endless=<(yes)');
  assert.equal((await bytesOf('<(cat /dev/urandom)', 'size=5000')).length, 10_000);
  const random = await bytesOf('</dev/urandom[:512]*16');
  assert.equal(random, random.slice(0, 1024).repeat(16));
});

test('what a cut script has started is ended too', async () => {
  const marker = `31.${process.pid}`;
  await isBytes(`<(sleep ${marker} & sleep ${marker} & yes)[:2]`, '790a');
  const { stdout } = spawnSync('ps', ['-eo', 'args'], { encoding: 'utf8' });
  assert.ok(stdout.includes('ps -eo args'));
  assert.ok(!stdout.includes(`sleep ${marker}`));
});

test('scripts run in bash where there is one', async t => {
  if (spawnSync('bash', ['-c', 'true']).status !== 0) return t.skip('needs bash');
  const script = '<( while :; do printf "%04x" $((i++)); done ) [:2048]';
  const expected = Array.from({ length: 512 }, (_, n) => n.toString(16).padStart(4, '0')).join('');
  await isBytes(script, Buffer.from(expected).toString('hex'));
});

test('the expression may stand in a file; raw and base64', async () => {
  const path = join(folder, 'expression');
  writeFileSync(path, '1 2 # three\n 3');
  assert.equal(await bytesOf(`data=+${path}`), '010203');
  assert.equal(await bytesOf('raw=aé'), '61c3a9');
  assert.equal(await bytesOf('base64=MTIz', 'size=5'), '3132330000');
  assert.equal(await bytesOf('base64='), '');
  await assert.rejects(openPlugin('data', `data=+${folder}/missing`), /cannot read the expression/);
  await assert.rejects(openPlugin('data', 'base64=a'), /^UsageError: base64: not base64/);
  await assert.rejects(openPlugin('data', 'raw=\ufffd'), /raw: not UTF-8/);
  await assert.rejects(openPlugin('data', '1', 'raw=1'), /expected one of data, raw and base64/);
  await assert.rejects(openPlugin('data'), /expected one of data, raw and base64/);
  await assert.rejects(openPlugin('data', '1', 'allocator=x'), /allocator: unknown 'x'/);
});

test('constants are folded before anything is run', () => {
  const lines = (text: string) =>
    treeLines(optimise(parse({ name: 'data', text }, () => undefined))).map(line => line.trim());
  assert.deepEqual(lines('1 2 (3 "a") le16:5*2'), ['"\\x01\\x02\\x03a\\x05\\x00\\x05\\x00"']);
  assert.deepEqual(lines('0x55*1K*1K'), ['fill(85*1048576)']);
  assert.deepEqual(lines('("ab"*1K*1K)[:]'), ['(', '(', '"ab"', ') *1048576', ')[0:]']);
  assert.deepEqual(lines('5 5 (5 "\\x05") 6'), ['(', 'fill(5*4)', '6', ')']);
  assert.deepEqual(lines('1 2 2 "aaa" 3 3'), [
    '(',
    '"\\x01\\x02\\x02"',
    'fill(97*3)',
    'fill(3*2)',
    ')',
  ]);
  assert.deepEqual(lines('"ab"[1:] ()'), ['98']);
  assert.deepEqual(lines('""'), ['null']);
  assert.deepEqual(lines('(1 2 3)[1:] 7*0'), ['"\\x02\\x03"']);
  assert.deepEqual(lines('1 -> \\a (\\a @4)'), [
    '(',
    '(',
    '1',
    ') -> \\a',
    '(',
    '\\a',
    '@4',
    ')',
    ')',
  ]);
});
