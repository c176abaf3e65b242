/** Runs jobs in parallel within a budget of slots and memory, the longest first. */

export interface Job {
  /** How long it takes, about. */
  seconds: number;
  /** How much memory it needs at its peak, in MiB, about. */
  memory: number;
}

export interface Budget {
  /** How many jobs run at once at most. */
  slots: number;
  /** What they need together at most, in MiB. A job that needs more runs alone. */
  memory: number;
}

/** Runs all jobs; resolves when the last has ended. */
export async function runWithin<T extends Job>(
  budget: Budget,
  jobs: T[],
  run: (job: T) => Promise<void>,
): Promise<void> {
  const waiting = jobs.toSorted((a, b) => b.seconds - a.seconds);
  const running = new Map<T, Promise<void>>();
  while (waiting.length + running.size > 0) {
    for (let job = next(); job; job = next()) {
      const started = job;
      waiting.splice(waiting.indexOf(started), 1);
      running.set(started, run(started).finally(() => running.delete(started)));
    }
    await Promise.race(running.values());
  }

  /** The longest job that may start now. */
  function next(): T | undefined {
    if (running.size === 0) return waiting[0];
    if (running.size >= budget.slots) return undefined;
    const free = budget.memory - running.keys().reduce((sum, { memory }) => sum + memory, 0);
    return waiting.find(({ memory }) => memory <= free);
  }
}

/** How long the jobs take together, about. */
export function estimate({ slots }: Budget, jobs: Job[]): number {
  const ends = new Array<number>(slots).fill(0);
  for (const { seconds } of jobs.toSorted((a, b) => b.seconds - a.seconds)) {
    ends[ends.indexOf(Math.min(...ends))] += seconds;
  }
  return Math.max(...ends);
}
