import type { BlockDevice } from '../../block/device.ts';
import { BlockError, UsageError } from '../../block/errors.ts';
import { readOnlyDevice } from '../../block/read-only.ts';
import { wrapDevice } from '../../block/wrap.ts';
import type { ParameterDeclarations, ParameterValues } from '../../declare/parameters.ts';
import { defineFormat, type Image, type OpenImage } from '../../images/image.ts';
import { AMEND_OPTIONS, amendLuks } from './amend.ts';
import { bytesBeforeData, type CreateOptions, createLuks } from './create.ts';
import { luksDevice, openVolume } from './device.ts';
import { luksFacts } from './facts.ts';
import { CIPHER_OPTIONS, cipherOf } from './options.ts';
import { readHeader } from './read.ts';

const OPTIONS = {
  'key-secret': { type: 'string', help: 'ID of the secret that provides the keyslot passphrase' },
  version: { type: 'integer', minimum: 1, maximum: 2, help: 'Of LUKS: 1 or 2' },
  ...CIPHER_OPTIONS,
} as const satisfies ParameterDeclarations;

/** Volumes of LUKS as images. */
export const luks = defineFormat({
  name: 'luks',
  open: openLuks,
  options: OPTIONS,
  amendOptions: AMEND_OPTIONS,
  create: async (file, size, options, context) => {
    const chosen = createOptions(options, await passphraseOf(context));
    const all = BigInt(bytesBeforeData(chosen)) + ((size + 511n) / 512n) * 512n;
    if (file.resize) await file.resize(all);
    else if (file.size < all)
      throw new BlockError('ENOSPC', 'what is to hold the volume is too small');
    await createLuks(file, chosen);
    chosen.passphrase.fill(0);
  },
  measure: async ({ size }, options) => {
    const before = BigInt(bytesBeforeData(createOptions(options, Buffer.alloc(0))));
    return { required: before + size, full: before + size };
  },
});

async function openLuks(file: BlockDevice, context: OpenImage): Promise<Image> {
  const specific = await luksFacts(file);
  const disk = context.alone ? await sealedDisk(file) : await clearDisk(file, context);
  const device = context.readOnly ? readOnlyDevice(disk) : disk;
  const amend: Image['amend'] = async (words, amending) => {
    const passphrase = await passphraseOf(context);
    await amendLuks(file, passphrase, words, amending);
    passphrase.fill(0);
  };
  const facts = { encrypted: true, specific };
  return { format: 'luks', device, facts, ...(!context.readOnly && { amend }) };
}

async function passphraseOf({ secret }: OpenImage): Promise<Buffer> {
  if (!secret) throw new UsageError('the volume is encrypted, and no passphrase was given');
  return secret();
}

async function clearDisk(file: BlockDevice, context: OpenImage): Promise<BlockDevice> {
  const passphrase = await passphraseOf(context);
  const volume = await openVolume(file, { passphrase });
  passphrase.fill(0);
  const clear = luksDevice(file, volume);
  volume.key.fill(0);
  return clear;
}

/** Its size alone can be known. */
async function sealedDisk(file: BlockDevice): Promise<BlockDevice> {
  const { header } = await readHeader(file, {});
  const size = header.payload.size ?? file.size - header.payload.offset;
  const sealed = () => {
    throw new BlockError('EACCES', 'the volume was not opened by a passphrase');
  };
  return wrapDevice(file, {
    size,
    contexts: undefined,
    read: sealed,
    write: undefined,
    writeBuffer: undefined,
    trim: undefined,
    zero: undefined,
    cache: undefined,
    extents: undefined,
    resize: undefined,
  });
}

function createOptions(options: ParameterValues<typeof OPTIONS>, passphrase: Buffer) {
  const { version } = options;
  return {
    passphrase,
    version: version === 2 ? 2 : 1,
    ...cipherOf(options),
  } satisfies CreateOptions;
}
