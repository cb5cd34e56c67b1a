import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { hex, join, u32 } from '../../test/peer/bytes.ts';
import { Reply } from './constants.ts';
import { errnoOfNumber, errorNumber, ProtocolError } from './errors.ts';
import {
  chunkHeaderSize,
  decodeErrorPayload,
  decodeReplyHeader,
  decodeStatus,
  encodeChunkHeader,
  encodeErrorPayload,
  encodeHole,
  encodeSimpleReply,
  encodeStatus,
  replyHeaderSize,
} from './reply.ts';

const COOKIE = { cookieHigh: 0x01020304, cookieLow: 0x05060708, offset: 0x1122334455667788n };
const refused = (decode: () => unknown) => assert.throws(decode, ProtocolError);

describe('headers', () => {
  test('a simple reply', () => {
    const bytes = Buffer.alloc(17, 0xee);
    encodeSimpleReply(bytes, 1, COOKIE, 28);
    assert.deepEqual(bytes, hex('ee 67446698 0000001c 0102030405060708'));
    assert.equal(replyHeaderSize(bytes.readUInt32BE(1), false), 16);
    const { kind, error, cookieHigh, cookieLow, length } = decodeReplyHeader(bytes, 1);
    assert.deepEqual([kind, error, length], ['simple', 28, 0]);
    assert.deepEqual([cookieHigh, cookieLow], [COOKIE.cookieHigh, COOKIE.cookieLow]);
  });

  test('a structured chunk', () => {
    const bytes = Buffer.alloc(chunkHeaderSize(false));
    encodeChunkHeader(bytes, 0, COOKIE, Reply.error, true, 0xfffffffe, false);
    assert.deepEqual(bytes, hex('668e33ef 0001 8001 0102030405060708 fffffffe'));
    assert.equal(replyHeaderSize(bytes.readUInt32BE(0), false), 20);
    const { kind, flags, type, length } = decodeReplyHeader(bytes, 0);
    assert.deepEqual([kind, flags, type, length], ['chunk', 1, 0x8001, 0xfffffffe]);
  });

  test('an extended chunk repeats the offset of the request', () => {
    const bytes = Buffer.alloc(chunkHeaderSize(true));
    encodeChunkHeader(bytes, 0, COOKIE, Reply.blockStatusExt, false, 24, true);
    assert.deepEqual(
      bytes,
      hex('6e8a278c 0000 0006 0102030405060708 1122334455667788 0000000000000018'),
    );
    assert.equal(replyHeaderSize(bytes.readUInt32BE(0), true), 32);
    const { kind, flags, type, length, offset } = decodeReplyHeader(bytes, 0);
    assert.deepEqual([kind, flags, type, length], ['chunk', 0, 6, 24]);
    assert.equal(offset, COOKIE.offset);
  });

  test('an extended chunk of more than 32 bits', () => {
    const bytes = hex('6e8a278c 0000 0001 0102030405060708 0000000000000000 0000000100000000');
    assert.equal(decodeReplyHeader(bytes, 0).length, Number.POSITIVE_INFINITY);
  });

  test('unknown magics, and those of the form that was not agreed on', () => {
    refused(() => replyHeaderSize(0x67446699, false));
    refused(() => replyHeaderSize(0x6e8a278c, false));
    refused(() => replyHeaderSize(0x67446698, true));
    refused(() => replyHeaderSize(0x668e33ef, true));
  });
});

test('a hole', () => {
  assert.deepEqual(encodeHole(2n ** 62n, 0x80000000), hex('4000000000000000 80000000'));
});

describe('errors', () => {
  test('both ways', () => {
    const bytes = hex('00000005 0003 6d6568');
    assert.deepEqual(encodeErrorPayload(5, 'meh'), bytes);
    assert.deepEqual(decodeErrorPayload(Reply.error, bytes), { error: 5, message: 'meh' });
    assert.deepEqual(encodeErrorPayload(22, ''), hex('00000016 0000'));
    const silent = { error: 22, message: '' };
    assert.deepEqual(decodeErrorPayload(Reply.error, hex('00000016 0000')), silent);
  });

  test('with an offset', () => {
    const bytes = hex('00000005 0001 78 0000000000001000');
    const decoded = { error: 5, message: 'x', offset: 4096n };
    assert.deepEqual(decodeErrorPayload(Reply.errorOffset, bytes), decoded);
  });

  test('of a kind from the future: the common fields count', () => {
    const bytes = hex('00000005 0001 78 ffff');
    assert.deepEqual(decodeErrorPayload(0x8fff, bytes), { error: 5, message: 'x' });
  });

  test('a long message is cut to 4096 bytes, between characters', () => {
    const payload = encodeErrorPayload(5, `a${'ü'.repeat(4000)}`);
    assert.equal(payload.readUInt16BE(4), 4095);
    assert.deepEqual(payload.subarray(6), Buffer.from(`a${'ü'.repeat(2047)}`));
  });

  const bad = {
    'too short': '00000005 00',
    'a message past the end': '00000005 0004 6d6568',
    'no error': '00000000 0000',
  };
  for (const [what, digits] of Object.entries(bad)) {
    test(what, () => refused(() => decodeErrorPayload(Reply.error, hex(digits))));
  }

  test('an offset that is not there', () => {
    refused(() => decodeErrorPayload(Reply.errorOffset, hex('00000005 0000')));
    refused(() => decodeErrorPayload(Reply.errorOffset, hex('00000005 0001 78 00000000000010')));
  });

  test('numbers: those of the document, and what is not in it', () => {
    const numbers = {
      EPERM: 1,
      EIO: 5,
      ENOMEM: 12,
      EINVAL: 22,
      ENOSPC: 28,
      EOVERFLOW: 75,
      ENOTSUP: 95,
      ESHUTDOWN: 108,
    } as const;
    for (const [errno, number] of Object.entries(numbers)) {
      assert.equal(errorNumber(errno as keyof typeof numbers), number);
      assert.equal(errnoOfNumber(number), errno);
    }
    assert.equal(errorNumber('EROFS'), 1);
    assert.equal(errorNumber('ECONNRESET'), 5);
    assert.equal(errnoOfNumber(2), 'EINVAL');
    assert.equal(errnoOfNumber(0xffffffff), 'EINVAL');
  });
});

describe('block status', () => {
  test('in 32 bits', () => {
    const runs = [
      { length: 4096, flags: 0 },
      { length: 0xffff0000, flags: 3 },
    ];
    const bytes = hex('00000002 00001000 00000000 ffff0000 00000003');
    assert.deepEqual(encodeStatus(2, runs, false), bytes);
    assert.deepEqual(decodeStatus(bytes, false), { contextId: 2, runs });
  });

  test('in 64 bits', () => {
    const runs = [
      { length: 2 ** 40, flags: 1 },
      { length: 512, flags: 2n ** 63n },
    ];
    const bytes = hex(
      '00000001 00000002 0000010000000000 0000000000000001 0000000000000200 8000000000000000',
    );
    assert.deepEqual(encodeStatus(1, runs, true), bytes);
    assert.deepEqual(decodeStatus(bytes, true), { contextId: 1, runs });
  });

  test('a run of more than 2^53-1 bytes counts as that many', () => {
    const bytes = hex('00000001 00000001 7fffffffffffffff 0000000000000000');
    assert.equal(decodeStatus(bytes, true).runs[0]?.length, Number.MAX_SAFE_INTEGER);
  });

  const bad: readonly (readonly [string, boolean, string])[] = [
    ['nothing', false, ''],
    ['no run', false, '00000001'],
    ['half a run', false, '00000001 00000200'],
    ['an empty run', false, '00000001 00000000 00000000'],
    ['no run in 64 bits', true, '00000001 00000000'],
    ['no count', true, '00000001'],
    ['a wrong count', true, '00000001 00000002 0000000000000200 0000000000000000'],
    ['a run of 32 bits', true, '00000001 00000001 00000200 00000000'],
    ['an empty run in 64 bits', true, '00000001 00000001 0000000000000000 0000000000000000'],
  ];
  for (const [what, extended, digits] of bad) {
    test(what, () => refused(() => decodeStatus(hex(digits), extended)));
  }

  test('the last of many runs counts too', () => {
    const run = join(u32(512), u32(0));
    const bytes = join(u32(1), ...Array<Buffer>(100).fill(run), u32(0), u32(0));
    refused(() => decodeStatus(bytes, false));
  });
});
