/** The strip of ticks: one cell for each time at which the schedule should have ticked. */
import type { Tick } from "./answers.ts";

/**
 * `answered`: workers were asked to come, and somebody came. `unanswered`: nobody came by the next tick.
 * `thinned`: work was due and nobody was asked, because nobody had answered for a while or all workers are
 * busy. `quiet`: nothing was due. `failed`: pg_cron could not run it. `missing`: there was no tick.
 */
export type CellState = "answered" | "unanswered" | "thinned" | "quiet" | "failed" | "missing";

export interface Cell {
  /** The beginning of its time, milliseconds. */
  at: number;
  state: CellState;
  /** The latest tick in it. */
  tick?: Tick;
}

export const CELL_WORDS: Record<CellState, string> = {
  answered: "answered",
  unanswered: "not answered",
  thinned: "thinned out",
  quiet: "nothing due",
  failed: "failed",
  missing: "no tick",
};

export const CELL_MEANINGS: Record<CellState, string> = {
  answered: "Work was due, workers were asked to come, and somebody came.",
  unanswered: "Workers were asked to come, and nobody had come by the next tick.",
  thinned:
    "Work was due and nobody was asked: all workers are busy, or nobody has answered lately, " +
    "so that nudges are sent seldom.",
  quiet: "The schedule ticked, and nothing was due.",
  failed: "pg_cron could not run the tick.",
  missing: "The schedule did not tick.",
};

export function stateOf(tick: Tick): CellState {
  if (tick.error !== null) return "failed";
  if ((tick.nudges ?? 0) > 0) return tick.answered ? "answered" : "unanswered";
  return (tick.due ?? 0) > 0 ? "thinned" : "quiet";
}

/**
 * So many cells of one tick's length up to `now`. The last is the present one, which is left out until it has
 * its tick: it may still come. Before the first tick that is known nothing is missing.
 */
export function cellsOf(
  ticks: readonly Tick[],
  { now, step, length }: { now: number; step: number; length: number },
): Cell[] {
  const present = Math.floor(now / step) * step;
  const byCell = new Map<number, Tick>();
  for (const tick of ticks) {
    const at = Math.floor(Date.parse(tick.at) / step) * step;
    const other = byCell.get(at);
    if (!other || rank(tick) >= rank(other)) byCell.set(at, tick);
  }
  const first = Math.min(...byCell.keys());
  return Array.from({ length }, (_, index) => present - (length - 1 - index) * step)
    .filter((at) => byCell.has(at) || (at > first && at < present))
    .map((at) => {
      const tick = byCell.get(at);
      return { at, state: tick ? stateOf(tick) : "missing", ...(tick && { tick }) };
    });
}

/** Of several in one cell the one that matters most is shown. */
function rank(tick: Tick): number {
  return ["quiet", "thinned", "answered", "unanswered", "failed"].indexOf(stateOf(tick));
}

/** "60 ticks: 58 answered, 2 missing", for whoever does not see the strip. */
export function describeCells(cells: readonly Cell[]): string {
  if (cells.length === 0) return "No tick in this time.";
  const counts = (Object.keys(CELL_WORDS) as CellState[])
    .map((state) => [state, cells.filter((cell) => cell.state === state).length] as const)
    .filter(([, number]) => number > 0)
    .map(([state, number]) => `${number} ${CELL_WORDS[state]}`);
  return `${cells.length === 1 ? "1 tick" : `${cells.length} ticks`}: ${counts.join(", ")}.`;
}
