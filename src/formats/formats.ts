import { UsageError } from '../block/errors.ts';
import type { ImageFormat } from '../images/image.ts';

/** The formats of images by qemu's names, loaded when first used. */
const FORMATS: Readonly<Record<string, () => Promise<ImageFormat>>> = {
  raw: async () => (await import('./raw/raw.ts')).raw,
  qcow2: async () => (await import('./qcow2/qcow2.ts')).qcow2,
  luks: async () => (await import('./luks/luks.ts')).luks,
  vdi: async () => (await import('./vdi/vdi.ts')).vdi,
  vpc: async () => (await import('./vpc/vpc.ts')).vpc,
  vmdk: async () => (await import('./vmdk/vmdk.ts')).vmdk,
  vhdx: async () => (await import('./vhdx/vhdx.ts')).vhdx,
};

export const formatNames: readonly string[] = Object.keys(FORMATS);

/** @throws UsageError there is no such format. */
export async function formatNamed(name: string): Promise<ImageFormat> {
  const load = Object.hasOwn(FORMATS, name) ? FORMATS[name] : undefined;
  if (load) return load();
  throw new UsageError(`Unknown driver '${name}': expected one of ${formatNames.join(', ')}`);
}
