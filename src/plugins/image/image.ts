import { shareSource } from '../../block/shared.ts';
import { definePlugin, sourceOf } from '../../declare/declare.ts';
import { formatNames } from '../../formats/formats.ts';
import { openImageFile } from '../../formats/open-image.ts';
import { filesBeside, namedFile } from '../../stores/file/beside.ts';

export default definePlugin({
  name: 'image',
  description: 'the disk in an image file of any format',
  parameters: {
    file: { type: 'path', bare: true, required: true, help: 'The image' },
    format: {
      type: 'string',
      choices: formatNames,
      help: 'Its format (default: as the file begins)',
    },
    passphrase: { type: 'password', help: 'What opens an encrypted image' },
    snapshot: { type: 'string', help: 'An internal snapshot to show, by its id or name' },
    follow: {
      type: 'boolean',
      default: 'true',
      help: 'Whether the files that the image names are opened, if they lie in its folder',
    },
  },
  create({ file, format, passphrase, snapshot, follow }) {
    const files = follow ? filesBeside() : undefined;
    const secret = passphrase === undefined ? undefined : () => Buffer.from(passphrase);
    return shareSource(
      sourceOf(async request => {
        const readOnly = request.readOnly || snapshot !== undefined;
        const { signal } = request;
        const options = { format, files, readOnly, snapshot, signal, ...(secret && { secret }) };
        return (await openImageFile(namedFile(file, readOnly), options)).device;
      }),
    );
  },
});
