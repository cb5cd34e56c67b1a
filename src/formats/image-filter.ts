import type { DeviceSource } from '../block/device.ts';
import { shareSource } from '../block/shared.ts';
import { defineFilter, wrapSource } from '../declare/declare.ts';
import type { ParameterDeclarations } from '../declare/parameters.ts';
import { filesBeside } from '../stores/file/beside.ts';
import { openImage } from './open-image.ts';

/** What all filters over image formats know; a format adds its own. */
const PARAMETERS = {
  'image-folder': {
    type: 'path',
    help: 'Where the files are that the image names, by plain names (default: it may name none)',
  },
  'image-snapshot': { type: 'string', help: 'An internal snapshot to show, by its id or name' },
} as const satisfies ParameterDeclarations;

/** The filter that shows the disk in images of one format. */
export function imageFilter(format: string) {
  return defineFilter({
    name: format,
    description: `the disk in an image of the format ${format}`,
    parameters: PARAMETERS,
    create({ 'image-folder': folder, 'image-snapshot': snapshot }, below): DeviceSource {
      const files = folder === undefined ? undefined : filesBeside({ folder });
      const images = wrapSource(below, async (device, { readOnly, signal }) => {
        const image = await openImage(
          { device },
          { format, files, readOnly: readOnly || snapshot !== undefined, snapshot, signal },
        );
        return image.device;
      });
      return shareSource(images);
    },
  });
}
