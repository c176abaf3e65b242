/** Sends a described query to the console's server, which forwards it with the secret key. */
import { loadConfig } from "../data/config.ts";
import { fromResponse, toProblem } from "../data/problem.ts";
import { type Resource, useResource } from "../data/resource.ts";
import { type FunctionsHealth, healthQuery } from "./answers.ts";
import {
  type CallQuery,
  type FunctionQuery,
  type Query,
  type RowsQuery,
  toRequest,
} from "./query.ts";

export interface Rows<R> {
  rows: R[];
  /** How many there are without limit and offset; null where it was not asked for. */
  total: number | null;
}

interface Options {
  signal?: AbortSignal;
  /** Count all rows that the conditions leave: only where an index makes that cheap. */
  count?: boolean;
}

/** Throws a `Problem`. */
export async function askRows<R>(
  query: RowsQuery<R>,
  { signal, count = false }: Options = {},
): Promise<Rows<R>> {
  const response = await send(query, {
    signal,
    headers: count ? { prefer: "count=exact" } : {},
  });
  const total = response.headers.get("content-range")?.split("/")[1];
  return {
    rows: await response.json(),
    total: total === undefined || total === "*" ? null : Number(total),
  };
}

/** How many rows there are. Throws a `Problem`. */
export async function askCount(query: RowsQuery, signal?: AbortSignal): Promise<number> {
  return (await askRows({ ...query, limit: 1 }, { signal, count: true })).total ?? 0;
}

/** What a function answers. Throws a `Problem`. */
export async function askOne<Answer>(
  query: CallQuery<Answer> | FunctionQuery<Answer>,
  { signal }: Options = {},
): Promise<Answer> {
  const response = await send(query, { signal });
  const text = await response.text();
  return (text === "" ? undefined : JSON.parse(text)) as Answer;
}

async function send(
  query: Query,
  { signal, headers }: { signal?: AbortSignal; headers?: Record<string, string> },
): Promise<Response> {
  const { method, path, body } = toRequest(query);
  let response: Response;
  try {
    response = await fetch(`/console${path}`, {
      method,
      body,
      signal,
      headers: {
        accept: "application/json",
        ...(body !== undefined && { "content-type": "application/json" }),
        ...headers,
      },
    });
  } catch (error) {
    throw await toProblem(error);
  }
  // The session has ended: the page says how to get a new one.
  if (response.status === 401) loadConfig();
  if (!response.ok) throw await fromResponse(response);
  return response;
}

// For components --------------------------------------------------------------------------------

/** In milliseconds: how often lists and figures are read again while the page is visible. */
export const EVERY = 5_000;

/** A query's identity: the same question is the same string. */
export function keyOf(query: Query): string {
  const { method, path, body = "" } = toRequest(query);
  return `${method} ${path} ${body}`;
}

export function useRows<R>(
  query: RowsQuery<R>,
  { every = EVERY }: { every?: number } = {},
): Resource<Rows<R>> {
  return useResource((signal) => askRows(query, { signal }), [keyOf(query)], { every });
}

export function useAnswer<Answer>(
  query: CallQuery<Answer> | FunctionQuery<Answer>,
  { every = EVERY }: { every?: number } = {},
): Resource<Answer> {
  return useResource((signal) => askOne(query, { signal }), [keyOf(query)], { every });
}

/** How many rows a query has, not counted while it is hidden. */
export function useCount(query: RowsQuery, { every = EVERY } = {}): Resource<number> {
  return useResource((signal) => askCount(query, signal), [keyOf(query)], { every });
}

/** How the functions are. "Unhealthy" is an answer, though its status is an error's. Throws a `Problem`. */
export async function askHealth(signal: AbortSignal): Promise<FunctionsHealth> {
  try {
    return await askOne(healthQuery, { signal });
  } catch (error) {
    const { status, details } = await toProblem(error);
    if (status === 503 && details.versions) return details as unknown as FunctionsHealth;
    throw error;
  }
}
