import { fstatSync, readSync } from 'node:fs';
import { BlockError } from '../../block/errors.ts';
import { blockDeviceSize } from '../../posix/blkdev.ts';
import { fileExtents } from '../../posix/holes.ts';
import { scan } from './scan.ts';
import { ExpressionWriter } from './writer.ts';

const CHUNK = 1 << 20;

/**
 * The expression of the data language that stands for an image, some text at a time. Holes are not
 * read; memory does not grow with the image.
 * @param fd a regular file or block device.
 */
export function* describeImage(fd: number): Generator<string> {
  const size = fstatSync(fd).isBlockDevice()
    ? blockDeviceSize(fd)
    : fstatSync(fd, { bigint: true }).size;
  let text = '';
  const writer = new ExpressionWriter(line => {
    text += line;
  });
  let at = 0n;
  while (at < size) {
    const rest = size - at;
    for (const { length, hole } of fileExtents(fd, at, Math.min(2 ** 40, Number(rest)))) {
      if (hole) writer.skip(BigInt(length));
      else for (const _ of describeData(fd, at, length, writer)) yield take();
      at += BigInt(length);
    }
  }
  writer.finish();
  yield take();

  function take(): string {
    const taken = text;
    text = '';
    return taken;
  }
}

/** Describes a run of data; stops after each chunk. */
function* describeData(
  fd: number,
  offset: bigint,
  length: number,
  writer: ExpressionWriter,
): Generator<void> {
  let kept: Buffer = Buffer.alloc(0);
  for (let done = 0; done < length; ) {
    const chunk = readChunk(fd, offset + BigInt(done), Math.min(CHUNK, length - done));
    done += chunk.length;
    const bytes = Buffer.concat([kept, chunk]);
    kept = bytes.subarray(scan(bytes, done < length, part => writer.add(part)));
    yield;
  }
}

function readChunk(fd: number, position: bigint, length: number): Buffer {
  const bytes = Buffer.allocUnsafeSlow(length);
  const count = readSync(fd, bytes, 0, length, position);
  if (count === 0) throw new BlockError('EIO', 'the image became shorter while it was read');
  return bytes.subarray(0, count);
}
