import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { hex, join, u16, u32, u64 } from '../../test/peer/bytes.ts';
import { Info, Option, Rep } from './constants.ts';
import { ProtocolError } from './errors.ts';
import {
  decodeInfoReply,
  decodeInfoRequest,
  decodeMagics,
  decodeMetaContextReply,
  decodeMetaContextRequest,
  decodeOptionHeader,
  decodeOptionReplyHeader,
  decodeServerReply,
  encodeExportNameReply,
  encodeGreeting,
  encodeInfoReply,
  encodeInfoRequest,
  encodeMetaContextReply,
  encodeMetaContextRequest,
  encodeOldstyleGreeting,
  encodeOption,
  encodeOptionReply,
  encodeServerReply,
  type InfoReply,
} from './handshake.ts';

const NBDMAGIC = '4e42444d41474943';
const IHAVEOPT = '49484156454f5054';
const REPLY_MAGIC = '0003e889045565a9';

const refused = (decode: () => unknown) => assert.throws(decode, ProtocolError);

describe('greetings', () => {
  test('newstyle: two magics and 16 bits of flags', () => {
    assert.deepEqual(encodeGreeting(3), hex(`${NBDMAGIC} ${IHAVEOPT} 0003`));
    assert.equal(decodeMagics(hex(`${NBDMAGIC} ${IHAVEOPT}`)), 'newstyle');
  });

  test('oldstyle: size, 32 bits of flags, 124 reserved bytes', () => {
    const bytes = encodeOldstyleGreeting(0x123456789an, 0x8001);
    assert.equal(bytes.length, 152);
    const fields = hex(`${NBDMAGIC} 0000420281861253 000000123456789a 00008001`);
    assert.deepEqual(bytes, join(fields, Buffer.alloc(124)));
    assert.equal(decodeMagics(bytes), 'oldstyle');
  });

  test('anything else is not NBD', () => {
    refused(() => decodeMagics(Buffer.from('HTTP/1.1 400 Bad')));
    refused(() => decodeMagics(hex(`${NBDMAGIC} ${NBDMAGIC}`)));
    refused(() => decodeMagics(hex(`${IHAVEOPT} ${NBDMAGIC}`)));
  });
});

describe('options', () => {
  test('a header and its data', () => {
    assert.deepEqual(encodeOption(Option.abort), hex(`${IHAVEOPT} 00000002 00000000`));
    const named = encodeOption(Option.exportName, Buffer.from('disk'));
    assert.deepEqual(named, hex(`${IHAVEOPT} 00000001 00000004 6469736b`));
    assert.deepEqual(decodeOptionHeader(named), { option: 1, length: 4 });
    const longest = decodeOptionHeader(hex(`${IHAVEOPT} ffffffff ffffffff`));
    assert.deepEqual(longest, { option: 0xffffffff, length: 0xffffffff });
    refused(() => decodeOptionHeader(hex(`${NBDMAGIC} 00000001 00000004`)));
  });

  test('a reply and its data', () => {
    const reply = encodeOptionReply(Option.go, Rep.errUnknown, Buffer.from('no'));
    assert.deepEqual(reply, hex(`${REPLY_MAGIC} 00000007 80000006 00000002 6e6f`));
    assert.deepEqual(decodeOptionReplyHeader(reply), { option: 7, reply: 0x80000006, length: 2 });
    refused(() => decodeOptionReplyHeader(hex(`${IHAVEOPT} 00000007 80000006 00000002`)));
  });

  test('what follows NBD_OPT_EXPORT_NAME, with and without its zeroes', () => {
    const fields = hex('0000000040000000 0103');
    assert.deepEqual(encodeExportNameReply(1n << 30n, 0x103, false), fields);
    assert.deepEqual(
      encodeExportNameReply(1n << 30n, 0x103, true),
      join(fields, Buffer.alloc(124)),
    );
  });
});

describe('the data of NBD_OPT_INFO and NBD_OPT_GO', () => {
  const cases = [
    [{ name: '', requests: [] }, '00000000 0000'],
    [{ name: 'ab', requests: [Info.blockSize] }, '00000002 6162 0001 0003'],
    [{ name: 'ü', requests: [1, 2, 0xffff] }, '00000002 c3bc 0003 0001 0002 ffff'],
  ] as const;
  for (const [request, digits] of cases) {
    test(`both ways: ${digits}`, () => {
      assert.deepEqual(encodeInfoRequest(request), hex(digits));
      assert.deepEqual(decodeInfoRequest(hex(digits)), request);
    });
  }

  const bad = {
    'nothing at all': '',
    'no count': '00000000',
    'a name past the end': '00000003 6162 0000',
    'a name of 4 GiB': 'ffffffff 6162 0000',
    'fewer requests than counted': '00000000 0002 0003',
    'more than counted': '00000000 0000 0003',
    'half a request': '00000000 0001 00',
  };
  for (const [what, digits] of Object.entries(bad)) {
    test(what, () => refused(() => decodeInfoRequest(hex(digits))));
  }

  test('a name of more than 4096 bytes', () => {
    const named = (length: number) => join(u32(length), Buffer.alloc(length, 0x61), u16(0));
    assert.equal(decodeInfoRequest(named(4096)).name.length, 4096);
    refused(() => decodeInfoRequest(named(4097)));
  });
});

describe('the data of NBD_OPT_LIST_META_CONTEXT and NBD_OPT_SET_META_CONTEXT', () => {
  const cases = [
    [{ name: '', queries: [] }, '00000000 00000000'],
    [{ name: 'a', queries: ['x:', 'x:y'] }, '00000001 61 00000002 00000002 783a 00000003 783a79'],
  ] as const;
  for (const [request, digits] of cases) {
    test(`both ways: ${digits}`, () => {
      assert.deepEqual(encodeMetaContextRequest(request), hex(digits));
      assert.deepEqual(decodeMetaContextRequest(hex(digits)), request);
    });
  }

  const bad = {
    'nothing at all': '',
    'no count': '00000001 61',
    'a count of 2^32-1': '00000000 ffffffff',
    'a query past the end': '00000000 00000001 00000004 783a',
    'a missing query': '00000000 00000002 00000002 783a',
    'bytes behind the last query': '00000000 00000001 00000002 783a 00',
    'a query of 4 GiB': '00000000 00000001 ffffffff 783a',
  };
  for (const [what, digits] of Object.entries(bad)) {
    test(what, () => refused(() => decodeMetaContextRequest(hex(digits))));
  }
});

describe('the data of option replies', () => {
  test('NBD_REP_SERVER', () => {
    assert.deepEqual(encodeServerReply('ab'), hex('00000002 6162'));
    assert.deepEqual(encodeServerReply('ab', 'c'), hex('00000002 6162 63'));
    assert.deepEqual(decodeServerReply(hex('00000002 6162')), { name: 'ab' });
    const described = decodeServerReply(hex('00000002 6162 63'));
    assert.deepEqual(described, { name: 'ab', description: 'c' });
    refused(() => decodeServerReply(hex('000000')));
    refused(() => decodeServerReply(hex('00000003 6162')));
    refused(() => decodeServerReply(hex('ffffffff 6162')));
  });

  test('NBD_REP_META_CONTEXT', () => {
    const bytes = hex('00000007 783a79');
    assert.deepEqual(encodeMetaContextReply(7, 'x:y'), bytes);
    assert.deepEqual(decodeMetaContextReply(bytes), { id: 7, name: 'x:y' });
    refused(() => decodeMetaContextReply(hex('000000')));
  });

  const replies: readonly (readonly [Exclude<InfoReply, { info: 'unknown' }>, string])[] = [
    [{ info: 'export', size: 2n ** 63n - 1n, flags: 0x1fff }, '0000 7fffffffffffffff 1fff'],
    [{ info: 'name', text: 'disk' }, '0001 6469736b'],
    [{ info: 'name', text: '' }, '0001'],
    [{ info: 'description', text: 'a disk' }, '0002 61206469736b'],
    [
      { info: 'blockSize', blockSize: { minimum: 512, preferred: 4096, maximum: 0xffffffff } },
      '0003 00000200 00001000 ffffffff',
    ],
  ];
  for (const [reply, digits] of replies) {
    test(`NBD_REP_INFO both ways: ${digits}`, () => {
      assert.deepEqual(encodeInfoReply(reply), hex(digits));
      assert.deepEqual(decodeInfoReply(hex(digits)), reply);
    });
  }

  test('NBD_REP_INFO of a kind from the future', () => {
    assert.deepEqual(decodeInfoReply(hex('8005 0102')), { info: 'unknown', type: 0x8005 });
  });

  const bad = {
    'no type': '00',
    'a short size': '0000 00000000000000 0001',
    'a long export': '0000 0000000000000000 0001 00',
    'short block sizes': '0003 00000001 00001000 020000',
    'long block sizes': '0003 00000001 00001000 02000000 00',
  };
  for (const [what, digits] of Object.entries(bad)) {
    test(`NBD_REP_INFO with ${what}`, () => refused(() => decodeInfoReply(hex(digits))));
  }

  test('the size of an export is 64 bits without a sign', () => {
    const reply = decodeInfoReply(join(u16(0), u64(2n ** 64n - 1n), u16(1)));
    assert.deepEqual(reply, { info: 'export', size: 2n ** 64n - 1n, flags: 1 });
  });

  const sizes: readonly (readonly [number, number, number])[] = [
    [0, 4096, 65536],
    [3, 4096, 65536],
    [131072, 131072, 1 << 25],
    [1, 0, 65536],
    [1, 256, 65536],
    [1, 4097, 65536],
    [8192, 4096, 65536],
    [1, 4096, 2048],
    [1, 4096, 0],
    [0xffffffff, 0xffffffff, 0xffffffff],
  ];
  for (const [minimum, preferred, maximum] of sizes) {
    test(`impossible block sizes ${minimum}, ${preferred}, ${maximum}`, () => {
      const bytes = join(u16(Info.blockSize), u32(minimum), u32(preferred), u32(maximum));
      refused(() => decodeInfoReply(bytes));
    });
  }

  test('the largest and the smallest block sizes that are possible', () => {
    for (const [minimum, preferred, maximum] of [
      [1, 512, 512],
      [65536, 65536, 65536],
      [1, 2 ** 31, 2 ** 32 - 1],
      [512, 4096, 5000],
    ] as const) {
      const bytes = join(u16(Info.blockSize), u32(minimum), u32(preferred), u32(maximum));
      const reply = decodeInfoReply(bytes);
      assert.deepEqual(reply, { info: 'blockSize', blockSize: { minimum, preferred, maximum } });
    }
  });
});
