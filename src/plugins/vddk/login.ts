import { UsageError } from '../../block/errors.ts';
import { addressOf, koffi } from '../../posix/libc.ts';
import { CredentialType } from './constants.ts';
import type { Library } from './library.ts';
import type { Parameters } from './parameters.ts';

/** Of VixDiskLibConnectParams, in bytes, on x86-64. */
const LENGTH = 128;
const AT = {
  vmxSpec: 0,
  serverName: 8,
  thumbPrint: 16,
  credType: 32,
  /** Of three strings; the order is another for each type. */
  creds: 40,
  port: 64,
  nfcHostPort: 68,
} as const;

/** Whether the disk is on a host elsewhere. @throws UsageError what is missing then. */
export function isRemote(parameters: Parameters): boolean {
  const { vm, server, user, password, cookie, thumbprint, port, nfchostport } = parameters;
  const any = [vm, server, user, password, cookie, thumbprint].some(each => each !== undefined);
  if (!any && !port && !nfchostport) return false;
  for (const [name, value] of Object.entries({ server, user, password, vm })) {
    if (value === undefined) throw new UsageError(`${name}: must be given for a disk of a host`);
  }
  return true;
}

/** A VixDiskLibConnectParams, for as long as the library needs it. */
export class Login {
  readonly address: bigint;
  readonly #allocated: boolean;
  readonly #library: Library;
  /** What it points at. */
  readonly #strings: Buffer[] = [];
  readonly #fields: Buffer;

  private constructor(library: Library, address: bigint | undefined) {
    this.#library = library;
    this.#allocated = address !== undefined;
    this.#fields = address
      ? Buffer.from(koffi()!.view(address, LENGTH) as ArrayBuffer)
      : Buffer.alloc(LENGTH);
    this.address = address ?? addressOf(this.#fields);
  }

  static async for(library: Library, parameters: Parameters): Promise<Login> {
    const own = library.has('AllocateConnectParams');
    const address = own ? await library.ask('AllocateConnectParams') : undefined;
    const login = new Login(library, address as bigint | undefined);
    if (isRemote(parameters)) login.#fill(parameters);
    return login;
  }

  #fill(parameters: Parameters): void {
    const { vm, server, user, password, cookie, thumbprint, port, nfchostport } = parameters;
    this.#point(AT.vmxSpec, vm);
    this.#point(AT.serverName, server);
    this.#point(AT.thumbPrint, thumbprint);
    const strings = cookie === undefined ? [user, password] : [cookie, user, password];
    const type = cookie === undefined ? CredentialType.user : CredentialType.session;
    this.#fields.writeUInt32LE(type, AT.credType);
    for (const [index, text] of strings.entries()) this.#point(AT.creds + 8 * index, text);
    this.#fields.writeUInt32LE(port ?? 0, AT.port);
    this.#fields.writeUInt32LE(nfchostport ?? 0, AT.nfcHostPort);
  }

  #point(at: number, text: string | undefined): void {
    if (text === undefined) return;
    const string = Buffer.from(`${text}\0`);
    this.#strings.push(string);
    this.#fields.writeBigUInt64LE(addressOf(string), at);
  }

  /** Nothing of the library may use it any more. */
  async free(): Promise<void> {
    if (this.#allocated) await this.#library.ask('FreeConnectParams', this.address);
  }
}
