import pMap from "p-map";

/**
 * What is read before Postgres asks for it, by what it is asked for by: a query, an event's URI. A failure
 * is met by whoever takes the reading, and by nobody else. After the first one nothing further is begun.
 */
export class Ahead<T> {
  readonly #begun = new Map<string, Promise<T>>();
  readonly #aborter = new AbortController();
  readonly #done: Promise<unknown>;
  #isOver = false;

  constructor(
    asked: string[],
    concurrency: number,
    read: (asked: string, signal: AbortSignal) => Promise<T>,
  ) {
    this.#done = pMap(asked, async (one) => {
      if (this.#isOver) return;
      const reading = read(one, this.#aborter.signal);
      this.#begun.set(one, reading);
      await reading.catch(() => this.#isOver = true);
    }, { concurrency });
  }

  /** A reading, if it was begun. Whoever takes one reads the rest: no further one is begun. */
  take(asked: string): Promise<T> | undefined {
    this.#isOver = true;
    return this.#begun.get(asked);
  }

  /** Aborts what nobody has taken, and waits until nothing is under way. */
  async end(): Promise<void> {
    this.#isOver = true;
    this.#aborter.abort();
    await this.#done;
  }
}
