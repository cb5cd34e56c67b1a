/** What the author of a plugin or filter imports: `nbdpipe/plugin`. */
export { type AlignOptions, alignedDevice } from './block/aligned.ts';
export { BlockCache, Budget } from './block/block-cache.ts';
export { checked } from './block/checked.ts';
export { contiguous, isKnownZero, isZero, zeroes } from './block/data.ts';
export type {
  BlockDevice,
  BlockSize,
  Data,
  DeviceSource,
  ExportEntry,
  Extent,
  ExtentsOptions,
  ListRequest,
  Memory,
  MetaContext,
  OpenRequest,
  Peer,
  ReadOptions,
  Recipe,
  RequestOptions,
  StatusRun,
  Support,
  WriteBuffer,
  WriteOptions,
  ZeroOptions,
} from './block/device.ts';
export { BlockError, type Errno, UsageError } from './block/errors.ts';
export { ExtentList } from './block/extents.ts';
export { RangeLock, type Release } from './block/range-lock.ts';
export { readInto } from './block/read-into.ts';
export { Reopenable } from './block/reopen.ts';
export { routeSources } from './block/route.ts';
export { serialiseDevice } from './block/serialise.ts';
export { shareSource } from './block/shared.ts';
export { sliceDevice } from './block/slice.ts';
export { passSource } from './block/source.ts';
export { Turns } from './block/turns.ts';
export { PASS, type Wrapping, wrapDevice } from './block/wrap.ts';
export {
  type Context,
  defineFilter,
  definePlugin,
  type FilterDeclaration,
  type PluginDeclaration,
  sourceOf,
  wrapSource,
} from './declare/declare.ts';
export type { ParameterDeclaration, ParameterDeclarations } from './declare/parameters.ts';
