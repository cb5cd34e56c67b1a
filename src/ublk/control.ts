import { closeSync, openSync, readdirSync } from 'node:fs';
import { BlockError, errnoOf } from '../block/errors.ts';
import { IoUring } from '../posix/io-uring.ts';
import { addressOf, SystemError } from '../posix/libc.ts';
import {
  ANY_DEVICE,
  Control,
  type ControlFields,
  DeviceFlag,
  type DeviceInfo,
  type DiskForm,
  decodeInfo,
  encodeInfo,
  encodeParameters,
  INFO_SIZE,
  putControl,
} from './wire.ts';

const PLACE = '/dev/ublk-control';
const ENTRIES = 4;

/** The kernel's ublk driver, which makes block devices that processes serve. */
export class UblkControl {
  readonly #fd: number;
  readonly #ring: IoUring;
  readonly #waiting = new Map<number, (result: number) => void>();
  /** Whether devices are those of users who are not root. */
  readonly #unprivileged = new Map<number, boolean>();
  #count = 0;
  /** Whether this user is root. */
  readonly privileged = process.geteuid!() === 0;

  /** @throws BlockError the driver is not there, or not for this user. */
  constructor() {
    this.#fd = openControl();
    this.#ring = new IoUring(ENTRIES, 128, (id, result) => {
      this.#waiting.get(id)?.(result);
      this.#waiting.delete(id);
    });
  }

  /** Makes a device, which is not to be seen before it is started. @returns it as it is. */
  async add(wanted: DeviceInfo): Promise<DeviceInfo> {
    const bytes = encodeInfo(wanted);
    await this.#tell('add', { id: wanted.id }, '', bytes);
    return this.#known(decodeInfo(bytes));
  }

  async setParameters(id: number, form: DiskForm): Promise<void> {
    await this.#ask('setParameters', { id }, encodeParameters(form));
  }

  /** Once all requests are fetched. It is there when this has answered, and its partitions are. */
  async start(id: number): Promise<void> {
    await this.#ask('start', { id, data: BigInt(process.pid) });
  }

  /** No more requests come, and those that wait fail. */
  async stop(id: number): Promise<void> {
    await this.#ask('stop', { id });
  }

  /** Once nobody serves it. Who still has it open does not keep it, unless the kernel is older than 6.9. */
  async remove(id: number): Promise<void> {
    try {
      await this.#ask('removeLater', { id });
    } catch (error) {
      // Linux 6.12 has not thought of it for devices of users who are not root.
      if (errnoOf(error) !== 'ENOTSUP' && errnoOf(error) !== 'EINVAL') throw error;
      await this.#ask('remove', { id });
    }
  }

  /** For a device whose process has ended: another one may serve it. */
  async startRecovery(id: number): Promise<void> {
    await this.#ask('startRecovery', { id });
  }

  async endRecovery(id: number): Promise<void> {
    await this.#ask('endRecovery', { id, data: BigInt(process.pid) });
  }

  /** @throws SystemError ENODEV there is no such device. */
  async info(id: number): Promise<DeviceInfo> {
    const bytes = Buffer.alloc(INFO_SIZE);
    await this.#tell('info', { id }, characterDevice(id), bytes);
    return this.#known(decodeInfo(bytes));
  }

  #known(info: DeviceInfo): DeviceInfo {
    this.#unprivileged.set(info.id, (info.flags & DeviceFlag.unprivileged) !== 0n);
    return info;
  }

  close(): void {
    this.#ring.close();
    closeSync(this.#fd);
  }

  async #ask(command: keyof typeof Control, fields: ControlFields, bytes?: Buffer): Promise<void> {
    const { id } = fields;
    if (!this.#unprivileged.has(id)) await this.info(id);
    const path = this.#unprivileged.get(id) ? characterDevice(id) : '';
    return this.#tell(command, fields, path, bytes);
  }

  /**
   * @param path shows that this user may use the device, where the kernel wants to know.
   * @param bytes go with it, and come back.
   */
  async #tell(
    command: keyof typeof Control,
    fields: ControlFields,
    path: string,
    bytes: Buffer = Buffer.alloc(0),
  ): Promise<void> {
    const id = ++this.#count;
    const all = Buffer.concat([Buffer.from(path), bytes]);
    const place = { address: addressOf(all), length: all.length, path: path.length };
    putControl(this.#ring.prepare(id), this.#fd, Control[command], { ...fields, ...place });
    const answer = new Promise<number>(resolve => this.#waiting.set(id, resolve));
    this.#ring.submit();
    const result = await answer;
    if (result < 0) throw new SystemError(`${nameOf(fields.id)}: ${command}`, -result);
    all.copy(bytes, 0, path.length);
  }
}

const nameOf = (id: number) => (id === ANY_DEVICE ? 'a ublk device' : `/dev/ublkb${id}`);

/** Through which a device is served. */
export const characterDevice = (id: number): string => `/dev/ublkc${id}`;

/** The numbers of all devices, in order. */
export function ublkDevices(): number[] {
  const numbers = readdirSync('/dev').map(name => /^ublkc(\d+)$/.exec(name)?.[1]);
  return numbers.flatMap(number => (number ? Number(number) : [])).sort((a, b) => a - b);
}

function openControl(): number {
  try {
    return openSync(PLACE, 'r+');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EACCES' || code === 'EPERM')
      throw new BlockError('EPERM', `${PLACE}: only root may, unless udev is told otherwise`);
    throw new BlockError('ENOENT', `there is no ${PLACE}: the kernel needs its module ublk_drv`);
  }
}
