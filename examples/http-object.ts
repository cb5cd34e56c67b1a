// An object on a web server, or in S3 by its presigned URL, read by ranged GETs:
// nbdkit ./examples/http-object.ts https://example.com/disk.img
import { BlockError, definePlugin, sourceOf } from 'nbdpipe/plugin';

/** The bytes `from-to` of the object, as it was when it had this tag. */
async function get(url: string, range: string, etag?: string, signal?: AbortSignal) {
  const headers = { range: `bytes=${range}`, ...(etag && { 'if-match': etag }) };
  const response = await fetch(url, { headers, signal: signal ?? null }).catch(error => {
    throw new BlockError('EIO', `${url}: ${error.cause?.message ?? error.message}`);
  });
  const bytes = new Uint8Array(await response.arrayBuffer());
  if (response.status === 206) return { bytes, headers: response.headers };
  throw new BlockError('EIO', `${url}: expected status 206, a part, not ${response.status}`);
}

export default definePlugin({
  name: 'http-object',
  description: 'an object on a web server',
  parameters: { url: { type: 'string', required: true, bare: true, help: 'Where it is' } },
  create: async ({ url }) => {
    const { headers } = await get(url, '0-0');
    const size = BigInt(headers.get('content-range')?.split('/')[1] ?? 0);
    const etag = /^".*"$/.exec(headers.get('etag') ?? '')?.[0];
    return sourceOf(({ signal }) => ({
      size,
      read: async (offset, length) => {
        const last = offset + BigInt(length) - 1n;
        return (await get(url, `${offset}-${last}`, etag, signal)).bytes;
      },
    }));
  },
});
