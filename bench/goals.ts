/** What must hold, by the figures of bench/results: each goal with what was measured. */
import type { Figure } from "./harness/measure.ts";
import { type Result, showNumber, type Table } from "./harness/result.ts";

interface Goal {
  what: string;
  /** At least or at most so much. */
  least?: number;
  most?: number;
  unit: string;
  bench: string;
  /** Of the titles of its tables; any unless given. */
  table?: RegExp;
  row: string | RegExp;
  column: string;
}

const GOALS: Goal[] = [
  {
    what: "unchanged rows, against a plain upsert of 100",
    most: 1,
    unit: "times as long",
    bench: "pages",
    row: "unchanged: product",
    column: "times the floor's time",
  },
  {
    what: "WAL of unchanged rows",
    most: 100,
    unit: "kB per 1,000",
    bench: "pages",
    row: "unchanged: product",
    column: "WAL, kB per 1,000 rows",
  },
  {
    what: "new rows",
    least: 12_000,
    unit: "rows/s",
    bench: "pages",
    row: "new: product",
    column: "rows/s",
  },
  {
    what: "changed rows",
    least: 12_000,
    unit: "rows/s",
    bench: "pages",
    row: "changed: product",
    column: "rows/s",
  },
  {
    what: "deliveries by 8 clients",
    least: 2_000,
    unit: "a second",
    bench: "deliveries",
    row: "new booking, 8 clients",
    column: "deliveries/s",
  },
  {
    what: "p99 of a delivery at half of that",
    most: 10,
    unit: "ms",
    bench: "deliveries",
    row: "new booking, 1,000 a second come in, 8 clients",
    column: "p99 ms",
  },
  {
    what: "duplicates by 8 clients",
    least: 5_000,
    unit: "a second",
    bench: "deliveries",
    row: "duplicate, 8 clients",
    column: "deliveries/s",
  },
  {
    what: "the slowest step of a run of 200,000 events",
    most: 250,
    unit: "ms",
    bench: "runs",
    table: /of 200,000 events$/,
    row: /./,
    column: "ms",
  },
  {
    what: "a claim with 10,000 paused and 10,000 due",
    most: 10,
    unit: "ms",
    bench: "schedule",
    row: "10,000 due, 10,000 paused",
    column: "claim, ms",
  },
  {
    what: "alerts with a million deliveries",
    most: 150,
    unit: "ms",
    bench: "health",
    table: /^20,000 people/,
    row: "alerts",
    column: "ms",
  },
  {
    what: "calendly_health() with a million deliveries",
    most: 150,
    unit: "ms",
    bench: "health",
    table: /^20,000 people/,
    row: "calendly_health()",
    column: "ms",
  },
  {
    what: "health of one, by id or by e-mail",
    most: 2,
    unit: "ms",
    bench: "health",
    row: /^health of one/,
    column: "ms",
  },
  {
    what: "health of 500 people with 400 meetings and 60 deliveries each",
    most: 50,
    unit: "ms",
    bench: "health",
    table: /^500 people/,
    row: "health of all",
    column: "ms",
  },
  {
    what: "a first sync of 250 events",
    most: 2.5,
    unit: "s",
    bench: "requests",
    row: "first, 250 events",
    column: "seconds",
  },
];

/** A table of all goals; of those that were not measured, nothing is said. */
export function goals(results: Map<string, Result>): Table {
  return {
    title: "",
    columns: ["goal", "measured", "holds"],
    rows: GOALS.map((goal) => {
      const { what, least, most, unit } = goal;
      const limit = least === undefined
        ? `at most ${showNumber(most!)}`
        : `at least ${showNumber(least)}`;
      const found = medians(goal, results.get(goal.bench));
      // Of several the worst counts.
      const measured = least === undefined ? Math.max(...found) : Math.min(...found);
      const holds = least === undefined ? measured <= most! : measured >= least;
      return {
        what,
        cells: [
          `${limit} ${unit}`,
          found.length === 0 ? null : measured,
          found.length === 0 ? null : holds ? "yes" : "**no**",
        ],
      };
    }),
  };
}

function medians({ table = /./, row, column }: Goal, result?: Result): number[] {
  const tables = (result?.tables ?? []).filter(({ title }) => table.test(title));
  return tables.flatMap(({ columns, rows }) => {
    const place = columns.indexOf(column);
    return rows
      .filter(({ what }) => typeof row === "string" ? what === row : row.test(what))
      .map(({ cells }) => cells[place])
      .filter((cell): cell is Figure => typeof cell === "object" && cell !== null)
      .map(({ median }) => median);
  });
}
