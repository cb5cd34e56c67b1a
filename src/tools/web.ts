/** Files on web servers in the place of NBD servers: `https://...` on a command line. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { controllerForMany } from '../block/abortable.ts';
import type { BlockDevice, DeviceSource } from '../block/device.ts';
import { negotiate } from '../client/connect.ts';
import { pluginSource } from '../declare/configure.ts';
import { atEnd } from './ending.ts';
import type { Target } from './target.ts';

/** The file at an address, as the curl plugin has it unless told otherwise. @throws UsageError */
async function webSource(url: string): Promise<DeviceSource> {
  const { default: curl } = await import('../plugins/curl/curl.ts');
  return pluginSource(curl, `url=${url}`);
}

/** The file as a device. @throws UsageError or BlockError */
export async function openWebDevice(
  url: string,
): Promise<{ device: BlockDevice; close(): Promise<void> }> {
  const source = await webSource(url);
  const close = async () => source.close?.();
  try {
    const device = await source.open({
      exportName: '',
      readOnly: true,
      tls: false,
      peer: { family: 'pipe' },
      signal: controllerForMany().signal,
      disconnect: () => {},
    });
    return { device, close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** The file as an NBD server of this process has it, for what is said in the protocol. */
export async function webTarget(url: string): Promise<Target> {
  const { Server } = await import('../server/server.ts');
  const { device, close: leave } = await openWebDevice(url);
  const folder = await mkdtemp(join(tmpdir(), 'nbdpipe-'));
  const path = join(folder, 'socket');
  const server = new Server({ source: device });
  const close = async () => {
    await server.close();
    await leave();
    await rm(folder, { recursive: true, force: true });
  };
  atEnd(close);
  await server.listen({ path });
  return {
    exportName: '',
    local: true,
    uriOf: () => undefined,
    negotiate: options => negotiate({ path }, options),
    close,
  };
}
