/** The share of what is done, as qemu-img shows it: `    (12.50/100%)`, over itself. */
export function percentage(shown: boolean): { show(share: number): void; end(): void } {
  let last = -1;
  const show = (share: number) => {
    const percent = Math.min(100, share * 100);
    if (!shown || percent - last < 1) return;
    last = percent;
    process.stdout.write(`    (${percent.toFixed(2)}/100%)\r`);
  };
  return {
    show,
    end: () => {
      if (shown) process.stdout.write('    (100.00/100%)\r\n');
    },
  };
}
