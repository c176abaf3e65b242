/** Figures: what the rounds of a measurement came to. */

/** The median of the rounds, and the smallest and greatest of them: the spread. */
export interface Figure {
  median: number;
  min: number;
  max: number;
  rounds: number[];
}

export function figure(rounds: number[]): Figure {
  return {
    median: quantile(rounds, 0.5),
    min: Math.min(...rounds),
    max: Math.max(...rounds),
    rounds,
  };
}

/** The value below which this share of the values is; between two of them for an even number. */
export function quantile(values: number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  const place = (sorted.length - 1) * share;
  const [below, above] = [sorted[Math.floor(place)], sorted[Math.ceil(place)]];
  return below + (above - below) * (place % 1);
}

export function sum(values: number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

/** The values of all rounds, by row and column, in the order in which they came. */
export class Grid {
  readonly #rows = new Map<string, Map<string, number[]>>();

  add(row: string, values: Record<string, number>): void {
    let columns = this.#rows.get(row);
    if (!columns) this.#rows.set(row, columns = new Map());
    for (const [column, value] of Object.entries(values)) {
      const known = columns.get(column);
      if (known) known.push(value);
      else columns.set(column, [value]);
    }
  }

  get rows(): string[] {
    return [...this.#rows.keys()];
  }

  values(row: string, column: string): number[] {
    return this.#rows.get(row)?.get(column) ?? [];
  }

  columns(): string[] {
    return [...new Set([...this.#rows.values()].flatMap((columns) => [...columns.keys()]))];
  }
}

/**
 * In each round, how many times as long as the floor something took: 1 is the floor's own time. Rates
 * (`perSecond`) are turned around.
 */
export function besideFloor(values: number[], floor: number[], perSecond: boolean): number[] {
  return values.map((value, round) => perSecond ? floor[round] / value : value / floor[round]);
}
