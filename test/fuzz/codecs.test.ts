import assert from 'node:assert/strict';
import { UsageError } from '../../src/block/errors.ts';
import { ProtocolError } from '../../src/protocol/errors.ts';
import {
  decodeInfoReply,
  decodeInfoRequest,
  decodeMagics,
  decodeMetaContextReply,
  decodeMetaContextRequest,
  decodeOptionHeader,
  decodeOptionReplyHeader,
  decodeServerReply,
  encodeInfoReply,
  encodeInfoRequest,
  encodeMetaContextReply,
  encodeMetaContextRequest,
  encodeOption,
  encodeOptionReply,
  encodeServerReply,
} from '../../src/protocol/handshake.ts';
import {
  decodeErrorPayload,
  decodeReplyHeader,
  decodeStatus,
  encodeChunkHeader,
  encodeErrorPayload,
  encodeSimpleReply,
  encodeStatus,
  replyHeaderSize,
} from '../../src/protocol/reply.ts';
import {
  decodeRequest,
  decodeStatusPayload,
  encodeRequest,
  encodeStatusPayload,
  requestSize,
} from '../../src/protocol/request.ts';
import { formatNbdUri, parseNbdUri } from '../../src/protocol/uri.ts';
import type { Random } from '../../src/testing/model.ts';
import { fuzz, mutate } from './fuzz.ts';

const text = (random: Random) =>
  ['', 'disk', 'base:allocation', 'ü', 'x'.repeat(random.below(5000))][random.below(5)]!;
const number = (random: Random) => random.below(2 ** 32);

/** Makes a message, and takes it apart again, which gives the same or a ProtocolError. */
type Codec = (random: Random) => { bytes: Buffer; decode(bytes: Buffer): unknown };

/** Bytes of at least a header's size, as whoever decodes a header has waited for it. */
const padded = (size: number, decode: (bytes: Buffer) => unknown) => (bytes: Buffer) =>
  decode(bytes.length < size ? Buffer.concat([bytes, Buffer.alloc(size)]) : bytes);

const CODECS: Readonly<Record<string, Codec>> = {
  greeting: random => ({ bytes: random.bytes(16), decode: padded(16, decodeMagics) }),
  option: random => ({
    bytes: encodeOption(number(random), random.bytes(random.below(50))),
    decode: padded(16, decodeOptionHeader),
  }),
  optionReply: random => ({
    bytes: encodeOptionReply(number(random), number(random), random.bytes(random.below(50))),
    decode: padded(20, decodeOptionReplyHeader),
  }),
  infoRequest: random => ({
    bytes: encodeInfoRequest({ name: text(random), requests: [0, 1, 2, 3] }),
    decode: decodeInfoRequest,
  }),
  metaContextRequest: random => ({
    bytes: encodeMetaContextRequest({ name: text(random), queries: ['base:', text(random)] }),
    decode: decodeMetaContextRequest,
  }),
  serverReply: random => ({
    bytes: encodeServerReply(text(random), text(random)),
    decode: decodeServerReply,
  }),
  metaContextReply: random => ({
    bytes: encodeMetaContextReply(number(random), text(random)),
    decode: decodeMetaContextReply,
  }),
  infoReply: random => ({
    bytes: encodeInfoReply(
      [
        { info: 'export', size: BigInt(number(random)), flags: 0xffff } as const,
        { info: 'name', text: text(random) } as const,
        { info: 'description', text: text(random) } as const,
        {
          info: 'blockSize',
          blockSize: { minimum: 1 << random.below(17), preferred: 65536, maximum: 1 << 25 },
        } as const,
      ][random.below(4)]!,
    ),
    decode: decodeInfoReply,
  }),
  request: random => {
    const form = { extended: random.below(2) === 1, shared: random.below(2) === 1 };
    const { extended, shared } = form;
    const bytes = Buffer.alloc(requestSize(form));
    const request = {
      flags: random.below(65536),
      type: random.below(65536),
      cookieHigh: number(random),
      cookieLow: number(random),
      offset: BigInt(number(random)) << BigInt(random.below(33)),
      length: extended ? number(random) * random.below(2 ** 20) : number(random),
      place: shared ? number(random) * random.below(2 ** 20) : undefined,
    };
    encodeRequest(bytes, 0, request, form);
    assert.deepEqual(decodeRequest(bytes, 0, form), request);
    const decode = padded(40, changed => decodeRequest(changed, 0, form));
    return { bytes, decode };
  },
  statusPayload: random => ({
    bytes: encodeStatusPayload(number(random), [1, number(random)]),
    decode: decodeStatusPayload,
  }),
  reply: random => {
    const bytes = Buffer.alloc(32);
    const cookie = { cookieHigh: number(random), cookieLow: number(random), offset: 5n };
    const extended = random.below(2) === 1;
    if (random.below(2)) encodeSimpleReply(bytes, 0, cookie, number(random));
    else encodeChunkHeader(bytes, 0, cookie, random.below(65536), true, 99, extended);
    return {
      bytes,
      decode: padded(32, changed => {
        replyHeaderSize(changed.readUInt32BE(0), extended);
        return decodeReplyHeader(changed, 0);
      }),
    };
  },
  error: random => {
    const type = 0x8000 + random.below(4);
    const bytes = encodeErrorPayload(1 + random.below(200), text(random));
    return { bytes, decode: changed => decodeErrorPayload(type, changed) };
  },
  status: random => {
    const extended = random.below(2) === 1;
    const runs = Array.from({ length: 1 + random.below(5) }, () => ({
      length: 1 + random.below(2 ** 31),
      flags: number(random),
    }));
    const bytes = encodeStatus(number(random), runs, extended);
    assert.deepEqual(decodeStatus(bytes, extended).runs, runs);
    return { bytes, decode: changed => decodeStatus(changed, extended) };
  },
};

function decodesOrRefuses(name: string, decode: () => unknown, refusal: new () => Error): void {
  try {
    decode();
  } catch (error) {
    if (!(error instanceof refusal)) throw new Error(name, { cause: error });
  }
}

for (const [name, codec] of Object.entries(CODECS)) {
  fuzz(
    `codec of ${name}`,
    async random => {
      for (let count = 0; count < 200; count++) {
        const { bytes, decode } = codec(random);
        const changed = random.below(20) === 0 ? random.bytes(random.below(100)) : bytes;
        const refusal = ProtocolError as unknown as new () => Error;
        decodesOrRefuses(name, () => decode(mutate(changed, random)), refusal);
      }
    },
    { share: 1 / Object.keys(CODECS).length },
  );
}

const URIS = [
  'nbd://localhost:10809/disk',
  'nbds://user@[::1]:1/%C3%BC?tls-verify-peer=1&tls-type=psk',
  'nbd+unix:///name?socket=/tmp/sock&tls-certificates=/etc/pki',
  'nbd+vsock://2:1024/x',
];

fuzz('URIs', async random => {
  for (let count = 0; count < 200; count++) {
    const changed = mutate(Buffer.from(URIS[random.below(URIS.length)]!), random);
    const uri = changed.toString(random.below(2) ? 'latin1' : 'utf8');
    decodesOrRefuses(
      uri,
      () => {
        const parsed = parseNbdUri(uri);
        assert.deepEqual(parseNbdUri(formatNbdUri(parsed)), parsed, uri);
      },
      UsageError as unknown as new () => Error,
    );
  }
});
