import { alignedDevice } from '../../block/aligned.ts';
import { allOf } from '../../block/all-of.ts';
import { byteLength, sliceData, viewsOf } from '../../block/data.ts';
import type { Data } from '../../block/device.ts';
import { BlockError, naming, UsageError } from '../../block/errors.ts';
import { outward } from '../../block/segments.ts';
import { Turns } from '../../block/turns.ts';
import { readLines } from '../../declare/lines.ts';
import type { Compare } from './comparison.ts';

/** Bytes of a SHA-256. */
const DIGEST = 32;
/** Node has four threads for digests; what waits for one needs no copy yet. */
const turns = new Turns(4);

/**
 * Compares blocks with a list of their digests, as sha256sum prints them.
 * @param block of how many bytes each is, but for the last one.
 * @throws UsageError the file is no such list.
 */
export function digestsIn(file: string, block: number): Compare {
  const digests = naming('verify-digests', () => Buffer.concat(readLines(file, digestOf)));
  const count = digests.length / DIGEST;
  return (disk, differs) => {
    const needed = (disk.size + BigInt(block) - 1n) / BigInt(block);
    if (BigInt(count) !== needed) {
      const words = `blocks of ${block} bytes, and the disk of ${disk.size} bytes has ${needed}`;
      throw new BlockError('EIO', `verify: '${file}' has digests of ${count} ${words}`);
    }
    const readable = alignedDevice(disk);
    const check = async (offset: bigint, data: Data) => {
      const at = DIGEST * Number(offset / BigInt(block));
      const digest = await turns.run(() => digestOfData(data));
      if (digest.equals(digests.subarray(at, at + DIGEST))) return;
      const words = `the ${byteLength(data)} bytes of the disk have another digest than in '${file}'`;
      throw differs(offset, words);
    };
    return {
      read: async (offset, length, options) => {
        const { start, span } = outward(offset, length, block, disk.size);
        const whole = span === length;
        const data = await readable.read(
          start,
          span,
          whole ? options : { signal: options?.signal },
        );
        const checks: Promise<void>[] = [];
        for (let at = 0; at < span; at += block) {
          const part = sliceData(data, at, Math.min(block, span - at));
          checks.push(check(start + BigInt(at), part));
        }
        await allOf(checks);
        return whole ? data : sliceData(data, Number(offset - start), length);
      },
    };
  };
}

function digestOf([word]: readonly string[]): Buffer {
  if (/^[\da-f]{64}$/i.test(word!)) return Buffer.from(word!, 'hex');
  throw new UsageError('expected the 64 hexadecimal digits of a SHA-256');
}

/** A copy, as memory that threads share cannot be digested in the background. */
async function digestOfData(data: Data): Promise<Buffer> {
  const copy = Buffer.concat(viewsOf(data));
  return Buffer.from(await crypto.subtle.digest('SHA-256', copy));
}
