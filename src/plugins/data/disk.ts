import { viewsOf } from '../../block/data.ts';
import type { BlockDevice } from '../../block/device.ts';
import { memoryStore } from '../../stores/allocator.ts';
import { contentsOf } from './contents.ts';
import { type Image, readImage } from './image.ts';
import { overlayDevice } from './overlay.ts';

const CHUNK = 1 << 20;

/**
 * A disk that starts as an image and can be written. Only malloc writes the image out; with the
 * other allocators it stays a formula, and what is written takes memory.
 * @throws UsageError
 */
export function writableDisk(image: Image, allocator: string): BlockDevice {
  const store = memoryStore(image.size, allocator);
  if (!allocator.startsWith('malloc')) return overlayDevice(contentsOf(image), store);
  for (let at = 0n; at < image.size; at += BigInt(CHUNK)) {
    const rest = image.size - at;
    let to = at;
    for (const view of viewsOf(readImage(image, at, Math.min(CHUNK, Number(rest))))) {
      store.write!(to, view);
      to += BigInt(view.length);
    }
  }
  return store;
}
