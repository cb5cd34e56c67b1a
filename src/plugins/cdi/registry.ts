import { BlockError } from '../../block/errors.ts';
import type { Patience } from '../../block/retrying.ts';
import { type Attendant, HttpAgent } from '../../http/agent.ts';
import { AsText } from '../../http/body.ts';
import type { Headers } from '../../http/connection.ts';
import { shownUrl } from '../../http/errors.ts';
import type { HttpRequest } from '../../http/exchange.ts';
import { type HttpHead, headerOf } from '../../http/head.ts';
import { statusError } from '../../http/status.ts';
import { PATIENCE, tryAgain } from '../../http/trying.ts';
import { WebFile } from '../../http/web-file.ts';
import type { ImageName } from './image-name.ts';
import type { ImageStore, StoredLayer } from './image-store.ts';
import { ACCEPTED, checkDigest, layerOf, manifestFor } from './manifest.ts';

const LONGEST = 4 << 20;
/** In ms. */
const RECENT = 1000;

export interface RegistryOptions {
  readonly user: string | undefined;
  readonly password: string | undefined;
  readonly verify: boolean;
  debug(message: string): void;
}

/** A registry of container images (OCI distribution). */
export class Registry implements ImageStore {
  readonly #agent: HttpAgent;
  readonly #tokens: HttpAgent;
  readonly #image: ImageName;
  readonly #patience: Patience;

  constructor(image: ImageName, options: RegistryOptions) {
    const { debug, verify } = options;
    const common = { connections: 16, timeout: 0, debug, ...(!verify && { tls: { verify } }) };
    this.#tokens = new HttpAgent(common);
    const attendant = new Bearer(image.registry, options, this.#tokens);
    this.#agent = new HttpAgent({ ...common, attendant });
    this.#image = image;
    this.#patience = { ...PATIENCE, debug };
  }

  async layer(index: number): Promise<StoredLayer> {
    const { reference } = this.#image;
    const first = await this.#manifest(reference);
    const own = manifestFor(first);
    const layer = layerOf(own === undefined ? first : await this.#manifest(own), index);
    return { ...layer, open: async signal => (await this.#blob(layer.digest, signal)).device() };
  }

  #blob(digest: string, signal: AbortSignal | undefined): Promise<WebFile> {
    const options = { followRedirects: true, patience: this.#patience };
    return WebFile.open(this.#agent, this.#urlOf(`blobs/${digest}`), options, signal && { signal });
  }

  close(): void {
    this.#agent.close();
    this.#tokens.close();
  }

  #manifest(reference: string): Promise<string> {
    const url = this.#urlOf(`manifests/${reference}`);
    return tryAgain(
      this.#patience,
      async () => {
        const text = await textOf(this.#agent, url, { accept: ACCEPTED });
        if (reference.startsWith('sha256:')) checkDigest(text, reference);
        return text;
      },
      {},
    );
  }

  #urlOf(path: string): URL {
    const { registry, repository } = this.#image;
    return new URL(`/v2/${repository}/${path}`, registry);
  }
}

async function textOf(agent: HttpAgent, url: URL, headers: Headers): Promise<string> {
  const body = new AsText(LONGEST);
  // What comes with other answers, as when somebody must log in first, is not what was asked for.
  const take = ({ status }: HttpHead) => (status === 200 ? body : undefined);
  const head = await agent.send({ method: 'GET', url, headers, take });
  if (head.status === 200) return body.text;
  throw statusError(head, url);
}

/** Shows a token that the registry says where to get, or a password. */
class Bearer implements Attendant {
  readonly #registry: URL;
  readonly #basic: string | undefined;
  readonly #tokens: HttpAgent;
  #authorization: Promise<string> | undefined;
  #asked = Number.NEGATIVE_INFINITY;

  constructor(registry: URL, { user, password }: RegistryOptions, tokens: HttpAgent) {
    this.#registry = registry;
    const who = Buffer.from(`${user}:${password ?? ''}`).toString('base64');
    this.#basic = user === undefined ? undefined : `Basic ${who}`;
    this.#tokens = tokens;
  }

  async headers({ url, headers }: HttpRequest): Promise<Headers> {
    const isOwn = url.origin === this.#registry.origin;
    const authorization = isOwn ? await this.#authorization : undefined;
    return { ...headers, ...(authorization !== undefined && { authorization }) };
  }

  answered({ url }: HttpRequest, head: HttpHead): boolean {
    if (head.status !== 401 || url.origin !== this.#registry.origin) return false;
    // Others that were refused at the same time have asked already.
    if (performance.now() - this.#asked < RECENT) return true;
    this.#asked = performance.now();
    const wanted = headerOf(head, 'www-authenticate') ?? '';
    if (/^bearer\s/i.test(wanted)) this.#authorization = this.#token(wanted);
    else if (/^basic\b/i.test(wanted) && this.#basic) {
      this.#authorization = Promise.resolve(this.#basic);
    } else return false;
    this.#authorization.catch(() => {});
    return true;
  }

  async #token(challenge: string): Promise<string> {
    const values = new Map(
      [...challenge.matchAll(/(\w+)="([^"]*)"/g)].map(([, key, value]) => [key!, value!]),
    );
    const realm = values.get('realm') ?? '';
    const url = URL.canParse(realm) ? new URL(realm) : undefined;
    if (!url || !/^https?:$/.test(url.protocol)) {
      throw new BlockError('EIO', `${shownUrl(this.#registry)}: it does not say where tokens are`);
    }
    for (const key of ['service', 'scope']) {
      const value = values.get(key);
      if (value !== undefined) url.searchParams.set(key, value);
    }
    const headers: Headers = this.#basic === undefined ? {} : { authorization: this.#basic };
    const text = await textOf(this.#tokens, url, headers);
    const token = tokenIn(text);
    if (token !== undefined) return `Bearer ${token}`;
    throw new BlockError('EIO', `${shownUrl(url)}: what came is no token`);
  }
}

function tokenIn(text: string): string | undefined {
  try {
    const { token, access_token: other } = JSON.parse(text) as Record<string, unknown>;
    const found = token ?? other;
    return typeof found === 'string' && /^[\x21-\x7e]+$/.test(found) ? found : undefined;
  } catch {
    return undefined;
  }
}
