import { UsageError } from '../../block/errors.ts';

/** A container image in a registry. */
export interface ImageName {
  /** Where the registry answers. */
  readonly registry: URL;
  /** Within the registry. */
  readonly repository: string;
  /** A tag, or a digest as `sha256:...`. */
  readonly reference: string;
}

const DOCKER = 'docker.io';
/** What docker.io is called where it answers. */
const DOCKER_REGISTRY = 'registry-1.docker.io';
const REPOSITORY = /^[a-z\d]+(?:[._/-]+[a-z\d]+)*$/;
const REFERENCE = /^(?:[\w][\w.-]{0,127}|sha256:[\da-f]{64})$/;

/** `[docker://][HOST[:PORT]/]REPOSITORY[:TAG|@DIGEST]`, as podman and docker have it. @throws UsageError */
export function parseImageName(text: string): ImageName {
  const name = text.replace(/^docker:\/\//, '');
  const [first = '', ...others] = name.split('/');
  const isHost = others.length > 0 && (/[.:]/.test(first) || first === 'localhost');
  const host = isHost ? first : DOCKER;
  const rest = isHost ? others.join('/') : name;
  const [, path = '', tag, digest] = /^([^:@]+)(?::([^:@]+))?(?:@(.+))?$/.exec(rest) ?? [];
  const isOfficial = host === DOCKER && !path.includes('/');
  const repository = isOfficial ? `library/${path}` : path;
  const reference = digest ?? tag ?? 'latest';
  const scheme = /^(?:localhost|127\.0\.0\.1|\[::1\])(?::\d+)?$/.test(host) ? 'http' : 'https';
  const place = `${scheme}://${host === DOCKER ? DOCKER_REGISTRY : host}`;
  if (
    !/^[a-z\d[]/i.test(host) ||
    !REPOSITORY.test(repository) ||
    !REFERENCE.test(reference) ||
    !URL.canParse(place)
  ) {
    throw new UsageError(`name: '${text}': expected [HOST/]REPOSITORY[:TAG] or ...@sha256:DIGEST`);
  }
  return { registry: new URL(place), repository, reference };
}
