/** Rows kept in the order of their key, so that a page of a long listing costs only that page. */
export class SortedList<T extends { key: string }> {
  #rows: T[] = [];
  #sorted = true;

  get rows(): readonly T[] {
    if (!this.#sorted) {
      this.#rows.sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0));
      this.#sorted = true;
    }
    return this.#rows;
  }

  add(row: T): void {
    const last = this.#rows.at(-1);
    if (last && last.key > row.key) this.#sorted = false;
    this.#rows.push(row);
  }

  remove(row: T): void {
    const at = this.#rows.indexOf(row);
    if (at >= 0) this.#rows.splice(at, 1);
  }

  /** Index of the first row whose key is not below `key`. */
  indexFrom(key: string): number {
    return indexFrom(this.rows, key);
  }
}

/** Index of the first row, in rows sorted by key, whose key is not below `key`. */
export function indexFrom(rows: readonly { key: string }[], key: string): number {
  let low = 0;
  let high = rows.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (rows[middle].key < key) low = middle + 1;
    else high = middle;
  }
  return low;
}
