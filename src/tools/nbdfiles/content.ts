import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { viewsOf } from '../../block/data.ts';
import { UsageError } from '../../block/errors.ts';
import type { Node } from '../../formats/fs/file-system.ts';

/** Bytes that are read at once, while the ones before are used. */
const PIECE = 1 << 20;

/** Memory of pieces that were used, for the next file. */
const used: Buffer[] = [];

/** The bytes of a file, in order; each is valid until the next is asked for. */
export async function* contentOf(node: Node): AsyncGenerator<Uint8Array> {
  const device = await node.open();
  const lent: Buffer[] = [];
  const piece = (at: bigint, turn: number) => {
    const left = device.size - at;
    const memory = (length: number) => {
      lent[turn] ??= used.pop() ?? Buffer.allocUnsafeSlow(PIECE);
      return lent[turn].subarray(0, length);
    };
    return device.read(at, left < BigInt(PIECE) ? Number(left) : PIECE, { memory });
  };
  let next = device.size > 0n ? piece(0n, 0) : undefined;
  for (let at = 0n, turn = 1; at < device.size; at += BigInt(PIECE), turn ^= 1) {
    const data = await next!;
    const following = at + BigInt(PIECE);
    next = following < device.size ? piece(following, turn) : undefined;
    // It is waited for later, if at all.
    if (next instanceof Promise) next.catch(() => {});
    yield* viewsOf(data);
  }
  // Only now is nothing under way that writes into it.
  used.push(...lent.filter(Boolean));
}

const CHECKSUMS = ['crc', 'md5', 'sha1', 'sha224', 'sha256', 'sha384', 'sha512'] as const;
type Checksum = (typeof CHECKSUMS)[number];

/** What `--checksum` asks for. @throws UsageError there is no such sum. */
export function checksumNamed(value: string | undefined): Checksum {
  const found = CHECKSUMS.find(name => name === (value ?? 'md5'));
  if (found) return found;
  throw new UsageError(`--checksum: ${value}: expected one of ${CHECKSUMS.join(', ')}`);
}

/** The sum of a file's content; `crc` is that of cksum. */
export async function checksumOf(node: Node, checksum: Checksum): Promise<string> {
  if (checksum === 'crc') return posixSum(node);
  const hash = createHash(checksum);
  for await (const bytes of contentOf(node)) hash.update(bytes);
  return hash.digest('hex');
}

const REVERSED = Buffer.from(Array.from({ length: 256 }, (_, byte) => reversed(byte, 8)));

function reversed(value: number, bits: number): number {
  let result = 0;
  for (let bit = 0; bit < bits; bit++) result = result * 2 + ((value >>> bit) & 1);
  return result;
}

/** POSIX has the bits of each byte the other way around than zlib, and the length at the end. */
async function posixSum(node: Node): Promise<string> {
  let sum = 0xffffffff;
  const add = (bytes: Uint8Array) => {
    sum = crc32(
      Buffer.from(bytes).map(byte => REVERSED[byte]!),
      sum,
    );
  };
  for await (const bytes of contentOf(node)) add(bytes);
  for (let left = node.stat.size; left > 0n; left >>= 8n) add(Buffer.of(Number(left & 0xffn)));
  return String(reversed(sum, 32));
}
