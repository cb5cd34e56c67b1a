import type { BlockDevice, DeviceSource } from '../block/device.ts';
import type { RequestHeader } from '../protocol/request.ts';
import type { Credentials } from '../transport/credentials.ts';
import type { Client } from './connection.ts';
import type { ThreadOptions } from './threads.ts';

/** How the server behaves, the same for all connections. */
export interface ServerOptions {
  /** What opens a device for each connection, or one device for all of them. */
  readonly source: BlockDevice | DeviceSource;
  /** Refuse every write. */
  readonly readOnly?: boolean | undefined;
  /** Most requests of one connection under way at once; 16 unless said. */
  readonly threads?: number | undefined;
  /** Bytes of payload that all connections may hold together; 128 MiB unless said. */
  readonly memory?: number | undefined;
  /** Other threads for connections that keep this one busy; none unless given. */
  readonly helpers?: ThreadOptions | undefined;
  /** Oldstyle negotiation, which has no export names and no options. */
  readonly oldstyle?: boolean | undefined;
  /** Do not offer structured replies, nor what depends on them. */
  readonly noStructuredReplies?: boolean | undefined;
  /** Do not offer metadata contexts. */
  readonly noMetaContexts?: boolean | undefined;
  /** Do not let clients on this machine share memory for payloads with the server. */
  readonly noSharedMemory?: boolean | undefined;
  /** Bits of the handshake flags that may be shown; all unless said. */
  readonly maskHandshake?: number | undefined;
  /** Encryption, for clients that ask for it; none unless given. */
  readonly tls?: ServerTls | undefined;
  /** Let the system find out whether TCP clients that say nothing are still there. */
  readonly keepAlive?: boolean | undefined;
  /** How long a handshake may take, in ms; as long as it likes unless said. */
  readonly handshakeTimeout?: number | undefined;
  readonly observer?: ServerObserver | undefined;
}

export interface ServerTls {
  readonly credentials: Credentials;
  /** Nothing is told and nothing served before the connection is encrypted. */
  readonly required?: boolean | undefined;
  /** Clients must show a certificate that the authority has signed. */
  readonly verifyPeer?: boolean | undefined;
}

/** Whoever wants to know what happens. Its methods return soon and do not throw. */
export interface ServerObserver {
  connected?(client: Client): void;
  disconnected?(client: Client): void;
  /** A request was taken. With this method every connection stays in the server's own thread. */
  request?(client: Client, request: RequestHeader): void;
  /** Something went wrong, on the connection of the client if there is one. */
  error?(error: unknown, client?: Client): void;
  /** One line of detail. */
  debug?(message: string, client?: Client): void;
}
