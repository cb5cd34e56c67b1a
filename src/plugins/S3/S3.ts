import { UsageError } from '../../block/errors.ts';
import { PASS, wrapDevice } from '../../block/wrap.ts';
import { definePlugin } from '../../declare/declare.ts';
import { HttpAgent } from '../../http/agent.ts';
import { fileSource } from '../../http/file-source.ts';
import { PATIENCE } from '../../http/trying.ts';
import { WebFile } from '../../http/web-file.ts';
import { Pieces } from './bucket.ts';
import { credentialsOf, readProfile } from './credentials.ts';
import { diskInPieces } from './disk.ts';
import { PARAMETERS, type Parameters } from './parameters.ts';
import { placeOf, urlOf } from './place.ts';
import { Signer } from './signature.ts';

export default definePlugin({
  name: 'S3',
  description: 'an object in Amazon S3 or Ceph, or a disk in many of them',
  parameters: PARAMETERS,
  async create(parameters, { debug }) {
    const { key, connections, sslverify } = parameters;
    const pieces = piecesOf(parameters);
    const profile = readProfile();
    const place = placeOf(parameters, profile);
    const url = urlOf(place, key);
    const agent = new HttpAgent({
      connections,
      timeout: 0,
      ...(!sslverify && { tls: { verify: false } }),
      attendant: new Signer(credentialsOf(parameters, profile), place.region),
      debug,
    });
    const patience = { ...PATIENCE, debug };
    const close = () => agent.close();
    if (!pieces) {
      const options = { followRedirects: false, patience };
      const open = async (signal: AbortSignal) =>
        (await WebFile.open(agent, url, options, { signal })).device();
      return { ...fileSource(open), close };
    }
    const { size, piece } = pieces;
    const disk = diskInPieces(new Pieces(agent, patience, place, key, piece), size, piece);
    return { open: () => wrapDevice(disk, { ...PASS, close: () => {} }), close };
  },
});

/** @throws UsageError */
function piecesOf({ size, 'object-size': piece }: Parameters) {
  if (size === undefined && piece === undefined) return undefined;
  if (size === undefined || piece === undefined) {
    throw new UsageError('size and object-size: both are given, or none');
  }
  if (piece % 4096n !== 0n) throw new UsageError('object-size: expected a multiple of 4096');
  if (size % piece !== 0n) throw new UsageError('size: expected a multiple of object-size');
  return { size, piece: Number(piece) };
}
