import { COMPRESSIONS, FAIL, OpenFlag } from './constants.ts';
import type { Creation } from './creation.ts';
import { Disk } from './disk.ts';
import { VixError } from './library.ts';
import { isRemote, Login } from './login.ts';
import type { Parameters } from './parameters.ts';
import type { Session } from './session.ts';

export interface Opening {
  readonly path: string;
  readonly readOnly: boolean;
  readonly creation: Creation | undefined;
}

/** A connection of the library's to a host, or to this machine, with one disk open. */
export class Connection {
  readonly disk: Disk;
  readonly #session: Session;
  readonly #login: Login;
  readonly #address: bigint;

  private constructor(session: Session, login: Login, address: bigint, handle: bigint) {
    this.#session = session;
    this.#login = login;
    this.#address = address;
    this.disk = new Disk(session, handle);
  }

  /** @throws VixError */
  static async open(
    session: Session,
    parameters: Parameters,
    opening: Opening,
  ): Promise<Connection> {
    return await session.openings.run(async () => {
      const login = await Login.for(session.library, parameters);
      try {
        const address = await connect(session, login, parameters, opening);
        try {
          const handle = await openDisk(session, address, parameters, opening);
          return new Connection(session, login, address, handle);
        } catch (error) {
          await session.library.ask('Disconnect', address);
          throw error;
        }
      } catch (error) {
        await login.free();
        throw error;
      }
    });
  }

  async close(): Promise<void> {
    await this.#session.openings.run(async () => {
      await this.disk.close();
      await this.#session.library.ask('Disconnect', this.#address);
      await this.#login.free();
    });
  }
}

async function connect(
  { library }: Session,
  login: Login,
  { snapshot, transports }: Parameters,
  { readOnly }: Opening,
): Promise<bigint> {
  const place = Buffer.alloc(8);
  const how = [Number(readOnly), snapshot ?? null, transports ?? null] as const;
  await library.call('ConnectEx', login.address, ...how, place);
  return place.readBigUInt64LE();
}

async function openDisk(
  { library, debug }: Session,
  connection: bigint,
  parameters: Parameters,
  { path, readOnly, creation }: Opening,
): Promise<bigint> {
  if (creation && !creation.done) {
    await library.call('Create', connection, path, creation.parameters, null, null);
    creation.done = true;
  }
  const flags =
    (readOnly ? OpenFlag.readOnly : 0) |
    (parameters['single-link'] ? OpenFlag.singleLink : 0) |
    (parameters.unbuffered ? OpenFlag.unbuffered : 0) |
    COMPRESSIONS[parameters.compression];
  const place = Buffer.alloc(8);
  try {
    await library.call('Open', connection, path, flags, place);
  } catch (error) {
    throw withAdvice(error, parameters);
  }
  const handle = place.readBigUInt64LE();
  debug(`mode of transport: ${await library.ask('GetTransportMode', handle)}`);
  return handle;
}

/** All that the library says of a wrong thumbprint is that the error is unknown. */
function withAdvice(error: unknown, parameters: Parameters): unknown {
  if (!(error instanceof VixError && error.number === FAIL && isRemote(parameters))) return error;
  const { thumbprint = 'not given' } = parameters;
  const advice = `is the thumbprint (${thumbprint}) that of the host's certificate?`;
  return new VixError(FAIL, `${error.message}: ${advice}`);
}
