interface Mark {
  readonly time: number;
  readonly copied: number;
}

/** ms over which the rate is taken. */
const RECENT = 10_000;
const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB', 'EiB'];

/** How far a copy is and how quick, in words. */
export class Pace {
  readonly #total: number | undefined;
  readonly #start: number;
  #before = 0;
  #copied = 0;
  #marks: Mark[];

  /** @param total in bytes; undefined when nobody knows. */
  constructor(total: number | undefined, now = Date.now()) {
    this.#total = total;
    this.#start = now;
    this.#marks = [{ time: now, copied: 0 }];
  }

  /** Bytes, but for those of `begin`. */
  get copied(): number {
    return this.#copied;
  }

  /** Whole, and less than 100: the last step is taken when everything is durable and closed. */
  get percent(): number | undefined {
    if (this.#total === undefined) return undefined;
    if (this.#total === 0) return 0;
    return Math.min(99, Math.floor((100 * (this.#before + this.#copied)) / this.#total));
  }

  /** So many bytes were copied before all this. */
  begin(bytes: number): void {
    this.#before = bytes;
  }

  advance(bytes: number): void {
    this.#copied += bytes;
  }

  /** Remembers the present for the rate. */
  mark(now: number): void {
    this.#marks.push({ time: now, copied: this.#copied });
    while (this.#marks.length > 2 && now - this.#marks[0]!.time > RECENT) this.#marks.shift();
  }

  /** `1.5 GiB/s, 0:42 left`, or what is known of it. */
  short(): string {
    const rate = this.#rate();
    if (rate === 0) return '';
    if (this.#total === undefined) return `${sizeText(this.#copied)}, ${sizeText(rate)}/s`;
    const left = Math.max(0, this.#total - this.#before - this.#copied) / rate;
    return `${sizeText(rate)}/s, ${timeText(left)} left`;
  }

  /** `12% of 80.0 GiB, 1.5 GiB/s, 0:42 left`, or what is known of it. */
  sentence(): string {
    if (this.#total === undefined) return this.short();
    return [`${this.percent}% of ${sizeText(this.#total)}`, this.short()]
      .filter(Boolean)
      .join(', ');
  }

  /** `80.0 GiB in 0:53, 1.5 GiB/s` */
  summary(now = Date.now()): string {
    const seconds = (now - this.#start) / 1000;
    const rate = this.#copied / Math.max(seconds, 0.001);
    return `${sizeText(this.#copied)} in ${timeText(seconds)}, ${sizeText(rate)}/s`;
  }

  /** Bytes a second, of late. */
  #rate(): number {
    const [first, last] = [this.#marks[0]!, this.#marks.at(-1)!];
    if (last.time === first.time) return 0;
    return (1000 * (last.copied - first.copied)) / (last.time - first.time);
  }
}

function sizeText(bytes: number): string {
  const unit = Math.min(UNITS.length - 1, Math.floor(Math.log2(Math.max(1, bytes)) / 10));
  return `${(bytes / 1024 ** unit).toFixed(unit === 0 ? 0 : 1)} ${UNITS[unit]}`;
}

/** Hours, minutes and seconds. */
function timeText(seconds: number): string {
  const whole = Math.ceil(seconds);
  const two = (value: number) => String(value).padStart(2, '0');
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
  return `${hours > 0 ? `${hours}:${two(minutes)}` : minutes}:${two(whole % 60)}`;
}
