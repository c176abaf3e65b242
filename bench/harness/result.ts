/** What a benchmark found, as it is kept in bench/results and shown as tables. */
import { besideFloor, type Figure, figure, type Grid } from "./measure.ts";

/** What a benchmark is run with. */
export interface Options {
  /** Small sizes: to see that the benchmark works, not to compare times. */
  small: boolean;
  rounds: number;
}

export interface Benchmark {
  name: string;
  /** What it measures, in one line. */
  about: string;
  run(options: Options): Promise<Outcome>;
}

export interface Outcome {
  /** How much was measured: rows, people, clients. */
  sizes: Record<string, number | string>;
  tables: Table[];
  plots?: Plot[];
  /** What must not be and is: each makes the command fail. */
  problems?: string[];
}

export interface Table {
  /** Empty where the page has a heading for it. */
  title: string;
  columns: string[];
  rows: { what: string; cells: (Figure | number | string | null)[] }[];
}

/** Lines over a scale that both grow by factors. */
export interface Plot {
  /** Name of the file in docs/, without its extension. */
  file: string;
  title: string;
  x: string;
  y: string;
  lines: { name: string; points: [x: number, y: number][] }[];
}

/** Where and when it was measured. */
export interface Circumstances {
  measured_at: string;
  commit: string;
  small: boolean;
  rounds: number;
  cores: number;
  processor: string;
  deno: string;
  postgres: string;
  settings: Record<string, string>;
}

export type Result = { name: string; about: string } & Circumstances & Outcome;

/** Which row is the floor of another, by which column they are compared. */
export interface Comparison {
  column: string;
  floors: Record<string, string>;
}

const BESIDE = "times the floor's time";

/** The table of a grid, with a column that compares rows with their floor. */
export function tableOf(title: string, grid: Grid, comparison?: Comparison): Table {
  const columns = grid.columns();
  return {
    title,
    columns: comparison ? [...columns, BESIDE] : columns,
    rows: grid.rows.map((what) => {
      const cells: (Figure | null)[] = columns.map((column) => {
        const values = grid.values(what, column);
        return values.length > 0 ? figure(values) : null;
      });
      if (comparison) {
        const { column, floors } = comparison;
        const floor = floors[what] === undefined ? [] : grid.values(floors[what], column);
        const values = grid.values(what, column);
        const both = Math.min(floor.length, values.length);
        cells.push(
          both === 0
            ? null
            : figure(besideFloor(values.slice(0, both), floor.slice(0, both), /\/s$/.test(column))),
        );
      }
      return { what, cells };
    }),
  };
}

/** A table in Markdown. */
export function render({ title, columns, rows }: Table): string {
  const line = (cells: string[]) => `| ${cells.join(" | ")} |`;
  return [
    ...title ? [`**${title}**`, ""] : [],
    line(["", ...columns]),
    line(["---", ...columns.map(() => "---:")]),
    ...rows.map(({ what, cells }) => line([what, ...cells.map(show)])),
  ].join("\n");
}

function show(cell: Figure | number | string | null): string {
  if (cell === null) return "";
  if (typeof cell === "string") return cell;
  if (typeof cell === "number") return showNumber(cell);
  const { median, min, max } = cell;
  const spread = `${showNumber(min)}–${showNumber(max)}`;
  return min === max ? showNumber(median) : `${showNumber(median)} (${spread})`;
}

/** Three digits that count, the whole number where there are more. */
export function showNumber(value: number): string {
  if (Math.abs(value) >= 100) return Math.round(value).toLocaleString("en");
  return String(Number(value.toPrecision(3)));
}
