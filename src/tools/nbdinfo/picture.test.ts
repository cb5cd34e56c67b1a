import assert from 'node:assert/strict';
import { test } from 'node:test';
import { painter } from '../colours.ts';
import { pictureOf } from '../picture.ts';
import { pictureSvg } from '../picture-svg.ts';
import { about, gridFor, pictureText } from '../picture-text.ts';
import { mapOf, type Run } from '../status-map.ts';
import { beside, besideJson, besideText } from './beside.ts';

const BASE = 'base:allocation';
const DIRTY = 'qemu:dirty-bitmap:b0';
const plain = painter(false);

async function* coming(...lengths: (readonly [length: bigint, type: bigint])[]) {
  let offset = 0n;
  for (const [length, type] of lengths) {
    yield [{ offset, length, type }] satisfies Run[];
    offset += length;
  }
}

async function whole(pieces: AsyncIterable<string>): Promise<string> {
  let text = '';
  for await (const piece of pieces) text += piece;
  return text;
}

test('a picture: each cell the same share, shaded by what is data in it', async () => {
  const map = coming([100n, 0n], [30n, 3n], [70n, 0n], [100n, 2n], [500n, 3n]);
  const picture = await pictureOf(map, BASE, { from: 0n, to: 800n }, { columns: 4, rows: 2 });
  assert.equal(
    pictureText(picture, plain),
    'base:allocation\n0000000000 │█▓0·│\n0000000190 │····│\n' +
      '█  21.2%      170  data\n0  12.5%      100  zero\n·  66.2%      530  hole,zero\n1 cell: 100\n',
  );
  const coloured = pictureText(picture, painter(true));
  assert.match(coloured, /│\x1b\[1;34m█▓\x1b\[0m\x1b\[22;90m0·\x1b\[0m│/);
});

test('a picture of a part, of fewer bytes than there are cells, and of nothing', async () => {
  const range = { from: 10n, to: 13n };
  const runs = (async function* () {
    yield [{ offset: 10n, length: 2n, type: 1n }];
    yield [{ offset: 12n, length: 1n, type: 0n }];
  })();
  const picture = await pictureOf(runs, DIRTY, range, { columns: 8, rows: 8 });
  assert.deepEqual(
    picture.cells.map(({ from, to, marked }) => [from, to, marked]),
    [
      [10n, 11n, 1],
      [11n, 12n, 1],
      [12n, 13n, 0],
    ],
  );
  const nothing = await pictureOf(coming(), BASE, { from: 0n, to: 0n }, gridFor(80));
  assert.equal(pictureText(nothing, plain), 'base:allocation\n');
});

test('any map: the cells have all of its bytes', async () => {
  let state = 1;
  const random = (below: number) => {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    return (state >>> 8) % below;
  };
  for (let round = 0; round < 30; round++) {
    const lengths = Array.from({ length: 1 + random(60) }, (): [bigint, bigint] => [
      BigInt(1 + random([3, 50, 4000][random(3)]!)),
      BigInt(random(4)),
    ]);
    const size = lengths.reduce((sum, [length]) => sum + length, 0n);
    const grid = { columns: 1 + random(9), rows: 1 + random(9) };
    const range = { from: 0n, to: size };
    const { cells, totals } = await pictureOf(coming(...lengths), BASE, range, grid);
    for (const { from, to, bytes } of cells) {
      assert.equal(
        [...bytes.values()].reduce((sum, part) => sum + part, 0n),
        to - from,
      );
    }
    for (const { type, size: total } of totals) {
      const expected = lengths.filter(each => each[1] === type).reduce((sum, [n]) => sum + n, 0n);
      assert.equal(total, expected);
    }
  }
});

test('an SVG has a rectangle for each cell, and no text of a server is markup', async () => {
  const context = 'x:<script>&"';
  const range = { from: 0n, to: 64n };
  const picture = await pictureOf(coming([64n, 5n]), context, range, { columns: 4, rows: 2 });
  const svg = pictureSvg([picture, picture]);
  assert.equal(svg.match(/<title>/g)?.length, 16);
  assert.match(svg, /x:&#60;script&#62;&#38;&#34;, bytes 0 to 64/);
  assert.doesNotMatch(svg, /<script/);
});

test('contexts side by side, cut where one of them changes', async () => {
  const maps = () => [coming([100n, 0n], [100n, 3n]), coming([50n, 1n], [150n, 0n])];
  const contexts = [BASE, DIRTY];
  assert.equal(
    await whole(besideText(beside(maps()), contexts)),
    '    offset      length  base:allocation  qemu:dirty-bitmap:b0\n' +
      '         0          50    0  data          1  dirty\n' +
      '        50          50    0  data          0  clean\n' +
      '       100         100    3  hole,zero     0  clean\n',
  );
  const rows = JSON.parse(await whole(besideJson(beside(maps()), contexts)));
  assert.deepEqual(rows[0], {
    offset: 0,
    length: 50,
    [BASE]: { type: 0, description: 'data' },
    [DIRTY]: { type: 1, description: 'dirty' },
  });
  assert.equal(rows.length, 3);
  assert.deepEqual(JSON.parse(await whole(besideJson(beside([coming()]), [BASE]))), []);
});

test('a map of a part asks for that part only', async () => {
  const asked: [bigint, number][] = [];
  const client = {
    size: 1000n,
    metaContexts: [BASE],
    blockStatus: async (offset: bigint, length: number) => {
      asked.push([offset, length]);
      return new Map([[BASE, [{ length: 400, flags: 0 }]]]);
    },
  };
  const runs: Run[] = [];
  for await (const some of mapOf(client, BASE, { from: 100n, to: 700n })) runs.push(...some);
  assert.deepEqual(runs, [{ offset: 100n, length: 600n, type: 0n }]);
  assert.deepEqual(asked, [
    [100n, 600],
    [500n, 200],
  ]);
});

test('sizes for people', () => {
  assert.deepEqual([0n, 1023n, 1536n, 1n << 40n].map(about), ['0', '1023', '1.5K', '1T']);
});
