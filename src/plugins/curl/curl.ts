import { UsageError } from '../../block/errors.ts';
import { PASS, wrapDevice } from '../../block/wrap.ts';
import { definePlugin } from '../../declare/declare.ts';
import { HttpAgent } from '../../http/agent.ts';
import { fileSource } from '../../http/file-source.ts';
import type { Found } from '../../http/locate.ts';
import { PATIENCE } from '../../http/trying.ts';
import { WebFile } from '../../http/web-file.ts';
import { applyHeader, CurlAttendant } from './attendant.ts';
import { PARAMETERS, type Parameters } from './parameters.ts';
import { Script } from './script.ts';
import { addressOf, agentOptions } from './settings.ts';

export default definePlugin({
  name: 'curl',
  description: 'a file on a web server',
  parameters: PARAMETERS,
  facts: () => ({ curl_protocols: 'http,https' }),
  async create(parameters, { debug }) {
    const web = await webOf(parameters, debug);
    const source = fileSource(async signal => {
      const file = await web.open(signal);
      const made = () => ({ from: { parameters, found: file.found } satisfies Made });
      return Object.defineProperty(file.device(), 'recipe', { get: made, enumerable: true });
    });
    return { ...source, close: () => web.close() };
  },
  remake: async ({ parameters, found }: Made, _over, { signal }) => {
    const web = await webOf(parameters, () => {});
    const file = await web.open(signal, found);
    return wrapDevice(file.device(), { ...PASS, close: () => web.close() });
  },
});

/** What another thread makes the same disk of. */
interface Made {
  readonly parameters: Parameters;
  readonly found: Found;
}

/** The web as the parameters show it. */
interface Web {
  open(signal: AbortSignal, found?: Found): Promise<WebFile>;
  close(): Promise<void>;
}

async function webOf(parameters: Parameters, debug: (message: string) => void): Promise<Web> {
  const { url, ...inUrl } = addressOf(parameters.url);
  const { user = inUrl.user, password = inUrl.password, cookiejar } = parameters;
  const cookies = await cookiesOf(parameters);
  const attendant = new CurlAttendant({
    url,
    identity: user === '' ? undefined : { user, password },
    userAgent: parameters['user-agent'],
    headers: checkedHeaders(parameters),
    headerScript: scriptOf(parameters, 'header-script'),
    cookie: parameters.cookie,
    cookieScript: scriptOf(parameters, 'cookie-script'),
    cookies,
  });
  const agent = new HttpAgent({ ...agentOptions(parameters, url), attendant, debug });
  const options = {
    followRedirects: parameters.followlocation,
    patience: { ...PATIENCE, debug },
  };
  return {
    open: (signal, found) => WebFile.open(agent, url, options, { signal, found }),
    close: async () => {
      agent.close();
      if (cookiejar !== undefined) cookies?.save(cookiejar);
    },
  };
}

/** The library knows which of them go where. */
async function cookiesOf({ cookiefile, cookiejar }: Parameters) {
  if (cookiefile === undefined && cookiejar === undefined) return undefined;
  const { Cookies } = await import('./cookies.ts');
  return new Cookies([cookiefile, cookiejar].flatMap(path => path || []));
}

function checkedHeaders({ header, 'header-script': script }: Parameters): readonly string[] {
  if (header.length > 0 && script !== undefined)
    throw new UsageError('header: not with header-script');
  for (const line of header) applyHeader({}, line);
  return header;
}

function scriptOf(parameters: Parameters, key: 'header-script' | 'cookie-script') {
  const { [key]: text, [`${key}-renew` as const]: renew } = parameters;
  if (text === undefined) {
    if (renew > 0) throw new UsageError(`${key}-renew: needs ${key}`);
    return undefined;
  }
  if (key === 'cookie-script' && parameters.cookie !== undefined) {
    throw new UsageError('cookie: not with cookie-script');
  }
  return new Script(key, text, parameters.url, renew);
}
