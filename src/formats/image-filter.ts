import { shareSource } from '../block/shared.ts';
import { defineFilter, wrapSource } from '../declare/declare.ts';
import type { ParameterDeclarations } from '../declare/parameters.ts';
import { filesBeside } from '../stores/file/beside.ts';
import { openImage } from './open-image.ts';

/** What all filters over image formats know. */
const FOLDER = {
  'image-folder': {
    type: 'path',
    help: 'Where the files are that the image names, by plain names (default: it may name none)',
  },
} as const satisfies ParameterDeclarations;

/** What those know whose images hold more than a disk. */
const MORE = {
  ...FOLDER,
  'image-snapshot': { type: 'string', help: 'An internal snapshot to show, by its id or name' },
  'image-passphrase': { type: 'password', help: 'What opens an encrypted image' },
} as const satisfies ParameterDeclarations;

export interface ImageFilterOptions {
  /** As the format unless told. */
  readonly name?: string;
  /** Nothing is written, whatever lies below. */
  readonly forReading?: boolean;
  /** Whether there are snapshots in its images, and some are encrypted. */
  readonly more?: boolean;
}

/** The filter that shows the disk in images of one format. */
export function imageFilter(
  format: string,
  { name = format, forReading = false, more = false }: ImageFilterOptions = {},
) {
  return defineFilter({
    name,
    description: `the disk in an image of the format ${format}`,
    parameters: more ? MORE : (FOLDER as typeof MORE),
    create(parameters, below) {
      const { 'image-folder': folder, 'image-snapshot': snapshot } = parameters;
      const { 'image-passphrase': passphrase } = parameters;
      const files = folder === undefined ? undefined : filesBeside({ folder });
      const secret = passphrase === undefined ? undefined : () => Buffer.from(passphrase);
      const images = wrapSource(below, async (device, { readOnly: asked, signal }) => {
        const readOnly = asked || forReading || snapshot !== undefined;
        const options = { format, files, readOnly, snapshot, signal, ...(secret && { secret }) };
        return (await openImage({ device }, options)).device;
      });
      return shareSource(images);
    },
  });
}
