/** What the author of a plugin or filter imports: `nbdpipe/plugin`. */
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
export { sliceDevice } from './block/slice.ts';
export { PASS, type Wrapping, wrapDevice } from './block/wrap.ts';
export {
  type Context,
  defineFilter,
  definePlugin,
  type FilterDeclaration,
  type PluginDeclaration,
  passSource,
  sourceOf,
  wrapSource,
} from './declare/declare.ts';
export type { ParameterDeclaration, ParameterDeclarations } from './declare/parameters.ts';
