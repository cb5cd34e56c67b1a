/** What the author of a plugin or filter tests it with: `nbdpipe/testing`. */
export { pluginSource } from './declare/configure.ts';
export { type ContractOptions, deviceContract, type Writes } from './testing/contract.ts';
export { filterSource, makersOf, openFilter, openPlugin, REQUEST } from './testing/open.ts';
