import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { hex } from '../../test/peer/bytes.ts';
import { Command, CommandFlag } from './constants.ts';
import { ProtocolError } from './errors.ts';
import {
  decodeRequest,
  decodeStatusPayload,
  encodeRequest,
  encodeStatusPayload,
  type RequestHeader,
  requestSize,
} from './request.ts';

const REQUESTS: readonly (readonly [RequestHeader, compact: string, extended: string])[] = [
  [
    { flags: 0, type: Command.read, cookieHigh: 0, cookieLow: 1, offset: 0n, length: 512 },
    '25609513 0000 0000 0000000000000001 0000000000000000 00000200',
    '21e41c71 0000 0000 0000000000000001 0000000000000000 0000000000000200',
  ],
  [
    {
      flags: CommandFlag.fua | CommandFlag.fastZero,
      type: Command.writeZeroes,
      cookieHigh: 0x01234567,
      cookieLow: 0x89abcdef,
      offset: 2n ** 63n - 1n,
      length: 0xffffffff,
    },
    '25609513 0011 0006 0123456789abcdef 7fffffffffffffff ffffffff',
    '21e41c71 0011 0006 0123456789abcdef 7fffffffffffffff 00000000ffffffff',
  ],
  [
    {
      flags: 0xffff,
      type: 0xffff,
      cookieHigh: 0xffffffff,
      cookieLow: 0xffffffff,
      offset: 2n ** 64n - 1n,
      length: 0,
    },
    '25609513 ffff ffff ffffffffffffffff ffffffffffffffff 00000000',
    '21e41c71 ffff ffff ffffffffffffffff ffffffffffffffff 0000000000000000',
  ],
];

for (const [request, compact, extended] of REQUESTS) {
  test(`both ways: ${compact}`, () => {
    for (const [isExtended, digits] of [
      [false, compact],
      [true, extended],
    ] as const) {
      const bytes = Buffer.alloc(requestSize({ extended: isExtended }) + 3, 0xee);
      encodeRequest(bytes, 3, request, { extended: isExtended });
      assert.deepEqual(bytes.subarray(0, 3), hex('eeeeee'));
      assert.deepEqual(bytes.subarray(3), hex(digits));
      const decoded = decodeRequest(bytes, 3, { extended: isExtended });
      assert.deepEqual(decoded, { ...request, place: undefined });
    }
  });
}

test('where memory is shared, a place follows each header', () => {
  const request = { ...REQUESTS[0]![0], flags: CommandFlag.shared, place: 0x1_0000_0001 };
  for (const extended of [false, true]) {
    const form = { extended, shared: true };
    const size = requestSize(form);
    assert.equal(size, requestSize({ extended }) + 8);
    const bytes = Buffer.alloc(size);
    encodeRequest(bytes, 0, request, form);
    assert.deepEqual(bytes.subarray(-8), hex('0000000100000001'));
    assert.deepEqual(decodeRequest(bytes, 0, form), request);
    bytes.fill(0xff, size - 8);
    assert.equal(decodeRequest(bytes, 0, form).place, Number.POSITIVE_INFINITY);
  }
});

describe('lengths of 64 bits', () => {
  const decoded = (digits: string) => {
    const bytes = hex(`21e41c71 0000 0004 0000000000000001 0000000000000000 ${digits}`);
    return decodeRequest(bytes, 0, { extended: true }).length;
  };

  test('up to 2^53-1 they are exact', () => {
    const bytes = Buffer.alloc(requestSize({ extended: true }));
    for (const length of [2 ** 32, 2 ** 32 + 1, 2 ** 52 + 3, Number.MAX_SAFE_INTEGER]) {
      const request = { flags: 0, type: 4, cookieHigh: 0, cookieLow: 1, offset: 0n, length };
      encodeRequest(bytes, 0, request, { extended: true });
      assert.equal(bytes.readBigUInt64BE(24), BigInt(length));
      assert.equal(decodeRequest(bytes, 0, { extended: true }).length, length);
    }
    assert.equal(decoded('001fffffffffffff'), Number.MAX_SAFE_INTEGER);
  });

  test('beyond it they are too long for anything', () => {
    assert.equal(decoded('0020000000000000'), Number.POSITIVE_INFINITY);
    assert.equal(decoded('ffffffffffffffff'), Number.POSITIVE_INFINITY);
  });
});

test('a wrong magic, also the one of the other kind', () => {
  const rest = '0000 0000 0000000000000001 0000000000000000 0000000000000200';
  assert.throws(
    () => decodeRequest(hex(`25609512 ${rest}`), 0, { extended: false }),
    ProtocolError,
  );
  assert.throws(
    () => decodeRequest(hex(`21e41c71 ${rest}`), 0, { extended: false }),
    ProtocolError,
  );
  assert.throws(() => decodeRequest(hex(`25609513 ${rest}`), 0, { extended: true }), ProtocolError);
});

describe('the payload of a block status request', () => {
  test('both ways', () => {
    const bytes = hex('0000000100000000 00000002 00000001');
    assert.deepEqual(encodeStatusPayload(2 ** 32, [2, 1]), bytes);
    assert.deepEqual(decodeStatusPayload(bytes), { length: 2 ** 32, contextIds: [2, 1] });
    const none = { length: 1, contextIds: [] };
    assert.deepEqual(decodeStatusPayload(hex('0000000000000001')), none);
  });

  test('of a wrong form', () => {
    for (const digits of ['', '00000000000000', '0000000000000001 000000', '00000001']) {
      assert.equal(decodeStatusPayload(hex(digits)), undefined);
    }
  });
});
