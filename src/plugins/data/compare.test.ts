import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { openPlugin } from '../../../test/contract/open.ts';
import { findCNbdkit, servedByC } from '../../../test/peer/c-nbdkit.ts';
import { Random, readBytes } from '../../testing/model.ts';

const nbdkit = findCNbdkit();
const skip = nbdkit ? false : 'needs nbdkit and nbdcopy of the C project';
const folder = mkdtempSync(join(tmpdir(), 'nbdpipe-data-'));
after(() => rmSync(folder, { recursive: true }));
const file = join(folder, 'file');
writeFileSync(file, 'some bytes of a file\n');

/** All of a disk, or undefined when it is refused. */
async function served(...words: string[]): Promise<Buffer | undefined> {
  try {
    const device = await openPlugin('data', ...words);
    return device.size === 0n ? Buffer.alloc(0) : await readBytes(device, 0n, Number(device.size));
  } catch {
    return undefined;
  }
}

/** The size and, of what is short, the bytes. */
function digest(bytes: Buffer | undefined): string | undefined {
  const hash = bytes && createHash('sha256').update(bytes).digest('hex');
  return bytes && `${bytes.length} bytes ${hash} ${bytes.toString('hex', 0, 64)}`;
}

async function compare(...words: string[]): Promise<boolean> {
  const [ours, theirs] = [await served(...words), servedByC(nbdkit!, 'data', ...words)];
  assert.equal(digest(ours), digest(theirs), words.join(' '));
  return ours !== undefined;
}

const MANUAL = [
  ' ( 0x55 0xAA )*2048 ',
  ' ( "Hello" )*2000 ',
  '@0x1be 0 0 2 0 0x83 # type\n 0x20 0x20 0 le32:1 le32:0x7ff @0x1fe 0x55 0xaa',
  '0 1 2 3 @0x1fe 0x55 0xaa',
  '0 1 2 3 @^0x200 @-2 le16:0xaa55',
  ` <${file} @^512 <${file} @^512 <${file} @^512 `,
  '<(i=0; while :; do printf "%04d" $i; i=$((i+1)); done )[:32768]',
  '( 0x55 0xAA ) * 256',
  ' ( 0x55 0xAA ) -> \\boot-signature ( @0x1fe \\boot-signature ) -> \\sector \\sector \\sector ',
  ' @32768 1 ',
  ' be32:0x1 be64:1 le64:0xfffffffffffffffe be16:077',
];

const CORNERS = [
  '',
  '()',
  '@5',
  '@5 1 @2 7',
  '(@5)*2',
  '(1 @5)*3',
  '1*0',
  '1*2*3',
  '5 * 3 [1:]',
  '(1 2 3)*3[1:]*2',
  '1 2 3 @0 (@1 9)',
  '1 2 3 @0 (@2)',
  '1 2 3 @0 0*2',
  '1 2 3 4 @0 (5 @3)[:2]',
  '1*40000 @0 (@35000 9)',
  '1*40000 @5 <(printf abc) @39999 2*9',
  '(1 2)[5:5]',
  '(1 2)[:]',
  '(1 2)[3:]',
  '(1 2)[2:]',
  '1 2 3 -> \\a \\a',
  '1 -> \\a *3',
  '1 -> \\a (2 -> \\a \\a) \\a',
  '1 -> \\a (\\a) -> \\b 2 -> \\a \\b',
  '1 -> \\a (\\a 1) -> \\a (\\a 1) -> \\a \\a',
  '"\\a\\b\\f\\n\\r\\t\\v\\e\\q\\x00\\xff1\\"\\\\ é"',
  '("a)" # )\n)*2',
  `<${file}[:3]*2`,
  `<${file}[3:1000]`,
  `(<${file})*2`,
  '<(echo -n abc)[:5]',
  "<(echo '(' ; echo ')')",
  '<(exit 3) -> \\unused 1',
  '$v*2 $w',
  '1 -> \\a $w',
  '(1 @100 @2 3)*2 4',
  '( @^8 1 ) *2',
  '1 @^4096 @^64 @-1 2',
  '0x1 0xFf 0377 0 255',
];

const REFUSED = [
  '256',
  '-1',
  '1a',
  '1,2',
  '+5',
  "'a'",
  'a',
  'é',
  '1 @-2',
  '@',
  '@ 5',
  '@x',
  '@^3 1',
  '@^0',
  '(1',
  '1)',
  '"abc',
  '"\\xg"',
  'le16:65536',
  'le32:-1',
  'le16: 5',
  'le8:5',
  'le64:0x1ffffffffffffffff',
  '*5',
  '[1:2]',
  '-> \\a',
  '1 * x',
  '1 -> a',
  '1 -> \\é',
  '@5*3',
  '@5[0:1]',
  '@5 -> \\a',
  '(1 2 3)[1:9]',
  '(1 2 3)[2:1]',
  '(1 2)[3:]',
  '1[:5]',
  '1[a:]',
  '1[0:1',
  '(1 2)[1]',
  '\\a',
  '(1 -> \\x)*2 \\x',
  '1 -> \\a -> \\b \\a',
  '1 -> \\a $sets \\c',
  '$missing',
  '$',
  '</nosuch',
  '</',
  '<',
  '<(echo hi; exit 3)',
  '<(kill -9 $$)',
  '1 1*-1',
];

const VARIABLES = ['v=1 2', 'w=($v)*2 3', 'sets=7 -> \\c'];

test('the examples of the manual give the bytes that C gives', { skip }, async () => {
  for (const text of MANUAL) await compare(`data=${text}`);
  await compare('base64=MTIz', 'size=1M');
  await compare('raw=Hello, world!');
  await compare(' ( "Hello" )*2000 ', 'size=8192');
});

test('corner cases give the bytes that C gives', { skip }, async () => {
  for (const text of CORNERS) await compare(`data=${text}`, ...VARIABLES);
});

test('what C refuses is refused', { skip }, async () => {
  for (const text of REFUSED) {
    assert.equal(servedByC(nbdkit!, 'data', `data=${text}`, ...VARIABLES), undefined, text);
    assert.equal(await served(`data=${text}`, ...VARIABLES), undefined, text);
  }
});

test('random expressions give the bytes that C gives', { skip }, async () => {
  const random = new Random(20);
  let accepted = 0;
  for (let round = 0; round < 50; round++) {
    const text = expression(random, 3);
    if (await compare(`data=${text}`, ...VARIABLES, 'size=70000')) accepted += 1;
  }
  assert.ok(accepted >= 25, `only ${accepted} were accepted`);
});

/** A list of items; names are used after they are assigned, but perhaps out of scope. */
function expression(random: Random, depth: number): string {
  const items = Array.from({ length: 1 + random.below(5) }, () => item(random, depth));
  return items.join(' ');
}

function item(random: Random, depth: number): string {
  const leaf = LEAVES[random.below(LEAVES.length)]!;
  const inner = depth > 0 && random.below(2) ? `(${expression(random, depth - 1)})` : leaf(random);
  if (inner.startsWith('@')) return inner;
  switch (random.below(8)) {
    case 0:
      return `${inner}*${random.below(40)}`;
    case 1:
      return `${inner}[:1]`;
    case 2:
      return `(${inner} 1)[1:]*3`;
    case 3:
      return `${inner} -> \\a \\a`;
    case 4:
      return `(@+${random.below(9)} ${inner} @^4)*2`;
    default:
      return inner;
  }
}

const LEAVES: readonly ((random: Random) => string)[] = [
  random => `${random.below(256)}`,
  random => `${random.below(256)}*${random.below(50_000)}`,
  random => `"${'text'.slice(random.below(3))}"`,
  random => `(le32:${random.below(2 ** 31)} )`,
  random => `@${random.below(1000)}`,
  random => `@+${random.below(100)}`,
  random => `@^${2 ** random.below(12)}`,
  () => `<${file}`,
  () => '<(printf "a b")',
  () => '$v',
];
