/** What programs import: `nbdpipe`. The client, the server, and helpers for block devices. */

export { byteLength } from './block/data.ts';
export { allExtents, zeroRange } from './block/emulate.ts';
export { humanSize, parseSize } from './block/size.ts';
export type { Agreement, ExportInfo, Protocol } from './client/agreement.ts';
export type {
  CloseOptions,
  NbdClient,
  NbdReadOptions,
  OwnReadOptions,
  StatusOptions,
} from './client/client.ts';
export {
  type ActivatedServer,
  activate,
  connectCommand,
  connectSystemdSocketActivation,
  negotiateCommand,
} from './client/command.ts';
export { type ConnectOptions, connect, negotiate } from './client/connect.ts';
export type { GoOptions, Negotiation, NegotiationOptions } from './client/negotiation.ts';
export { OptionError } from './client/refusal.ts';
export type { CompareOptions } from './copy/compare.ts';
export type { Connections, CopyOptions, WriteSettings } from './copy/copy.ts';
export type { HashForm } from './copy/hash/form.ts';
export type { HashOptions } from './copy/hash/hash.ts';
export type { Move } from './copy/kernel.ts';
export type { CopyObserver } from './copy/observer.ts';
export type { Parallelism } from './copy/request-size.ts';
export {
  copyFromStream,
  copyToStream,
  type ReadBytes,
  type WriteBytes,
} from './copy/streams.ts';
export type { Chunk } from './copy/work-queue.ts';
export type {
  Entry,
  FileSystem,
  FileSystemFormat,
  FileType,
  Node,
  Stat,
  Subvolume,
  Usage,
} from './formats/fs/file-system.ts';
export { bytesOf, nameOf } from './formats/fs/names.ts';
export { type Mount, type Place, Tree, type WalkOptions } from './formats/fs/tree.ts';
export { blockHash, type Copyable, compare, copy } from './handle/copy.ts';
export type { CallOptions } from './handle/deadline.ts';
export { Disk } from './handle/disk.ts';
export { DiskError, type Layer, type Operation } from './handle/errors.ts';
export { type Openable, type OpenOptions, open, type Reconnect } from './handle/open.ts';
export type { StreamOptions } from './handle/streams.ts';
export type {
  Capabilities,
  DiskExtent,
  DiskOptions,
  DiskStatistics,
  DiskStatus,
  DiskWriteOptions,
  DiskZeroOptions,
  Offset,
  OperationStatistics,
  RangeOptions,
} from './handle/types.ts';
export { type Content, fileSystemOf, probe } from './inspect/probe.ts';
export { findSystems, type System } from './inspect/system.ts';
export {
  type Inventory,
  listVolumes,
  type Mountable,
  openFileSystems,
  type Volume,
} from './inspect/volumes.ts';
export * from './plugin.ts';
export { ProtocolError } from './protocol/errors.ts';
export {
  formatNbdUri,
  isNbdUri,
  type NbdUri,
  parseNbdUri,
  type SshAddress,
  type UriAddress,
  type UriLimits,
  type UriTlsOptions,
  type UriTransport,
} from './protocol/uri.ts';
export type { Client } from './server/connection.ts';
export { serveHandedOver } from './server/handed-over.ts';
export type { ServerObserver, ServerOptions } from './server/options.ts';
export { type ListenAddress, type ServeOptions, Server, serve } from './server/server.ts';
export type { Statistics } from './server/statistics.ts';
export type { ThreadOptions } from './server/threads.ts';
