import type { BlockSize } from '../../block/device.ts';
import { BlockError, messageOf } from '../../block/errors.ts';
import type { ExportInfo, Protocol } from '../../client/agreement.ts';
import type { NbdClient } from '../../client/client.ts';
import type { Negotiation } from '../../client/negotiation.ts';
import { TransmissionFlag } from '../../protocol/constants.ts';
import { enter, negotiating, type Target, withClient } from '../target.ts';

/** What holds for every export of a server. */
export interface ConnectionFacts {
  readonly protocol: Protocol;
  readonly tls: boolean;
  readonly structured: boolean;
  readonly extended: boolean;
  /** It takes shared memory for payloads. */
  readonly sharedMemory: boolean;
}

export interface ExportFacts {
  readonly name: string;
  readonly description: string | undefined;
  readonly size: bigint;
  /** What the program `file` says about the beginning. */
  readonly content: string | undefined;
  readonly uri: string | undefined;
  readonly contexts: readonly string[];
  /** 'Transmission flags' of the protocol. */
  readonly flags: number;
  readonly blockSize: BlockSize | undefined;
}

export interface Facts {
  readonly connection: ConnectionFacts;
  readonly exports: readonly ExportFacts[];
}

async function connectionFacts(negotiation: Negotiation): Promise<ConnectionFacts> {
  return {
    protocol: negotiation.protocol,
    tls: negotiation.tls,
    structured: negotiation.structuredReplies,
    extended: negotiation.extendedHeaders,
    sharedMemory: await negotiation.offersSharedMemory(),
  };
}

/** The facts about the export that the target names. */
export async function gatherOne(target: Target, withContent: boolean): Promise<Facts> {
  const { exportName } = target;
  const negotiation = await target.negotiate({ contexts: [] });
  const contexts = await contextsOf(negotiation, exportName);
  const connection = await connectionFacts(negotiation);
  const client = await enter(negotiation, exportName);
  try {
    const content = withContent ? await probeContent(client) : undefined;
    const uri = target.uriOf(exportName);
    const facts = exportFacts(exportName, client.agreement, { contexts, content, uri });
    return { connection, exports: [facts] };
  } finally {
    await client.close();
  }
}

/**
 * The facts about all exports that the server lists.
 * @param warn is told of exports that cannot be looked at.
 */
export async function gatherAll(
  target: Target,
  withContent: boolean,
  warn: (message: string) => void,
): Promise<Facts> {
  const listed = await negotiating(target, {}, async negotiation => {
    if (negotiation.protocol !== 'newstyle-fixed') return undefined;
    const found: ExportFacts[] = [];
    for (const { name, description } of await negotiation.list()) {
      try {
        const contexts = await contextsOf(negotiation, name);
        const info = await negotiation.info(name);
        found.push(exportFacts(name, info, { contexts, description, uri: target.uriOf(name) }));
      } catch (error) {
        if (!(error instanceof BlockError) || error.errno === 'EPROTO') throw error;
        warn(`export '${name}': ${error.message}`);
      }
    }
    return { connection: await connectionFacts(negotiation), found };
  });
  // Older forms of negotiation have no list.
  if (!listed) return gatherOne(target, withContent);
  const { connection, found } = listed;
  if (!withContent) return { connection, exports: found };
  const exports: ExportFacts[] = [];
  for (const facts of found) {
    exports.push({ ...facts, content: await probe({ ...target, exportName: facts.name }, warn) });
  }
  return { connection, exports };
}

async function probe(target: Target, warn: (message: string) => void): Promise<string | undefined> {
  try {
    return await withClient(target, [], probeContent);
  } catch (error) {
    warn(`export '${target.exportName}': ${messageOf(error)}`);
    return undefined;
  }
}

async function contextsOf(negotiation: Negotiation, name: string): Promise<string[]> {
  if (!negotiation.structuredReplies) return [];
  try {
    return await negotiation.listMetaContexts(name);
  } catch (error) {
    // Servers without contexts, and exports that do not exist: GO says so better.
    if (error instanceof BlockError && error.errno !== 'EPROTO') return [];
    throw error;
  }
}

function exportFacts(
  asked: string,
  info: ExportInfo,
  more: {
    contexts: readonly string[];
    uri: string | undefined;
    content?: string | undefined;
    description?: string | undefined;
  },
): ExportFacts {
  return {
    name: info.canonicalName ?? asked,
    description: more.description ?? info.description,
    size: info.size,
    content: more.content,
    uri: more.uri,
    contexts: more.contexts,
    flags: info.flags,
    blockSize: info.blockSize,
  };
}

/** The properties that nbdinfo shows, in its order, with the flag that each depends on. */
export const PROPERTIES = [
  ['is_rotational', TransmissionFlag.rotational],
  ['is_read_only', TransmissionFlag.readOnly],
  ['can_block_status_payload', TransmissionFlag.blockStatusPayload],
  ['can_cache', TransmissionFlag.cache],
  ['can_df', TransmissionFlag.df],
  ['can_fast_zero', TransmissionFlag.fastZero],
  ['can_flush', TransmissionFlag.flush],
  ['can_fua', TransmissionFlag.fua],
  ['can_multi_conn', TransmissionFlag.multiConn],
  ['can_trim', TransmissionFlag.trim],
  ['can_zero', TransmissionFlag.writeZeroes],
] as const;

/** Loaded when it is asked for, as it runs a program. */
async function probeContent(client: NbdClient): Promise<string | undefined> {
  return (await import('./content.ts')).contentOf(client);
}
