/**
 * Everything of the project, by the page's server: it holds the secret key and forwards an allow-list of
 * calls. Only where `config.operations` is true.
 */
import { PostgrestClient, type PostgrestSingleResponse } from "@supabase/postgrest-js";
import type { Database } from "../../supabase/functions/_shared/calendly/database.types.ts";
import { loadConfig } from "./config.ts";
import { fromResponse, Problem, toProblem, unreachable } from "./problem.ts";

/** PostgREST with the operator's rights: `rows(operator.from("calendly_sync_runs").select())`. */
export const operator = new PostgrestClient<Database>(
  `${globalThis.location?.origin ?? "http://127.0.0.1"}/console/rest/v1`,
);

/** The data of a PostgREST answer. Throws a `Problem`. */
export async function rows<T>(query: PromiseLike<PostgrestSingleResponse<T>>): Promise<T> {
  return (await counted(query)).data;
}

/** As `rows`, with the count that `select(…, {count: "exact"})` asked for. Throws a `Problem`. */
export async function counted<T>(
  query: PromiseLike<PostgrestSingleResponse<T>>,
): Promise<{ data: T; count: number | null }> {
  const { data, error, count, status } = await query;
  if (!error) return { data, count };
  if (status === 401) loadConfig(); // The session has ended: the page says how to get a new one.
  if (status === 0) throw unreachable("The project");
  throw new Problem(error.code || `http_${status}`, error.message, error.hint, {}, status);
}

/** A function's answer: `callFunction("calendly-sync", {method: "POST", body: {user_id: 1}})`. Throws a `Problem`. */
export function callFunction<T = unknown>(
  path: string,
  { method = "GET", body }: { method?: "GET" | "POST" | "DELETE"; body?: unknown } = {},
): Promise<T> {
  return call(`/console/functions/v1/${path}`, method, body);
}

/** A verb of the sandbox Calendly (local stack only), such as `sandboxVerb("book", {…})`. Throws a `Problem`. */
export function sandboxVerb<T = unknown>(verb: string, args: unknown = {}): Promise<T> {
  return call(`/console/sandbox/${encodeURIComponent(verb)}`, "POST", args);
}

async function call<T>(address: string, method: string, body: unknown): Promise<T> {
  let response: Response;
  try {
    response = await fetch(address, {
      method,
      headers: { "content-type": "application/json", accept: "application/json" },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch (error) {
    throw await toProblem(error);
  }
  if (response.status === 401) loadConfig();
  if (!response.ok) throw await fromResponse(response);
  const text = await response.text();
  return (text === "" ? undefined : JSON.parse(text)) as T;
}
