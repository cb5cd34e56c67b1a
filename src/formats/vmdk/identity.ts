import { randomInt } from 'node:crypto';
import type { Image } from '../../images/image.ts';
import { NO_PARENT } from './descriptor.ts';

/** The identity of what is on each disk that is open, for those over it. */
export const CIDS = new WeakMap<Image, number>();

/** One that nobody has had before. */
export const newCid = () => randomInt(1, NO_PARENT);
