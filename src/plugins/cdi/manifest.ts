import { createHash } from 'node:crypto';
import { BlockError, UsageError } from '../../block/errors.ts';
import { harmless } from '../../protocol/text.ts';

/** What a layer is and how it is packed. */
export interface Layer {
  readonly digest: string;
  /** undefined: it can be read as it is. */
  readonly packing?: 'gzip' | 'zstd';
}

export type PackedLayer = Required<Layer>;

const MANIFESTS = [
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.docker.distribution.manifest.v2+json',
];
const INDICES = [
  'application/vnd.oci.image.index.v1+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
];
/** What is understood here. */
export const ACCEPTED = [...MANIFESTS, ...INDICES].join(', ');
const DIGEST = /^sha256:[\da-f]{64}$/;

interface Descriptor {
  readonly mediaType?: unknown;
  readonly digest?: unknown;
  readonly platform?: { readonly os?: unknown; readonly architecture?: unknown };
}

const ARCHITECTURES: Readonly<Record<string, string>> = {
  x64: 'amd64',
  ia32: '386',
  ppc64: 'ppc64le',
};
const ARCHITECTURE = ARCHITECTURES[process.arch] ?? process.arch;

/**
 * The digest of the manifest for this machine, if that is an index of several.
 * @throws BlockError EIO it is no manifest.
 */
export function manifestFor(text: string): string | undefined {
  const { manifests } = parsed(text);
  if (manifests === undefined) return undefined;
  const all = descriptorsOf(manifests);
  const own = all.find(
    ({ platform }) => platform?.os === 'linux' && platform.architecture === ARCHITECTURE,
  );
  return digestOf(own ?? all.find(({ platform }) => platform === undefined) ?? all[0]);
}

/** @throws UsageError there is no such layer; BlockError EIO it is no manifest. */
export function layerOf(text: string, index: number): Layer {
  const layers = descriptorsOf(parsed(text).layers);
  const layer = layers[index];
  if (!layer)
    throw new UsageError(`layer: there is no layer ${index}: the image has ${layers.length}`);
  const type = String(layer.mediaType);
  const digest = digestOf(layer);
  if (/tar$/.test(type)) return { digest };
  for (const packing of ['gzip', 'zstd'] as const)
    if (type.endsWith(packing)) return { digest, packing };
  throw new BlockError(
    'EIO',
    `layer ${index} is of the type ${harmless(type)}, which is not supported`,
  );
}

/** @throws BlockError EIO these are not the bytes that the digest is of. */
export function checkDigest(bytes: Uint8Array | string, digest: string): void {
  const own = `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
  if (own !== digest) throw new BlockError('EIO', `what came is not ${digest}: it was changed`);
}

function parsed(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null) return value as Record<string, unknown>;
  } catch {
    // It is no JSON.
  }
  throw new BlockError('EIO', 'what came is no manifest of an image');
}

function descriptorsOf(value: unknown): Descriptor[] {
  if (Array.isArray(value) && value.every(each => typeof each === 'object' && each)) return value;
  throw new BlockError('EIO', 'the manifest of the image has no layers');
}

function digestOf(descriptor: Descriptor | undefined): string {
  const digest = descriptor?.digest;
  if (typeof digest === 'string' && DIGEST.test(digest)) return digest;
  throw new BlockError('EIO', 'the manifest of the image has a digest that is not sha256');
}
