import { alignedDevice } from '../../block/aligned.ts';
import { bytesAt } from '../../codecs/encoded.ts';
import type { ImageStore, StoredLayer } from './image-store.ts';
import { filesInArchive, filesInFolder, type LayoutFiles, textIn } from './layout-files.ts';
import { archivedLayers, checkDigest, imageIn, layerOf, manifestFor, noLayer } from './manifest.ts';

const LOCAL = /^(oci|oci-archive|docker-archive):([^:]+)(?::(.+))?$/;
const PACKINGS = { '1f8b': 'gzip', '28b5': 'zstd' } as const;

/**
 * The image that a name such as `oci:FOLDER:TAG` stands for, as podman and skopeo have them; undefined
 * for names of images in registries.
 * @throws BlockError an archive that cannot be read
 */
export async function localImage(name: string): Promise<ImageStore | undefined> {
  const [, kind, path = '', reference] = LOCAL.exec(name) ?? [];
  if (kind === undefined) return undefined;
  if (kind === 'oci') return new OciLayout(filesInFolder(path), reference);
  const files = await filesInArchive(path);
  return kind === 'oci-archive'
    ? new OciLayout(files, reference)
    : new DockerArchive(files, reference);
}

/** What `skopeo copy ... oci:` and `oci-archive:` make: an image layout of OCI. */
class OciLayout implements ImageStore {
  readonly #files: LayoutFiles;
  readonly #tag: string | undefined;

  constructor(files: LayoutFiles, tag: string | undefined) {
    this.#files = files;
    this.#tag = tag;
  }

  async layer(index: number): Promise<StoredLayer> {
    const listed = imageIn(await textIn(this.#files, 'index.json'), this.#tag);
    const first = await this.#text(listed);
    const own = manifestFor(first);
    const layer = layerOf(own === undefined ? first : await this.#text(own), index);
    return { ...layer, open: () => this.#files.open(placeOf(layer.digest)) };
  }

  async #text(digest: string): Promise<string> {
    const text = await textIn(this.#files, placeOf(digest));
    checkDigest(text, digest);
    return text;
  }

  close(): Promise<void> {
    return this.#files.close();
  }
}

/** The digest is checked: it has no other letters than hexadecimal ones. */
const placeOf = (digest: string) => `blobs/${digest.replace(':', '/')}`;

/** What `docker save` and `skopeo copy ... docker-archive:` make. */
class DockerArchive implements ImageStore {
  readonly #files: LayoutFiles;
  readonly #reference: string | undefined;

  constructor(files: LayoutFiles, reference: string | undefined) {
    this.#files = files;
    this.#reference = reference;
  }

  async layer(index: number): Promise<StoredLayer> {
    const names = archivedLayers(await textIn(this.#files, 'manifest.json'), this.#reference);
    const name = names[index];
    if (name === undefined) throw noLayer(index, names.length);
    const open = () => this.#files.open(name);
    const packing = await this.#packingOf(name);
    return packing ? { packing, open } : { open };
  }

  async #packingOf(name: string) {
    const device = await this.#files.open(name);
    try {
      if (device.size < 2n) return undefined;
      const magic = (await bytesAt(alignedDevice(device), 0, 2)).toString('hex');
      return PACKINGS[magic as keyof typeof PACKINGS];
    } finally {
      await device.close?.();
    }
  }

  close(): Promise<void> {
    return this.#files.close();
  }
}
