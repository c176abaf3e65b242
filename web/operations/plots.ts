/**
 * What the plots draw, as plain numbers, and the same in words for whoever does not see them: the plots and
 * their tables cannot differ, because both are made from this.
 */
import { duration } from "../../cli/runs.ts";
import { count } from "../../cli/words.ts";

const DAY = 86_400;

// Deliveries by day -------------------------------------------------------------------------------

export interface DayCount {
  /** The day's beginning, UTC: "2026-11-26", or a time of that day. */
  day: string;
  event_type: string;
  status: string;
  count: number;
}

export interface Stack {
  /** UTC midnights in seconds, each day once, the last is today. */
  days: number[];
  /** One per type, the most frequent first. */
  series: { name: string; counts: number[]; total: number }[];
  /** Of all types, per day. */
  totals: number[];
  /** Dead ones, per day. */
  dead: number[];
  /** Per status, over all days. */
  byStatus: Record<string, number>;
}

/** So many days up to `now` (milliseconds), days without a delivery as zeros. */
export function stackByDay(rows: readonly DayCount[], now: number, length: number): Stack {
  const today = Math.floor(now / 1000 / DAY) * DAY;
  const days = Array.from({ length }, (_, index) => today - (length - 1 - index) * DAY);
  const zeros = () => days.map(() => 0);
  const series = new Map<string, number[]>();
  const totals = zeros();
  const dead = zeros();
  const byStatus: Record<string, number> = {};
  for (const row of rows) {
    const day = Math.floor(Date.parse(row.day) / 1000 / DAY) * DAY;
    const index = (day - days[0]) / DAY;
    if (!(index >= 0 && index < length)) continue;
    const counts = series.get(row.event_type) ?? zeros();
    counts[index] += row.count;
    series.set(row.event_type, counts);
    totals[index] += row.count;
    if (row.status === "dead") dead[index] += row.count;
    byStatus[row.status] = (byStatus[row.status] ?? 0) + row.count;
  }
  return {
    days,
    series: [...series].map(([name, counts]) => ({ name, counts, total: sum(counts) }))
      .sort((a, b) => b.total - a.total || a.name.localeCompare(b.name)),
    totals,
    dead,
    byStatus,
  };
}

/** Series for stacked areas or bars: each with those below it added, the first at the bottom. */
export function cumulate(series: readonly { counts: number[] }[]): number[][] {
  const below = series[0]?.counts.map(() => 0) ?? [];
  return series.map(({ counts }) =>
    counts.map((value, index) => {
      below[index] += value;
      return below[index];
    })
  );
}

/** "41 deliveries in 14 days: 40 processed, 1 dead. Most on 2026-11-24, 12." */
export function describeStack({ days, totals, byStatus }: Stack): string {
  const total = sum(totals);
  if (total === 0) return `No delivery in ${count(days.length, "day")}.`;
  const statuses = ["processed", "ignored", "deferred", "dead"].filter((one) => byStatus[one])
    .map((one) => `${byStatus[one]} ${one}`).join(", ");
  const most = Math.max(...totals);
  const day = new Date(days[totals.indexOf(most)] * 1000).toISOString().slice(0, 10);
  return `${total === 1 ? "1 delivery" : `${total} deliveries`} in ${
    count(days.length, "day")
  }: ${statuses}. Most on ${day}, ${most}.`;
}

// Freshness over time -----------------------------------------------------------------------------

export interface FreshnessPoint {
  at: string;
  p50_seconds: number | null;
  p95_seconds: number | null;
  max_seconds: number | null;
}

/** Times in seconds and p50, p95, max, as uPlot takes them. */
export function freshnessData(
  points: readonly FreshnessPoint[],
): [number[], (number | null)[], (number | null)[], (number | null)[]] {
  return [
    points.map(({ at }) => Date.parse(at) / 1000),
    points.map((point) => point.p50_seconds),
    points.map((point) => point.p95_seconds),
    points.map((point) => point.max_seconds),
  ];
}

/** "From 24 h ago until now: p50 between 2 min and 8 min; nobody was staler than 12 min." */
export function describeFreshness(points: readonly FreshnessPoint[]): string {
  const known = (values: (number | null)[]) => values.filter((value) => value !== null);
  const halves = known(points.map(({ p50_seconds }) => p50_seconds));
  const largest = known(points.map(({ max_seconds }) => max_seconds));
  if (halves.length === 0) return "No complete sync in this time.";
  const [low, high] = [Math.min(...halves), Math.max(...halves)].map(duration);
  return `p50 ${
    low === high ? `was ${low}` : `between ${low} and ${high}`
  }; nobody was staler than ${duration(Math.max(...largest))}.`;
}

const STEPS = [
  1,
  5,
  10,
  15,
  30,
  60,
  120,
  300,
  600,
  900,
  1800,
  3600,
  7200,
  10_800,
  21_600,
  43_200,
  86_400,
  172_800,
  604_800,
];

/** Where an axis of seconds has its marks: at most `marks` of them, on round times. */
export function durationMarks(max: number, marks: number): number[] {
  const step = STEPS.find((one) => max / one <= marks) ?? Math.ceil(max / marks / DAY) * DAY;
  return Array.from({ length: Math.floor(max / step) + 1 }, (_, index) => index * step);
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
