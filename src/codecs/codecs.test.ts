import assert from 'node:assert/strict';
import { fstatSync, openSync } from 'node:fs';
import { test } from 'node:test';
import { deflateRawSync } from 'node:zlib';
import { xzStream } from '../../test/peer/xz.ts';
import { Random } from '../testing/model.ts';
import type { Decoder, Sink } from './coding.ts';
import { decoderOf } from './decoders.ts';
import { lzmaPackage } from './lzma-package.ts';
import { Spool } from './spool.ts';
import { streamedDecoder } from './streamed.ts';

/** Collects what comes, a little at a time. */
class Collected implements Sink {
  readonly most = Number.MAX_SAFE_INTEGER;
  readonly #room = Buffer.alloc(1000);
  readonly #parts: Buffer[] = [];

  get bytes(): Buffer {
    return Buffer.concat(this.#parts);
  }

  room(): Buffer {
    return this.#room;
  }

  filled(length: number): void {
    this.#parts.push(Buffer.from(this.#room.subarray(0, length)));
  }
}

/** Feeds a decoder with pieces of so many bytes. */
async function decoded(decoder: Decoder, input: Buffer, piece: number): Promise<Buffer> {
  const sink = new Collected();
  try {
    for (let at = 0; at < input.length || at === 0; at += piece) {
      const last = at + piece >= input.length;
      await decoder.decode(input.subarray(at, at + piece), last, sink);
    }
    return sink.bytes;
  } finally {
    decoder.close();
  }
}

const CONTENT = Buffer.concat([new Random(1).bytes(40_000), Buffer.alloc(60_000, 'words ')]);
const XZ = xzStream([{ bytes: CONTENT }]);

for (const piece of [13, 777, 1 << 20]) {
  test(`deflate in pieces of ${piece}`, async () => {
    const packed = deflateRawSync(CONTENT);
    assert.ok(CONTENT.equals(await decoded(decoderOf({ kind: 'deflate' }), packed, piece)));
  });

  test(`xz in pieces of ${piece}`, async () => {
    assert.ok(CONTENT.equals(await decoded(decoderOf({ kind: 'xz' }), XZ, piece)));
  });
}

test('bytes after the end of what is only one stream', async () => {
  for (const kind of ['xz', 'deflate'] as const) {
    const packed = kind === 'xz' ? XZ : deflateRawSync(CONTENT);
    const more = Buffer.concat([packed, Buffer.from('more')]);
    await assert.rejects(decoded(decoderOf({ kind }), more, 777), {
      errno: 'EIO',
      message: 'more bytes follow its end',
    });
  }
});

test('xz without liblzma', async t => {
  const decoder = lzmaPackage({ kind: 'xz' });
  if (!decoder) return t.skip('needs the package lzma-native');
  assert.ok(CONTENT.equals(await decoded(decoder, XZ, 7777)));
  const damaged = Buffer.from(XZ);
  damaged[500]! ^= 1;
  const wrong: readonly (readonly [input: Buffer, memory: number, expected: object])[] = [
    [damaged, 1 << 30, { errno: 'EIO', message: /^it is damaged/ }],
    [XZ.subarray(0, 50_000), 1 << 30, { errno: 'EIO', message: 'it is cut short' }],
    [XZ, 1000, { errno: 'ENOMEM', message: 'its dictionary is too large' }],
  ];
  for (const [input, memory, expected] of wrong) {
    const decode = async () => await decoded(lzmaPackage({ kind: 'xz', memory })!, input, 7777);
    await assert.rejects(decode, expected);
  }
  return undefined;
});

test('gzip by a stream of Node, and what a sink throws', async () => {
  const { createGunzip, gzipSync } = await import('node:zlib');
  const failure = (error: unknown) => error as never;
  const packed = Buffer.concat([gzipSync(CONTENT), Buffer.alloc(5000)]);
  const decoder = streamedDecoder(createGunzip(), failure);
  assert.ok(CONTENT.equals(await decoded(decoder, packed, 777)));
  const garbage = Buffer.concat([packed, Buffer.from('garbage')]);
  for (const piece of [garbage.length, 777]) {
    const refused = decoded(streamedDecoder(createGunzip(), failure), garbage, piece);
    await assert.rejects(refused, { errno: 'EIO', message: 'more bytes follow its end' });
  }
  const full = streamedDecoder(createGunzip(), failure);
  const sink = new Collected();
  const reason = new Error('it is full');
  sink.filled = () => {
    throw reason;
  };
  await assert.rejects(async () => await full.decode(packed, true, sink), reason);
  full.close();
});

test('a file that cannot be so large', async () => {
  const fd = openSync('/dev/null', 'r');
  const spool = new Spool({ size: 0n, read: () => Buffer.alloc(0) }, fd);
  assert.throws(() => spool.device(10), { message: /^a file of 10 bytes cannot be made: / });
  await spool.close();
  await spool.close();
  assert.throws(() => fstatSync(fd), { code: 'EBADF' });
});
