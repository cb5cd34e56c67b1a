import { UsageError } from '../../block/errors.ts';
import type { Profile } from './credentials.ts';
import type { Parameters } from './parameters.ts';

/** Where a bucket is. */
export interface Place {
  readonly region: string;
  /** Names of objects are appended to it; it ends with a slash. */
  readonly bucket: URL;
}

const REGION = 'us-east-1';
/** A bucket that can be the first part of a host's name, under a certificate for `*.`. */
const HOST_PART = /^[a-z\d][a-z\d-]{1,61}[a-z\d]$/;

/** @throws UsageError */
export function placeOf(parameters: Parameters, profile: Profile): Place {
  const { bucket, 'endpoint-url': given, 'addressing-style': style } = parameters;
  const { env } = process;
  const region =
    parameters.region ??
    env.AWS_REGION ??
    env.AWS_DEFAULT_REGION ??
    profile.get('region') ??
    REGION;
  if (!/^[a-z\d-]+$/i.test(region)) throw new UsageError(`region: '${region}' is none`);
  if (!/^[\w.-]+$/.test(bucket) || /^\.+$/.test(bucket)) {
    throw new UsageError(`bucket: '${bucket}': expected letters, digits, '-', '.' and '_'`);
  }
  const named =
    given ?? env.AWS_ENDPOINT_URL_S3 ?? env.AWS_ENDPOINT_URL ?? profile.get('endpoint_url');
  const url = named === undefined ? new URL(`https://s3.${region}.amazonaws.com`) : endpoint(named);
  const virtual =
    style === 'auto' ? named === undefined && HOST_PART.test(bucket) : style === 'virtual';
  const path = url.pathname.replace(/\/*$/, '/');
  if (virtual) url.host = `${bucket}.${url.host}`;
  url.pathname = virtual ? path : `${path}${bucket}/`;
  return { region, bucket: url };
}

function endpoint(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url && /^https?:$/.test(url.protocol) && url.username === '' && url.search === '') return url;
  throw new UsageError('endpoint-url: expected http://HOST:PORT or https://HOST');
}

/** @throws UsageError names that no URL can hold. */
export function urlOf({ bucket }: Place, key: string): URL {
  if (key.split('/').some(part => part === '.' || part === '..')) {
    throw new UsageError(`key: '${key}': '.' and '..' cannot be parts of it`);
  }
  const url = new URL(bucket);
  url.pathname = bucket.pathname + key.split('/').map(encode).join('/');
  return url;
}

/** As signatures want it: all but letters, digits and `-_.~`. */
export function encode(text: string): string {
  return encodeURIComponent(text).replace(
    /[!'()*]/g,
    character => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}
