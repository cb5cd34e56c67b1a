import { BlockError } from '../../block/errors.ts';
import { EXTENSION, withExtension } from './extensions.ts';
import { l1EntriesFor } from './header.ts';
import { L1 } from './l1.ts';
import { giveBack, type State, saveHeader, saveSize, store } from './state.ts';

const MOST_L1_BYTES = 32 << 20;

/**
 * Makes the disk longer or shorter. @param size in bytes, a multiple of 512
 * @throws BlockError ENOTSUP with snapshots where they do not keep their size; ENOSPC
 */
export async function resizeQcow2(state: State, size: bigint): Promise<void> {
  const { clusters, header, snapshots } = state;
  if (header.version === 2 && snapshots.length > 0) {
    throw new BlockError('ENOTSUP', "Can't resize an image which has snapshots");
  }
  if (size < header.size) {
    const from = roundUp(size, BigInt(clusters.cluster));
    if (from < header.size) await clusters.forget(from, header.size);
  }
  const entries = l1EntriesFor(header, size);
  if (entries * 8 > MOST_L1_BYTES) {
    throw new BlockError('ENOSPC', 'a disk of this size needs larger clusters');
  }
  await clusters.flush();
  if (entries > clusters.l1.entries) await growL1(state, entries);
  header.size = size;
  await saveSize(state);
}

const roundUp = (value: bigint, unit: bigint) => ((value + unit - 1n) / unit) * unit;

/** A longer L1 table at another place. */
async function growL1(state: State, entries: number): Promise<void> {
  const { clusters, header } = state;
  const before = clusters.l1;
  const l1 = new L1(0, entries);
  l1.offsets.set(before.offsets);
  l1.own.set(before.own);
  l1.at = await store(state, l1.bytes());
  await clusters.flush();
  clusters.l1 = l1;
  Object.assign(header, { l1Entries: entries, l1Offset: l1.at });
  await saveSize(state);
  await giveBack(state, before.at, before.entries * 8);
}

/** Names another backing file, or none; what shows through is as that file has it. */
export async function setBacking(
  state: State,
  name: string | undefined,
  format: string | undefined,
): Promise<void> {
  const { header } = state;
  if (name !== undefined && Buffer.byteLength(name) > 1023) {
    throw new BlockError('EINVAL', 'Backing file name too long');
  }
  header.backing = name;
  const kept = name === undefined ? undefined : format;
  header.extensions = withExtension(header.extensions, EXTENSION.backingFormat, kept);
  await saveHeader(state);
}
