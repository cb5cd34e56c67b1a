import type { Maker } from '../block/recipe.ts';
import { remakeMemory } from '../stores/allocator.ts';
import { remakeFile } from '../stores/file/device.ts';

/** What makes the devices of this package again that are of no plugin's own. */
export const MAKERS: Readonly<Record<string, Maker>> = {
  file: remakeFile,
  memory: remakeMemory,
};
