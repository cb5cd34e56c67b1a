import { BlockError, UsageError } from '../../block/errors.ts';
import type { RawParameter } from '../../declare/parameters.ts';
import type { Amending, OpenImage } from '../../images/image.ts';
import { amendInnerLuks, INNER_AMEND_OPTIONS } from '../inner-luks.ts';
import { cryptoHeader, EXTENSION, featureNameTable, withExtension } from './extensions.ts';
import { Findings } from './findings.ts';
import { AUTOCLEAR, type Header, INCOMPATIBLE, LAZY_REFCOUNTS, LUKS } from './header.ts';
import { OPTIONS } from './options.ts';
import { rebuildRefcounts } from './rebuild.ts';
import { Refcounts } from './refcounts.ts';
import { References } from './references.ts';
import { type State, saveHeader } from './state.ts';
import { withoutZeroFlags } from './walk.ts';

/** What can be changed of an image that is there. */
export const AMEND_OPTIONS = {
  ...INNER_AMEND_OPTIONS,
  compat: OPTIONS.compat,
  data_file: OPTIONS.data_file,
  data_file_raw: OPTIONS.data_file_raw,
  lazy_refcounts: OPTIONS.lazy_refcounts,
  refcount_bits: OPTIONS.refcount_bits,
};

type Wish = Partial<Record<keyof typeof AMEND_OPTIONS, string>>;

/**
 * Changes options of an image. @param words checked before.
 * @throws UsageError what does not go together; BlockError what the image does not allow.
 */
export async function amendQcow2(
  state: State,
  words: readonly RawParameter[],
  { secret }: Pick<OpenImage, 'secret'>,
  amending: Amending,
): Promise<void> {
  const inner = words.filter(({ key }) => key?.startsWith('encrypt.'));
  if (inner.length > 0) await amendPassphrases(state, inner, await secret!(), amending);
  const wish: Wish = Object.fromEntries(words.map(({ key, value }) => [key, value]));
  const { header, clusters } = state;
  await clusters.flush();
  const old = wish.compat === '0.10' || wish.compat === 'v2';
  if (wish.compat !== undefined && !old && header.version === 2) upgrade(header);
  if (wish.refcount_bits !== undefined)
    await setRefcountBits(state, Number(wish.refcount_bits), old);
  if (wish.lazy_refcounts !== undefined) setLazy(header, wish.lazy_refcounts === 'on', old);
  if (wish.data_file !== undefined || wish.data_file_raw !== undefined) setDataFile(header, wish);
  if (old && header.version === 3) await downgrade(state);
  await saveHeader(state);
}

async function amendPassphrases(
  { file, header }: State,
  words: readonly RawParameter[],
  passphrase: Buffer,
  amending: Amending,
): Promise<void> {
  const crypto = header.crypt === LUKS ? cryptoHeader(header) : undefined;
  if (!crypto)
    throw new UsageError("Amend doesn't support options of encryption here: the image has none");
  await amendInnerLuks(file, crypto, passphrase, words, amending);
}

function upgrade(header: Header): void {
  header.version = 3;
  header.extensions = [...header.extensions, featureNameTable()];
}

function setLazy(header: Header, on: boolean, old: boolean): void {
  if (on && (header.version === 2 || old)) {
    throw new UsageError(
      'Lazy refcounts only supported with compatibility level 1.1 and above (use compat=1.1 or greater)',
    );
  }
  header.compatible = on ? header.compatible | LAZY_REFCOUNTS : header.compatible & ~LAZY_REFCOUNTS;
}

function setDataFile(header: Header, { data_file, data_file_raw }: Wish): void {
  if (!(header.incompatible & INCOMPATIBLE.dataFile)) {
    throw new UsageError('data-file can only be set for images that use an external data file');
  }
  if (data_file_raw === 'on' && !(header.autoclear & AUTOCLEAR.rawDataFile)) {
    throw new UsageError('data-file-raw cannot be set on existing images');
  }
  if (data_file_raw === 'off') header.autoclear &= ~AUTOCLEAR.rawDataFile;
  if (data_file !== undefined) {
    header.extensions = withExtension(
      header.extensions,
      EXTENSION.dataFile,
      data_file || undefined,
    );
  }
}

/** Counters of another width, built anew. */
async function setRefcountBits(state: State, bits: number, old: boolean): Promise<void> {
  const order = Math.log2(bits);
  const { header, file, refcounts, snapshots, snapshotBytes } = state;
  if (!Number.isInteger(order) || order < 0 || order > 6) {
    throw new UsageError('Refcount width must be a power of two and may not exceed 64 bits');
  }
  if (bits !== 16 && (header.version === 2 || old)) {
    throw new UsageError(
      'Refcount widths other than 16 bits require compatibility level 1.1 or above (use compat=1.1 or greater)',
    );
  }
  if (order === header.refcountOrder) return;
  const references = new References(file, header, new Findings());
  await references.addAll(snapshots, snapshotBytes);
  for (const at of refcounts.table) if (at !== 0) references.add(at, 2 ** header.clusterBits);
  if (references.most > Refcounts.maxOf(order)) {
    throw new BlockError(
      'EINVAL',
      `Cannot decrease refcount entry width to ${bits} bits: a cluster is referred to more often`,
    );
  }
  const before = {
    table: refcounts.table,
    at: header.refcountOffset,
    clusters: header.refcountClusters,
  };
  header.refcountOrder = order;
  await rebuildRefcounts(state, references);
  await saveHeader(state);
  const size = 2 ** header.clusterBits;
  for (let index = 0; index < before.clusters; index++)
    await state.refcounts.change(before.at / size + index, -1);
  for (const at of before.table) if (at !== 0) await state.refcounts.change(at / size, -1);
  await state.clusters.close();
}

/** Version 2 knows no zeroes but those of clusters that are nowhere, and nothing of what came later. */
async function downgrade(state: State): Promise<void> {
  const { header, snapshots } = state;
  if (header.refcountOrder !== 4) throw new UsageError('compat=0.10 requires refcount_bits=16');
  const { dataFile, compression, extendedL2 } = INCOMPATIBLE;
  if (header.incompatible & (dataFile | compression | extendedL2)) {
    throw new BlockError('ENOTSUP', 'Cannot downgrade an image with incompatible features set');
  }
  if (snapshots.some(({ diskSize }) => diskSize !== header.size)) {
    throw new BlockError('ENOTSUP', 'Internal snapshots prevent downgrade of image');
  }
  await withoutZeroFlags(state);
  header.version = 2;
  header.extensions = header.extensions.filter(({ type }) => type !== EXTENSION.featureNames);
  Object.assign(header, { incompatible: 0n, compatible: 0n, autoclear: 0n });
}
