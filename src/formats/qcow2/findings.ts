/** What is found while an image is looked through. */
export class Findings {
  readonly lines: string[] = [];
  corruptions = 0;
  leaks = 0;
  corruptionsFixed = 0;
  leaksFixed = 0;
  errors = 0;

  /** Data may be wrong, or may become so. */
  corrupt(line: string): void {
    this.lines.push(line);
    this.corruptions += 1;
  }
}
