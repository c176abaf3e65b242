/**
 * What each step, page, claim, delivery, health call and alert reads at one size and at ten times that
 * size. Rows and buffers are counted, no time is judged: the same on a fast and on a busy machine.
 */
import { countDeliveries } from "./deliveries.ts";
import { countHistory, countPeople } from "./health.ts";
import { type Benchmark, type Outcome, type Table } from "./harness/result.ts";
import type { Counts } from "./harness/session.ts";
import { countRun } from "./runs.ts";
import { countSchedule } from "./schedule.ts";

interface Growing {
  /** What there is more of. */
  of: string;
  /** At 1x; ten times as much is compared with it. */
  size: number;
  count(size: number): Promise<Record<string, Counts>>;
  /** What is about each row by its rule, once in a run: it may grow as they do, and no more. */
  once?: string[];
}

export const GROWING: Growing[] = [
  {
    of: "events in one run",
    size: 500,
    count: countRun,
    // The last page looks for what the listing did not show, and lines up whose invitees are fetched.
    // The end deletes what the run has collected, of a large one so much at most.
    once: ["last page", "finish"].flatMap((step) => [`first sync: ${step}`, `repeat: ${step}`]),
  },
  { of: "connections, a tenth due and a tenth paused", size: 1_000, count: countSchedule },
  { of: "people, ten meetings each", size: 200, count: countDeliveries },
  { of: "people, ten meetings and ten deliveries each", size: 200, count: countPeople },
  { of: "meetings, runs and deliveries of each of 100 people", size: 20, count: countHistory },
];

/** An index over ten times as many rows is a level higher, and a plan may change for a better one. */
const FACTOR = 2;
const SLACK = 200;
/** Rows of a table from end to end that no size may add to. */
const SCANNED = 500;
/** Tables that do not grow with use, or that a statement about everybody has to read. */
const NOT_GROWING = ["public.calendly_users", "public.calendly_connections"];

export interface Growth {
  what: string;
  small: Counts;
  large: Counts;
  problems: string[];
}

export async function measureGrowth({ size, count, once = [] }: Growing): Promise<Growth[]> {
  const small = await count(size);
  const large = await count(size * 10);
  return Object.keys(small).map((what) => ({
    what,
    small: small[what],
    large: large[what],
    problems: compare(what, small[what], large[what], once.includes(what) ? 10 * FACTOR : FACTOR),
  }));
}

function compare(what: string, small: Counts, large: Counts, factor: number): string[] {
  const problems: string[] = [];
  if (large.buffers > small.buffers * factor + SLACK) {
    problems.push(`${what}: ${small.buffers} buffers, and ${large.buffers} at ten times the size`);
  }
  for (const [table, rows] of Object.entries(large.scanned)) {
    const before = small.scanned[table] ?? 0;
    if (!NOT_GROWING.includes(table) && rows > before * FACTOR + SCANNED) {
      problems.push(`${what}: reads ${table} from end to end, ${rows} rows`);
    }
  }
  return problems;
}

export const growth: Benchmark = {
  name: "growth",
  about: "Pages of 8 kB that are read at one size and at ten times that size",
  async run(): Promise<Outcome> {
    const tables: Table[] = [];
    const problems: string[] = [];
    for (const growing of GROWING) {
      const found = await measureGrowth(growing);
      const { of, size } = growing;
      tables.push({
        title: `${size.toLocaleString("en")} and ${(size * 10).toLocaleString("en")} ${of}`,
        columns: ["buffers at 1x", "buffers at 10x", "ratio"],
        rows: found.map(({ what, small, large }) => ({
          what,
          cells: [small.buffers, large.buffers, large.buffers / small.buffers],
        })),
      });
      problems.push(...found.flatMap(({ problems }) => problems));
    }
    return { sizes: {}, tables, problems };
  },
};
