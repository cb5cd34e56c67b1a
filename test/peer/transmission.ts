import type { TestContext } from 'node:test';
import type { BlockDevice } from '../../src/block/device.ts';
import type { ServerOptions } from '../../src/server/options.ts';
import { only, type ScriptedClient, startServer } from './scripted-client.ts';

export const FORMS = ['simple', 'structured', 'extended'] as const;
export type Form = (typeof FORMS)[number];

/** A client in the transmission phase, in one of the three forms. */
export async function enter(client: ScriptedClient, form: Form, contexts: readonly string[] = []) {
  await client.greet();
  if (form === 'structured') await client.structured();
  if (form === 'extended') await client.extendedHeaders();
  const ids = contexts.length > 0 ? await client.contexts('', ...contexts) : new Map();
  return { ...(await client.go()), ids };
}

/** A server of the device, and a client in the transmission phase. */
export async function connected(
  t: TestContext,
  device: BlockDevice,
  form: Form = 'simple',
  options: Omit<ServerOptions, 'source'> = {},
) {
  const started = await startServer(t, only(device), options);
  const client = await started.dial();
  const { flags } = await enter(client, form);
  return { ...started, client, flags };
}
