import { execFileSync } from 'node:child_process';

/** What compresses an image of 1 GiB, by the end of its name. */
const PACKERS = {
  xz: 'xz -T0 -1 --block-size=16MiB',
  gz: 'gzip -1',
} as const;

/** An image of real files, compressed; made when it is first needed. */
export function packed(folder: string, kind: keyof typeof PACKERS): string {
  const image = `${folder}/image`;
  const file = `${image}.${kind}`;
  const script = [
    `test -e ${image} || tar -C / -c usr 2>/dev/null | head -c 1G > ${image}`,
    `test -e ${file} || ${PACKERS[kind]} < ${image} > ${file}`,
  ];
  execFileSync('sh', ['-c', script.join('; ')]);
  return file;
}
