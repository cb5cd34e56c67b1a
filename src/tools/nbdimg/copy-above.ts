import { viewsOf } from '../../block/data.ts';
import type { BlockDevice } from '../../block/device.ts';
import { zeroRange } from '../../block/emulate.ts';
import { findInChain } from '../../images/chain.ts';
import type { Image } from '../../images/image.ts';

/** Bytes that are moved at once. */
const PIECE = 1 << 20;

/**
 * Copies what an image has over a chain of others: what shows through from below stays away.
 * @param layers how many of the top images count as above; 1 unless said.
 */
export async function copyAbove(
  image: Image,
  to: BlockDevice,
  advance: (bytes: number) => void,
  layers = 1,
): Promise<void> {
  const { device } = image;
  for (let at = 0n; at < device.size; ) {
    const left = device.size - at;
    const run = await findInChain(image, at, left < 2n ** 40n ? Number(left) : 2 ** 40);
    if (run.present && run.depth < layers) {
      if (run.zero) await zeroRange(to, at, run.length, { mayTrim: true });
      else await move(device, to, at, run.length);
    }
    at += BigInt(run.length);
    advance(run.length);
  }
}

async function move(from: BlockDevice, to: BlockDevice, offset: bigint, length: number) {
  for (let done = 0; done < length; done += PIECE) {
    const at = offset + BigInt(done);
    const data = await from.read(at, Math.min(PIECE, length - done));
    let within = 0;
    for (const view of viewsOf(data)) {
      await to.write!(at + BigInt(within), view);
      within += view.length;
    }
  }
}
