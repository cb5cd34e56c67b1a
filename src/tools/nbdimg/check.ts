import { UsageError } from '../../block/errors.ts';
import type { CheckReport } from '../../images/image.ts';
import { print } from '../cli.ts';
import { COMMON, checkCache, Given, OUTPUT, SOURCE_CACHE } from './common.ts';
import { Opening } from './opening.ts';
import { warn } from './program.ts';
import type { Subcommand } from './subcommands.ts';

const OPTIONS = {
  ...COMMON,
  ...OUTPUT,
  ...SOURCE_CACHE,
  repair: { names: ['r', 'repair'], value: 'required' },
} as const;

const [FAILED, CORRUPT, LEAKS, NO_CHECK] = [1, 2, 3, 63] as const;

const check: Subcommand = {
  options: OPTIONS,
  async run(line) {
    const given = new Given(line);
    const repair = repairOf(given.text('repair'));
    const { json, one } = given;
    checkCache(given);
    const wanted = {
      readOnly: !repair,
      format: given.text('format'),
      checking: true,
      options: given.has('imageOpts'),
    };
    const { image, close } = await new Opening(given).open(one, wanted);
    try {
      if (!image.check) {
        warn('This image format does not support checks');
        return NO_CHECK;
      }
      const say = (text: string) => (given.has('quiet') ? undefined : print(text));
      let report = await image.check(repair);
      tell(report);
      const { corruptionsFixed, leaksFixed } = report;
      if (corruptionsFixed + leaksFixed > 0) {
        if (!json) await say(fixedText(report));
        report = { ...(await image.check()), corruptionsFixed, leaksFixed };
        tell(report);
      }
      await say(json ? jsonOf(report, one, image.format) : textOf(report));
      if (report.errors > 0) warn('Check failed');
      return statusOf(report);
    } finally {
      await close();
    }
  },
};
export default check;

function repairOf(text: string | undefined): 'leaks' | 'all' | undefined {
  if (text === undefined || text === 'leaks' || text === 'all') return text;
  throw new UsageError(`Unknown option value for -r (expecting 'leaks' or 'all'): ${text}`);
}

function tell({ findings }: CheckReport): void {
  for (const line of findings) process.stderr.write(`${line}\n`);
}

function statusOf({ corruptions, errors, leaks }: CheckReport): number {
  if (errors > 0) return FAILED;
  if (corruptions > 0) return CORRUPT;
  return leaks > 0 ? LEAKS : 0;
}

function fixedText({ leaksFixed, corruptionsFixed }: CheckReport): string {
  return `The following inconsistencies were found and repaired:

    ${leaksFixed} leaked clusters
    ${corruptionsFixed} corruptions

Double checking the fixed image now...
`;
}

function textOf(report: CheckReport): string {
  const { corruptions, leaks, errors, totalClusters, allocatedClusters: allocated } = report;
  let text = '';
  if (corruptions > 0) {
    text += `\n${corruptions} errors were found on the image.\nData may be corrupted, or further writes to the image may corrupt it.\n`;
  }
  if (leaks > 0) {
    text += `\n${leaks} leaked clusters were found on the image.\nThis means waste of disk space, but no harm to data.\n`;
  }
  if (errors > 0) text += `\n${errors} internal errors have occurred during the check.\n`;
  if (text === '') text = 'No errors were found on the image.\n';
  if (totalClusters && allocated) {
    const percent = (part = 0, all = 1) => ((part * 100) / all).toFixed(2);
    text += `${allocated}/${totalClusters} = ${percent(allocated, totalClusters)}% allocated, `;
    text += `${percent(report.fragmentedClusters, allocated)}% fragmented, `;
    text += `${percent(report.compressedClusters, allocated)}% compressed clusters\n`;
  }
  if (report.endOffset) text += `Image end offset: ${report.endOffset}\n`;
  return text;
}

/** In the order in which qemu-img has them; what is zero is left out. */
function jsonOf(report: CheckReport, filename: string, format: string): string {
  const some = (key: string, value: number | undefined) => (value ? { [key]: value } : {});
  return `${JSON.stringify(
    {
      ...some('image-end-offset', report.endOffset),
      ...some('total-clusters', report.totalClusters),
      'check-errors': report.errors,
      ...some('corruptions', report.corruptions),
      ...some('leaks', report.leaks),
      ...some('corruptions-fixed', report.corruptionsFixed),
      ...some('leaks-fixed', report.leaksFixed),
      ...some('fragmented-clusters', report.fragmentedClusters),
      ...some('allocated-clusters', report.allocatedClusters),
      ...some('compressed-clusters', report.compressedClusters),
      filename,
      format,
    },
    null,
    4,
  )}\n`;
}
