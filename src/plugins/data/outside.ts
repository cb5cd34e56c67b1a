import { open } from 'node:fs/promises';
import { isZero } from '../../block/data.ts';
import { reasonOf } from '../../block/errors.ts';
import { Composer, literal } from './compose.ts';
import type { Outside } from './evaluate.ts';
import { HoleImage, type Image } from './image.ts';
import { runScript } from './script.ts';

const CHUNK = 1 << 20;
const PAGE = 32 << 10;
const MAX_STORED = 1n << 30n;

/**
 * Files and scripts of this machine. All that they give is kept in memory except pages of zeroes.
 * @param warn receives what scripts that succeed write to standard error.
 */
export function createOutside(warn: (message: string) => void): Outside {
  let room = MAX_STORED;
  const collector = (bounded: boolean) =>
    new Collector(bytes => {
      room -= BigInt(bytes);
      if (room < 0n) throw new Error('gives more than 1 GiB: expected a slice such as [:1M]');
    }, bounded);
  return {
    file: (path, limit) => readFile(path, limit, collector),
    script: async (code, limit) => {
      const collected = collector(limit !== undefined);
      await runScript(code, limit, bytes => collected.add(bytes), warn);
      return collected.finish();
    },
  };
}

/** Joins what comes in pieces into an image, without pages of zeroes. */
class Collector {
  private readonly composer = new Composer();
  private readonly charge: (bytes: number) => void;
  private readonly bounded: boolean;
  private pending: Uint8Array[] = [];
  private pendingLength = 0;

  /** @param bounded zeroes cost nothing, as there is an end to them. */
  constructor(charge: (bytes: number) => void, bounded: boolean) {
    this.charge = charge;
    this.bounded = bounded;
  }

  add(bytes: Uint8Array): void {
    this.pending.push(bytes);
    this.pendingLength += bytes.length;
    if (this.pendingLength >= CHUNK) this.flush();
  }

  finish(): Image {
    this.flush();
    return this.composer.finish();
  }

  private flush(): void {
    const bytes = Buffer.concat(this.pending, this.pendingLength);
    this.pending = [];
    this.pendingLength = 0;
    let start = 0;
    for (let at = 0; at < bytes.length; at += PAGE) {
      const end = Math.min(bytes.length, at + PAGE);
      if (!isZero(bytes.subarray(at, end))) continue;
      this.put(Buffer.from(bytes.subarray(start, at)));
      this.put(bytes.subarray(at, end));
      start = end;
    }
    this.put(start === 0 ? bytes : Buffer.from(bytes.subarray(start)));
  }

  private put(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    const hole = isZero(bytes);
    if (!this.bounded || !hole) this.charge(bytes.length);
    const image = hole ? new HoleImage(BigInt(bytes.length)) : literal(bytes);
    this.composer.put(this.composer.size, image);
  }
}

async function readFile(
  path: string,
  limit: bigint | undefined,
  collector: (bounded: boolean) => Collector,
): Promise<Image> {
  const file = await open(path).catch((error: unknown) => {
    throw new Error(`${path}: ${reasonOf(error)}`);
  });
  try {
    const stat = await file.stat();
    if (stat.isDirectory()) throw new Error(`${path}: is a directory: expected a file`);
    const collected = collector(stat.isFile() || limit !== undefined);
    for (let left = limit ?? 2n ** 63n; left > 0n; ) {
      const length = left < CHUNK ? Number(left) : CHUNK;
      const { bytesRead, buffer } = await file.read(
        Buffer.allocUnsafeSlow(length),
        0,
        length,
        null,
      );
      if (bytesRead === 0) break;
      collected.add(buffer.subarray(0, bytesRead));
      left -= BigInt(bytesRead);
    }
    return collected.finish();
  } catch (error) {
    const message = reasonOf(error);
    throw new Error(message.startsWith(path) ? message : `${path}: ${message}`);
  } finally {
    await file.close();
  }
}
