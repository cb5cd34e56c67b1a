import { BlockError, UsageError } from '../../block/errors.ts';
import { type Patience, retrying } from '../../block/retrying.ts';
import type { NbdClient } from '../../client/client.ts';
import { type ActivatedServer, activate } from '../../client/command.ts';
import { goOrClose, negotiate, tlsOf } from '../../client/connect.ts';
import { Negotiation, type NegotiationOptions } from '../../client/negotiation.ts';
import { OptionError } from '../../client/refusal.ts';
import { BASE_ALLOCATION } from '../../protocol/constants.ts';
import { SocketTransport } from '../../transport/socket.ts';
import type { Target } from './target.ts';

/** Between two attempts to connect, in ms. */
const PAUSE = 1000;
/** Most metadata contexts of one export that are passed on. */
const MOST_CONTEXTS = 64;

/** The other server: connects to it, as often as that is wanted. */
export class Upstream {
  readonly #target: Target;
  readonly #patience: Patience;
  #server: ActivatedServer | undefined;
  #adopted = false;

  /** @param retries how often an attempt to connect is made again. */
  constructor(target: Target, retries: number, debug: (message: string) => void) {
    this.#target = target;
    this.#patience = { retries, delay: PAUSE, growth: 1, debug };
  }

  /** A connection to an export, with all its metadata contexts. */
  async connect(exportName: string, signal?: AbortSignal): Promise<NbdClient> {
    return this.#retrying(signal, async () => {
      const negotiation = await this.#negotiate({ signal });
      const contexts = await contextsOf(negotiation, exportName);
      return goOrClose(negotiation, exportName, { contexts, signal });
    });
  }

  /** Asks the server something before an export is chosen. */
  async ask<T>(question: (negotiation: Negotiation) => Promise<T>): Promise<T> {
    const negotiation = await this.#retrying(undefined, () => this.#negotiate({}));
    try {
      return await question(negotiation);
    } finally {
      await negotiation.close();
    }
  }

  /** Ends a server that was started for this. */
  async close(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    await server?.close();
  }

  async #retrying<T>(signal: AbortSignal | undefined, act: () => Promise<T>): Promise<T> {
    const isFinal = (error: unknown) => error instanceof UsageError || error instanceof OptionError;
    return await retrying('connect', this.#patience, act, { signal, isFinal });
  }

  async #negotiate(given: NegotiationOptions): Promise<Negotiation> {
    const { uri, tlsOptional, command, fd } = this.#target;
    const options = { ...given, tls: tlsOf(uri), tlsOptional, sharedMemory: true };
    if (command) return this.#negotiateWith(command, options);
    if (fd === undefined) return negotiate(uri, options);
    if (this.#adopted) throw new BlockError('ESHUTDOWN', 'the connection of socket-fd is over');
    this.#adopted = true;
    return Negotiation.begin(SocketTransport.adopted(fd), options);
  }

  /** Starts the command, once more if it has ended. */
  async #negotiateWith(
    command: readonly string[],
    options: NegotiationOptions,
  ): Promise<Negotiation> {
    const running = this.#server;
    this.#server ??= await activate(command);
    try {
      return await this.#server.negotiate(options);
    } catch (error) {
      await this.close();
      if (!running) throw error;
      return this.#negotiateWith(command, options);
    }
  }
}

/** All contexts of an export, or the usual one of a server that does not tell. */
async function contextsOf(negotiation: Negotiation, exportName: string): Promise<string[]> {
  if (negotiation.protocol !== 'newstyle-fixed') return [];
  try {
    const contexts = await negotiation.listMetaContexts(exportName);
    return [...new Set([BASE_ALLOCATION, ...contexts])].slice(0, MOST_CONTEXTS);
  } catch (error) {
    if (error instanceof OptionError) return [BASE_ALLOCATION];
    await negotiation.close();
    throw error;
  }
}
