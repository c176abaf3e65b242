/** Where a run's steps lie on its timeline, as fractions of its width. */

export interface Span {
  /** Milliseconds. */
  from: number;
  to: number;
}

export interface Placed {
  /** 0 to 1. */
  left: number;
  width: number;
}

/** No step is narrower, so that the shortest can be seen and hit. */
const NARROWEST = 0.004;

/** Each span within the whole; what reaches out of it is cut, and nothing lies beyond the right end. */
export function place(spans: readonly Span[], whole: Span): Placed[] {
  const length = Math.max(whole.to - whole.from, 1);
  const fraction = (time: number) => Math.min(Math.max((time - whole.from) / length, 0), 1);
  return spans.map(({ from, to }) => {
    const left = Math.min(fraction(from), 1 - NARROWEST);
    return { left, width: Math.max(fraction(to) - left, NARROWEST) };
  });
}

/** At most five round times between 0 and the length (milliseconds), for the scale above the timeline. */
export function scaleMarks(length: number): number[] {
  const rough = Math.max(length, 1) / 4;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = rough < 1000 || rough < 10_000
    ? [1, 2, 5, 10].map((factor) => factor * power).find((one) => one >= rough)!
    : [10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 43_200, 86_400]
      .map((seconds) => seconds * 1000).find((one) => one >= rough) ?? rough;
  return Array.from({ length: Math.floor(length / step) + 1 }, (_, index) => index * step);
}

/** "340 ms", "2.4 s", "3 min 5 s", "2 h 10 min": how long something took. */
export function took(milliseconds: number): string {
  if (milliseconds < 1000) return `${Math.round(milliseconds)} ms`;
  if (milliseconds < 60_000) return `${Number((milliseconds / 1000).toFixed(1))} s`;
  const seconds = Math.round(milliseconds / 1000);
  if (seconds < 3600) return two(Math.floor(seconds / 60), "min", seconds % 60, "s");
  const minutes = Math.round(seconds / 60);
  if (minutes < 48 * 60) return two(Math.floor(minutes / 60), "h", minutes % 60, "min");
  return two(Math.floor(minutes / 1440), "d", Math.floor(minutes % 1440 / 60), "h");
}

function two(large: number, unit: string, small: number, smallUnit: string): string {
  return small === 0 ? `${large} ${unit}` : `${large} ${unit} ${small} ${smallUnit}`;
}
