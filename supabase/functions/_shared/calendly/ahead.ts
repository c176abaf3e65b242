import pMap from "p-map";

/**
 * Readings that are begun before Postgres asks for them, each under a name: a query or an event's URI.
 * After a failure no further reading is begun. One that has failed cannot be taken: it was early, so
 * that what it says may be over. One that fails once it is taken throws to whoever took it.
 */
export class Ahead<T> {
  readonly #begun = new Map<string, Promise<T>>();
  readonly #aborter = new AbortController();
  readonly #done: Promise<unknown>;
  #isOver = false;

  constructor(
    names: string[],
    concurrency: number,
    read: (name: string, signal: AbortSignal) => Promise<T>,
  ) {
    this.#done = pMap(names, async (name) => {
      if (this.#isOver) return;
      const reading = read(name, this.#aborter.signal);
      this.#begun.set(name, reading);
      await reading.catch(() => {
        this.#isOver = true;
        this.#begun.delete(name);
      });
    }, { concurrency });
  }

  /**
   * The reading of this name, if it was begun and has not failed. Whoever takes one reads the rest: none
   * is begun here.
   */
  take(name: string): Promise<T> | undefined {
    this.#isOver = true;
    return this.#begun.get(name);
  }

  /** Aborts what is not answered yet, and waits until all of it has ended. */
  async end(): Promise<void> {
    this.#isOver = true;
    this.#aborter.abort();
    await this.#done;
  }
}
