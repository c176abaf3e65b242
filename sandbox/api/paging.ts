/**
 * Calendly's keyset pagination: a page starts after the last row of the one before, so rows that come
 * or go meanwhile neither repeat nor hide others. A token works only with the filters it came with.
 */
import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import { invalid } from "../errors.ts";
import { indexFrom } from "../sorted_list.ts";
import { ApiAnswer, ApiRequest } from "./request.ts";

const DEFAULT_COUNT = 20;
const MAX_COUNT = 100;

export interface Listing<T extends { key: string }> {
  /** Sorted by key, ascending. */
  rows: readonly T[];
  descending?: boolean;
  /** Keys outside [from, before) are left out. */
  from?: string;
  before?: string;
  keep?: (row: T) => boolean;
  serialize: (row: T) => unknown;
}

interface Cursor {
  key: string;
  direction: "next" | "previous";
  filters: string;
}

export function page<T extends { key: string }>(
  request: ApiRequest,
  listing: Listing<T>,
): ApiAnswer {
  const count = countParameter(request.query);
  const filters = filtersOf(request);
  const cursor = cursorParameter(request.query, filters);
  if (request.listing.empty) return envelope(request, [], null, null);

  const { rows, keep = () => true } = listing;
  const low = listing.from === undefined ? 0 : indexFrom(rows, listing.from);
  const high = listing.before === undefined ? rows.length : indexFrom(rows, listing.before);
  const forward = listing.descending ? -1 : 1;

  /** Indexes of up to `limit` rows that pass the filters, walking from `start`. */
  const walk = (start: number, step: 1 | -1, limit: number): number[] => {
    const indexes = [];
    for (let i = start; i >= low && i < high && indexes.length < limit; i += step) {
      if (keep(rows[i])) indexes.push(i);
    }
    return indexes;
  };
  /** The first index beyond a key, in the direction of the step. */
  const beyond = (key: string, step: 1 | -1): number => {
    const at = indexFrom(rows, key);
    if (step === -1) return Math.min(at, high) - 1;
    return Math.max(rows[at]?.key === key ? at + 1 : at, low);
  };
  const backward = forward === 1 ? -1 : 1;

  let indexes: number[];
  if (cursor === null) {
    indexes = walk(forward === 1 ? low : high - 1, forward, count);
  } else if (cursor.direction === "next") {
    const start = beyond(cursor.key, forward);
    const repeated = request.listing.repeat_last_row ? walk(start - forward, backward, 1) : [];
    indexes = [...repeated, ...walk(start, forward, count - repeated.length)];
  } else {
    indexes = walk(beyond(cursor.key, backward), backward, count).reverse();
  }

  const neighbour = (index: number | undefined, step: 1 | -1, direction: Cursor["direction"]) =>
    index !== undefined && walk(index + step, step, 1).length > 0
      ? encode({ key: rows[index].key, direction, filters })
      : null;
  return envelope(
    request,
    indexes.map((index) => listing.serialize(rows[index])),
    neighbour(indexes.at(-1), forward, "next"),
    neighbour(indexes[0], backward, "previous"),
  );
}

function envelope(
  request: ApiRequest,
  collection: unknown[],
  next: string | null,
  previous: string | null,
): ApiAnswer {
  const url = (token: string | null) => {
    if (token === null) return null;
    const query = new URLSearchParams(request.query);
    query.set("page_token", token);
    return `${request.publicUrl}${request.path}?${query}`;
  };
  return {
    status: 200,
    body: {
      collection,
      pagination: {
        count: collection.length,
        next_page: url(next),
        next_page_token: next,
        previous_page: url(previous),
        previous_page_token: previous,
      },
    },
  };
}

function countParameter(query: URLSearchParams): number {
  const text = query.get("count");
  if (text === null) return DEFAULT_COUNT;
  if (!/^-?\d+$/.test(text)) throw invalid({ parameter: "count", message: "must be an integer" });
  const count = Number(text);
  if (count < 1) {
    throw invalid({ parameter: "count", message: "must be greater than or equal to 1" });
  }
  if (count > MAX_COUNT) {
    throw invalid({ parameter: "count", message: `must be less than or equal to ${MAX_COUNT}` });
  }
  return count;
}

/** A fingerprint of everything in the request that must be repeated with a token. */
function filtersOf(request: ApiRequest): string {
  const filters = [...request.query].filter(([name]) => name !== "page_token" && name !== "count");
  const text = JSON.stringify([request.path, ...filters.sort(([a], [b]) => (a < b ? -1 : 1))]);
  return createHash("sha256").update(text).digest("hex").slice(0, 12);
}

function cursorParameter(query: URLSearchParams, filters: string): Cursor | null {
  const token = query.get("page_token");
  if (token === null) return null;
  const cursor = decode(token);
  if (!cursor) throw invalid({ parameter: "page_token", message: "is invalid" });
  if (cursor.filters !== filters) {
    throw invalid({
      parameter: "page_token",
      message: "must be used with the same parameters as the request that returned it",
    });
  }
  return cursor;
}

function encode({ direction, filters, key }: Cursor): string {
  return Buffer.from(JSON.stringify([direction, filters, key])).toString("base64url");
}

function decode(token: string): Cursor | null {
  try {
    const [direction, filters, key] = JSON.parse(Buffer.from(token, "base64url").toString());
    return { direction, filters, key };
  } catch {
    return null;
  }
}
