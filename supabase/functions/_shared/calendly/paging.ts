/**
 * How a listing of Calendly's goes on, and whether it does: a proxy that drops the page token answers with
 * the first page for ever.
 */
import { z } from "zod";

/** Answers of 2020 and 2021 have only `next_page`, an address with the token in it. */
export const Pagination = z.object({
  next_page_token: z.union([z.string(), z.number()]).nullish(),
  next_page: z.string().nullish().catch(undefined),
});
export type Pagination = z.infer<typeof Pagination>;

/**
 * The token of the page after this one: null where this is the last, undefined where there is another page
 * and nothing tells how to ask for it. The address `next_page` is not followed: it may lead to another host.
 */
export function nextPageToken(
  { next_page_token, next_page }: Pagination,
): string | null | undefined {
  const token = String(next_page_token ?? "");
  if (token !== "") return token;
  if (!next_page) return null;
  return URL.parse(next_page, "https://api.calendly.com")?.searchParams.get("page_token") ||
    undefined;
}

/** So many pages without rows may follow each other: they are no sign by themselves that it does not go on. */
const MAX_EMPTY = 10;

/** The pages of one listing that have been read. */
export class Paging {
  readonly #tokens = new Set<string>();
  #previous: string | undefined;
  #empty = 0;

  /**
   * Whether a page leads on: it is the last one, or no page before has led to its next token, and it shows
   * other rows than the page before, if it shows any.
   */
  advances(collection: unknown[], next: string | null): boolean {
    const shown = JSON.stringify(collection.map(nameOf));
    this.#empty = collection.length === 0 ? this.#empty + 1 : 0;
    const isSame = this.#empty === 0 ? shown === this.#previous : this.#empty > MAX_EMPTY;
    const isStuck = next !== null && (this.#tokens.has(next) || isSame);
    this.#previous = shown;
    if (next !== null) this.#tokens.add(next);
    return !isStuck;
  }
}

/** What tells a row from others. */
function nameOf(row: unknown): unknown {
  const { uri } = (row ?? {}) as { uri?: unknown };
  return uri ?? row;
}
