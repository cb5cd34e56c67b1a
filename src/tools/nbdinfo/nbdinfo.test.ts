import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TransmissionFlag } from '../../protocol/constants.ts';
import { painter } from '../colours.ts';
import {
  mapJson,
  mapOf,
  mapText,
  type Run,
  type Runs,
  totalsJson,
  totalsOf,
  totalsText,
} from '../status-map.ts';
import { question } from './can.ts';
import type { ExportFacts, Facts } from './facts.ts';
import { showJson, showText } from './show.ts';

const plain = painter(false);
const coloured = painter(true);

const EXPORT: ExportFacts = {
  name: 'a "b"\n',
  description: 'It\'s "one"\x1b[2J',
  size: 10n << 20n,
  content: 'data',
  uri: 'nbd://localhost:10809/a',
  contexts: ['base:allocation', 'qemu:dirty-bitmap:b0'],
  flags: TransmissionFlag.readOnly | TransmissionFlag.df,
  blockSize: { minimum: 1, preferred: 4096, maximum: 33554432 },
};

const PLAIN = { tls: false, structured: false, extended: false, sharedMemory: false };

const FACTS: Facts = {
  connection: { ...PLAIN, protocol: 'newstyle-fixed', structured: true },
  exports: [EXPORT],
};

const BARE: Facts = {
  connection: { ...PLAIN, protocol: 'oldstyle' },
  exports: [
    {
      name: '',
      description: undefined,
      size: 513n,
      content: undefined,
      uri: undefined,
      contexts: [],
      flags: 0,
      blockSize: undefined,
    },
  ],
};

test('the text of the C nbdinfo, with control characters made harmless', () => {
  assert.equal(
    showText(FACTS, plain),
    [
      'protocol: newstyle-fixed without TLS, using structured packets',
      'export="a \\"b\\"\\u000a":',
      '\tdescription: It\'s "one"\\u001b[2J',
      '\texport-size: 10485760 (10M)',
      '\tcontent: data',
      '\turi: nbd://localhost:10809/a',
      '\tcontexts:',
      '\t\tbase:allocation',
      '\t\tqemu:dirty-bitmap:b0',
      '\tis_rotational: false',
      '\tis_read_only: true',
      '\tcan_cache: false',
      '\tcan_df: true',
      '\tcan_fast_zero: false',
      '\tcan_flush: false',
      '\tcan_fua: false',
      '\tcan_multi_conn: false',
      '\tcan_trim: false',
      '\tcan_zero: false',
      '\tblock_size_minimum: 1',
      '\tblock_size_preferred: 4096',
      '\tblock_size_maximum: 33554432',
      '',
    ].join('\n'),
  );
});

test('what a server says about itself does nothing to a terminal, in JSON neither', () => {
  const evil = '\x1b[2J\0\u009b2J\u202e\u2028';
  const facts: Facts = {
    ...FACTS,
    exports: [{ ...EXPORT, name: evil, description: evil, content: evil, contexts: [evil] }],
  };
  const shown = '\\u001b[2J\\u0000\\u009b2J\\u202e\\u2028';
  for (const text of [showText(facts, plain), showJson(facts)]) {
    assert.doesNotMatch(text, /[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e\u2028]/);
    assert.equal(text.split(shown).length, 5);
  }
  const [shownBack] = JSON.parse(showJson(facts)).exports;
  assert.deepEqual([shownBack['export-name'], shownBack.description], [evil, evil]);
});

test('what is not known is left out', () => {
  const text = showText(BARE, plain);
  assert.match(text, /^protocol: oldstyle without TLS, using simple packets\nexport="":\n/);
  assert.match(text, /\n\texport-size: 513\n\tis_rotational: false\n/);
  assert.doesNotMatch(text, /description|content|uri|contexts|block_size/);
  const { exports } = JSON.parse(showJson(BARE));
  const keys = ['export-name', 'is_rotational', 'is_read_only', 'can_cache', 'can_df'];
  assert.deepEqual(Object.keys(exports[0]).slice(0, 5), keys);
});

test('the colours of the C nbdinfo', () => {
  const text = showText(FACTS, coloured);
  assert.ok(text.startsWith('\x1b[22;90mprotocol: newstyle-fixed'));
  assert.ok(text.includes('packets\n\x1b[0m\x1b[1;30mexport="a'));
  assert.ok(text.includes('10809/a\n\x1b[0m\x1b[22;90m\tcontexts:\n'));
  assert.ok(
    text.includes('\tis_rotational: false\n\x1b[0m\tis_read_only: true\n\x1b[22;31m\tcan_'),
  );
  assert.ok(text.includes('\x1b[22;32m\tcan_df: true\n\x1b[0m'));
});

test('JSON that parses back to the facts', () => {
  const json = showJson({ ...FACTS, exports: [EXPORT, { ...EXPORT, name: '\u007f\\' }] });
  assert.ok(
    json.startsWith('{\n"protocol": "newstyle-fixed",\n"TLS": false,\n"structured": true,\n'),
  );
  assert.ok(json.includes('\n\t},\n\t{\n\t"export-name"'));
  assert.ok(json.endsWith('\t"export-size": 10485760,\n\t"export-size-str": "10M"\n\t} ]\n}\n'));
  const { exports, extended } = JSON.parse(json);
  assert.equal(extended, undefined);
  assert.equal(exports[0]['export-name'], EXPORT.name);
  assert.equal(exports[0].description, EXPORT.description);
  assert.deepEqual(exports[0].contexts, EXPORT.contexts);
  assert.equal(exports[0].can_df, true);
  assert.equal(exports[0].block_size_maximum, 33554432);
  assert.equal(exports[1]['export-name'], '\u007f\\');
});

test('what only newer servers have is shown where it is there', () => {
  const connection = { ...FACTS.connection, extended: true, sharedMemory: true };
  const flags = EXPORT.flags | TransmissionFlag.blockStatusPayload;
  const facts: Facts = { connection, exports: [{ ...EXPORT, flags }] };
  assert.match(showText(facts, plain), /using extended packets and shared memory\n/);
  assert.match(showText(facts, plain), /\n\tcan_block_status_payload: true\n/);
  const { extended, shared_memory: sharedMemory } = JSON.parse(showJson(facts));
  assert.deepEqual([extended, sharedMemory], [true, true]);
});

const RUNS: readonly Run[] = [
  { offset: 0n, length: 5242880n, type: 3n },
  { offset: 5242880n, length: 70000n, type: 0n },
];
const SIZE = 5312880n;
const BASE = 'base:allocation';

/** The runs as they might come: each by itself. */
async function* coming(runs: readonly Run[]): Runs {
  for (const run of runs) yield [run];
}

async function whole(pieces: AsyncIterable<string>): Promise<string> {
  let text = '';
  for await (const piece of pieces) text += piece;
  return text;
}

test('maps as the C nbdinfo prints them', async () => {
  assert.equal(
    await whole(mapText(coming(RUNS), BASE, plain)),
    '         0     5242880    3  hole,zero\n   5242880       70000    0  data\n',
  );
  assert.equal(
    await whole(mapText(coming(RUNS), BASE, coloured)),
    '         0     5242880    3  hole,zero\n\x1b[1;30m   5242880       70000    0  data\x1b[0m\n',
  );
  const json =
    '[\n{ "offset": 0, "length": 5242880, "type": 3, "description": "hole,zero"},\n' +
    '{ "offset": 5242880, "length": 70000, "type": 0, "description": "data"}\n]\n';
  assert.equal(await whole(mapJson(coming(RUNS), BASE)), json);
  assert.equal(await whole(mapJson(coming([]), BASE)), '[\n\n]\n');
});

test('totals as the C nbdinfo prints them', async () => {
  const totals = await totalsOf(coming(RUNS));
  assert.equal(
    totalsText(totals, BASE, SIZE, plain),
    '     70000   1.3%   0 data\n   5242880  98.7%   3 hole,zero\n',
  );
  assert.equal(
    totalsJson(totals, BASE, SIZE),
    '[\n{ "size": 70000, "percent": 1.31755, "type": 0, "description": "data" },\n' +
      '{ "size": 5242880, "percent": 98.6824, "type": 3, "description": "hole,zero" }\n]\n',
  );
  assert.equal(totalsJson([], BASE, 0n), '[]\n');
  const tie = [
    { size: 1n, type: 0n },
    { size: 15n, type: 3n },
  ];
  assert.match(totalsText(tie, BASE, 16n, plain), / {3}6\.2%.*\n.* 93\.8%/);
});

/** A server with `count` runs of `length` bytes, `answer` of them at a time. */
function diskOf(count: number, length: number, answer: number, typeOf: (index: number) => number) {
  const asked: number[] = [];
  return {
    asked,
    size: BigInt(count * length),
    metaContexts: [BASE],
    blockStatus: async (offset: bigint) => {
      const first = Number(offset) / length;
      asked.push(first);
      const runs = Array.from({ length: answer }, (_, index) => ({
        length,
        flags: typeOf(first + index),
      }));
      return new Map([[BASE, runs]]);
    },
  };
}

test('neighbours of one status are one run, also across answers, and the end is cut', async () => {
  const runs: Run[] = [];
  const disk = diskOf(10_000, 512, 1500, index => (index < 4000 ? index % 2 : 3));
  for await (const some of mapOf(disk, BASE)) runs.push(...some);
  assert.equal(runs.length, 4001);
  assert.deepEqual(runs.at(-1), { offset: 2048000n, length: 3072000n, type: 3n });
  assert.deepEqual(runs[3999], { offset: 2047488n, length: 512n, type: 1n });
  await assert.rejects(
    mapOf({ ...disk, blockStatus: async () => new Map() }, BASE).next(),
    /gave no status at 0/,
  );
});

test('a map is shown as it comes, and asks for more when that is shown', async () => {
  const disk = diskOf(1 << 24, 512, 5000, index => index % 2);
  const pieces = mapText(mapOf(disk, BASE), BASE, plain);
  let longest = 0;
  for (let count = 0; count < 20; count++) {
    longest = Math.max(longest, (await pieces.next()).value.split('\n').length);
  }
  assert.ok(longest <= 2000, `${longest} lines in one piece`);
  assert.ok(disk.asked.length <= 5, `${disk.asked.length} answers for 20,000 lines`);
  await pieces.return(undefined);
});

test('totals keep a number for each status, and not for ever more of them', async () => {
  const disk = diskOf(1 << 20, 512, 1 << 16, index => index % 3);
  const totals = await totalsOf(mapOf(disk, BASE));
  assert.deepEqual(
    totals.map(({ type }) => type),
    [0n, 1n, 2n],
  );
  const absurd = diskOf(1 << 20, 512, 1 << 16, index => index);
  await assert.rejects(totalsOf(mapOf(absurd, BASE)), /more than 65536 kinds of status/);
  assert.ok(absurd.asked.length < 4);
});

test('statuses of the contexts that are known', async () => {
  const one = (type: bigint) => [{ offset: 0n, length: 1n, type }];
  const words = async (context: string, type: bigint) =>
    (await whole(mapText(coming(one(type)), context, plain))).replace(/^ +0 +1 +/, '').trimEnd();
  assert.equal(await words('qemu:dirty-bitmap:x', 1n), '1  dirty');
  assert.equal(await words('qemu:allocation-depth', 0n), '0  absent');
  assert.equal(await words('qemu:allocation-depth', 7n), '7  backing depth 7');
  assert.equal(await words('x:y', 5n), '5');
  assert.equal(await words(BASE, 2n ** 40n), String(2n ** 40n));
});

test('questions in any spelling, and no others', () => {
  assert.equal(question('Multi_Conn'), question('multi-conn'));
  assert.throws(() => question('fly'), /^UsageError: 'fly' cannot be asked for: expected/);
  assert.throws(() => question('constructor'), /'constructor' cannot be/);
});
