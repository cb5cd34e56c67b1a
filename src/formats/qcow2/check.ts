import type { CheckReport } from '../../images/image.ts';
import { Findings } from './findings.ts';
import { INCOMPATIBLE } from './header.ts';
import { COPIED } from './offsets.ts';
import { rebuildRefcounts } from './rebuild.ts';
import { References } from './references.ts';
import { type State, saveHeader } from './state.ts';
import { markOwn, standardEntries } from './walk.ts';

/** More clusters than any list of them may have: as qemu, 2^31. */
const MOST_CLUSTERS = 2 ** 31;

export type Repair = 'leaks' | 'all' | undefined;

/** Looks an image through, and mends what it may. @throws BlockError it cannot be read. */
export async function checkQcow2(state: State, repair?: Repair): Promise<CheckReport> {
  const { clusters, header } = state;
  if (repair) await clusters.flush();
  const findings = new Findings();
  let references = await count(state, findings);
  const broken = await checkBlocks(state, references, findings);
  let highest = 0;
  if (references.clusters > MOST_CLUSTERS) {
    findings.lines.push('ERROR: the file is too large to be checked');
    findings.errors += 1;
  } else {
    highest = await compare(state, references, findings, undefined, broken);
    if (repair) {
      const mended = await mend(state, references, findings, { repair, broken });
      references = mended.references;
      highest = mended.highest;
    }
  }
  await checkCopied(state, findings, repair);
  if (repair) await finish(state, findings, repair);
  const size = 2 ** header.clusterBits;
  return {
    findings: findings.lines,
    corruptions: findings.corruptions,
    leaks: findings.leaks,
    corruptionsFixed: findings.corruptionsFixed,
    leaksFixed: findings.leaksFixed,
    errors: findings.errors,
    endOffset: (highest + 1) * size,
    totalClusters: Math.ceil(Number(clusters.size) / size),
    allocatedClusters: references.allocated,
    fragmentedClusters: references.fragmented,
    compressedClusters: references.compressed,
  };
}

/** Mends what the counters say, after they were looked at. */
async function mend(
  state: State,
  references: References,
  findings: Findings,
  { repair, broken }: { readonly repair: 'leaks' | 'all'; readonly broken: Broken },
): Promise<{ references: References; highest: number }> {
  const { corruptions, leaks } = findings;
  if (!broken.found) {
    if (findings.inCounters > 0) findings.again();
    return { references, highest: await compare(state, references, findings, repair, broken) };
  }
  if (repair !== 'all') {
    findings.lines.push('ERROR need to rebuild refcount structures');
    findings.errors += 1;
    return {
      references,
      highest: await compare(state, references, new Findings(), undefined, broken),
    };
  }
  findings.lines.push('Rebuilding refcount structure');
  await rebuildRefcounts(state, references);
  findings.corruptionsFixed += corruptions;
  findings.leaksFixed += leaks;
  Object.assign(findings, { corruptions: 0, leaks: 0 });
  const anew = await count(state, findings);
  await checkBlocks(state, anew, findings);
  const rest = new Findings();
  const highest = await compare(state, anew, rest, 'leaks', { found: false });
  findings.lines.push(...rest.lines);
  return { references: anew, highest };
}

async function count(state: State, findings: Findings): Promise<References> {
  const references = new References(state.file, state.header, findings);
  await references.addAll(state.snapshots, state.snapshotBytes);
  return references;
}

/** Whether the counters must be built anew. */
interface Broken {
  found: boolean;
}

/** Counts the blocks of counters, and looks at where they are. */
async function checkBlocks(
  { header, refcounts }: State,
  references: References,
  findings: Findings,
): Promise<Broken> {
  const size = 2 ** header.clusterBits;
  const broken = { found: false };
  const bad = (line: string) => {
    findings.corrupt(line);
    broken.found = true;
  };
  for (const [index, at] of refcounts.table.entries()) {
    if (at === 0) continue;
    const what = `refcount block ${index}`;
    if (at % size !== 0) {
      bad(`ERROR ${what} is not cluster aligned; refcount table entry corrupted`);
    } else if (at / size >= references.clusters) bad(`ERROR ${what} is outside image`);
    else {
      references.add(at, size);
      const found = references.get(at / size);
      if (found !== 1) bad(`ERROR ${what} refcount=${found}`);
    }
  }
  return broken;
}

/** What the counters say beside what refers to each cluster. @returns the last that is in use. */
async function compare(
  { refcounts, header }: State,
  references: References,
  findings: Findings,
  repair: Repair,
  broken: Broken,
): Promise<number> {
  const size = 2 ** header.clusterBits;
  let highest = 0;
  for (let index = 0; index < references.clusters; index++) {
    // Nothing counts these, and nothing refers to them.
    const block = refcounts.table[Math.floor(index / refcounts.perBlock)] ?? 0;
    const isBad = block % size !== 0 || block / size >= references.clusters;
    const told = isBad ? 0 : refcounts.get(index);
    const counted = typeof told === 'number' ? told : await told;
    const referred = references.get(index);
    if (counted > 0 || referred > 0) highest = index;
    if (counted === referred) continue;
    if (counted === 0) broken.found = true;
    const isLeak = counted > referred;
    const mends = counted > 0 && (isLeak ? repair !== undefined : repair === 'all');
    const what = mends ? 'Repairing' : isLeak ? 'Leaked' : 'ERROR';
    const line = `${what} cluster ${index} refcount=${counted} reference=${referred}`;
    if (mends) {
      await refcounts.put(index, referred);
      findings.lines.push(line);
      findings[isLeak ? 'leaksFixed' : 'corruptionsFixed'] += 1;
    } else findings.counter(line, isLeak);
  }
  return highest;
}

/** Entries say whether what they lead to is theirs alone. */
async function checkCopied(state: State, findings: Findings, repair: Repair): Promise<void> {
  const { clusters, refcounts } = state;
  const safe = findings.corruptions + findings.leaks + findings.errors === 0;
  const mends = repair === 'all' || (repair === 'leaks' && safe);
  const what = mends ? 'Repairing' : 'ERROR';
  let wrong = 0;
  const note = (line: string) => {
    findings.lines.push(`${what} OFLAG_COPIED ${line}`);
    wrong += 1;
  };
  const size = clusters.cluster;
  const bytes = Buffer.alloc(size);
  for (const [index, start] of clusters.l1.offsets.entries()) {
    if (start === 0 || start % size !== 0) continue;
    const counted = await refcounts.get(start / size);
    const own = clusters.l1.own[index] === 1;
    if ((counted === 1) !== own) {
      const entry = `l1_entry=${entryText(start, own)} refcount=${counted}`;
      note(`L2 cluster: l1_index=${index} ${entry}`);
    }
    for await (const entries of standardEntries(clusters, start, bytes)) {
      for (const { offset, own: isOwn, slice, at } of entries) {
        const told = refcounts.get(Math.floor(offset / size));
        const found = typeof told === 'number' ? told : await told;
        if ((found === 1) === isOwn) continue;
        const text = slice.readBigUInt64BE(at).toString(16);
        note(`data cluster: l2_entry=${text} refcount=${found}`);
      }
    }
  }
  if (mends && wrong > 0) await markOwn(state);
  findings[mends ? 'corruptionsFixed' : 'corruptions'] += wrong;
}

function entryText(offset: number, own: boolean): string {
  return (BigInt(offset) | (own ? BigInt(COPIED) << 32n : 0n)).toString(16);
}

/** Writes what was mended; what is whole now is no longer said to be broken. */
async function finish(state: State, findings: Findings, repair: Repair): Promise<void> {
  const { clusters, header } = state;
  await clusters.close();
  if (findings.errors + findings.corruptions > 0) return;
  const mended = INCOMPATIBLE.dirty | (repair === 'all' ? INCOMPATIBLE.corrupt : 0n);
  if ((header.incompatible & mended) === 0n) return;
  header.incompatible &= ~mended;
  await saveHeader(state);
}
