import { createHash } from 'node:crypto';
import { BlockError, UsageError } from '../../block/errors.ts';
import { harmless } from '../../protocol/text.ts';
import type { Packing } from './image-store.ts';

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
  readonly annotations?: { readonly [key: string]: unknown };
}

/** The annotation that has the tag of an image in a layout of OCI. */
const TAG = 'org.opencontainers.image.ref.name';

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

/**
 * What a layer is and how it is packed.
 * @throws UsageError there is no such layer; BlockError EIO it is no manifest.
 */
export function layerOf(text: string, index: number): { digest: string; packing?: Packing } {
  const layers = descriptorsOf(parsed(text).layers);
  const layer = layers[index];
  if (!layer) throw noLayer(index, layers.length);
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

export function noLayer(index: number, count: number): UsageError {
  return new UsageError(`layer: there is no layer ${index}: the image has ${count}`);
}

/**
 * The digest of one of the images in the index of a layout: that with a tag, or the only one.
 * @throws UsageError there is no such image, or there are several; BlockError EIO it is no index
 */
export function imageIn(text: string, tag: string | undefined): string {
  const all = descriptorsOf(parsed(text).manifests);
  const named = all.filter(({ annotations }) => tag === undefined || annotations?.[TAG] === tag);
  const tags = all.map(({ annotations }) => String(annotations?.[TAG] ?? 'without a tag'));
  return digestOf(onlyOne(named, tag, tags));
}

/**
 * The files of the layers of an image, by the manifest of an archive of docker.
 * @throws UsageError and BlockError as `imageIn`
 */
export function archivedLayers(text: string, reference: string | undefined): readonly string[] {
  const images = listOf<{ RepoTags?: unknown; Layers?: unknown }>(parsed(text));
  const tagsOf = ({ RepoTags: tags }: { RepoTags?: unknown }) =>
    Array.isArray(tags) ? tags.map(String) : [];
  const named = images.filter(
    image => reference === undefined || tagsOf(image).some(tag => isSame(tag, reference)),
  );
  const { Layers: layers } = onlyOne(named, reference, images.flatMap(tagsOf));
  if (Array.isArray(layers) && layers.every(each => typeof each === 'string')) return layers;
  throw new BlockError('EIO', 'the manifest of the image has no layers');
}

/** Whether a name is a reference, which may go without its tag or the host that is usual. */
const isSame = (name: string, reference: string) =>
  [reference, `${reference}:latest`].some(each => name === each || name.endsWith(`/${each}`));

function onlyOne<T>(found: readonly T[], wanted: string | undefined, all: readonly string[]): T {
  const [first, second] = found;
  if (first && !second) return first;
  const list = all.map(harmless).join(', ');
  const what = wanted === undefined ? `there are ${all.length} images` : `no image '${wanted}'`;
  throw new UsageError(`name: ${what}: expected one of them behind a colon: ${list}`);
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

const descriptorsOf = (value: unknown) => listOf<Descriptor>(value);

function listOf<T extends object>(value: unknown): T[] {
  if (Array.isArray(value) && value.every(each => typeof each === 'object' && each)) return value;
  throw new BlockError('EIO', 'the manifest of the image has no layers');
}

function digestOf(descriptor: Descriptor | undefined): string {
  const digest = descriptor?.digest;
  if (typeof digest === 'string' && DIGEST.test(digest)) return digest;
  throw new BlockError('EIO', 'the manifest of the image has a digest that is not sha256');
}
