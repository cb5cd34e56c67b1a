import { remakeConstant, remakePadding } from '../block/constant.ts';
import { remakeJoin } from '../block/join.ts';
import type { Maker } from '../block/recipe.ts';
import { remakeSlice } from '../block/slice.ts';
import { remakeMemory } from '../stores/allocator.ts';
import { remakeFile } from '../stores/file/device.ts';

/** What makes the devices of this package again that are of no plugin's own. */
export const MAKERS: Readonly<Record<string, Maker>> = {
  constant: remakeConstant,
  file: remakeFile,
  join: remakeJoin,
  luks: async (...made) => (await import('../formats/luks/device.ts')).remakeLuks(...made),
  memory: remakeMemory,
  padding: remakePadding,
  slice: remakeSlice,
};
