/** Requests and responses of every function: routes, CORS, bodies within bounds, errors in one form. */
import { z } from "zod";
import type { ErrorCode } from "./error_codes.ts";
import { ApiError, toApiError } from "./errors.ts";
import { logCounted, messageOf } from "./log.ts";
import { VERSION } from "./version.ts";

/**
 * The headers that supabase-js sends, with those that tracing adds. The asterisk allows all others, which a
 * library or a browser extension may add; it does not stand for authorization.
 */
const ALLOWED_HEADERS = [
  "authorization",
  "apikey",
  "content-type",
  "x-client-info",
  "x-region",
  "x-retry-count",
  "traceparent",
  "tracestate",
  "baggage",
  "sentry-trace",
  "*",
];
/** How long a browser remembers the answer to a preflight, in seconds. Chromium's limit is two hours. */
const PREFLIGHT_LASTS = 3600;
/** Every answer has it: that the function is deployed, that it is this one, and which. */
const VERSION_HEADER = "x-calendly-sync-version";
const corsHeaders = {
  "access-control-allow-origin": "*",
  "access-control-allow-headers": ALLOWED_HEADERS.join(", "),
  "access-control-allow-methods": "GET, HEAD, POST, DELETE, OPTIONS",
  "access-control-expose-headers": VERSION_HEADER,
};

export type Handler = (request: Request) => Promise<Response>;
type RouteHandler = (
  request: Request,
  parameters: Record<string, string | undefined>,
) => Promise<Response>;

/** What answers a method and path, and what docs/reference/http.md says of it. */
export interface Route {
  handle: RouteHandler;
  does: string;
  caller:
    | "anybody"
    | "a signed-in person"
    | "a server"
    | "a signed-in person or a server";
  body?: z.ZodType;
  query?: z.ZodType;
  /** What comes with which status. `calendly.…`: what the comment on that SQL function says. */
  answers: Record<number, string>;
  /** Errors of this route alone: those that many have are listed once. */
  errors?: ErrorCode[];
}

/**
 * Serves the routes of one function, `{"POST /": …, "DELETE /:id": …}`. Paths are what follows the
 * function's name, which the platform and the local stack prefix differently. What answers GET answers
 * HEAD, without the body.
 */
export function serve(name: string, routes: Record<string, Route>): Handler {
  const table = Object.entries(routes).map(([route, { handle }]) => {
    const [method, pathname] = route.split(" ");
    return { method, pattern: new URLPattern({ pathname }), handle };
  });
  return async (request) => {
    const response = await answer(request);
    response.headers.set(VERSION_HEADER, VERSION);
    return request.method === "HEAD" ? new Response(null, response) : response;
  };

  async function answer(request: Request): Promise<Response> {
    if (request.method === "OPTIONS") {
      return new Response(null, {
        status: 204,
        headers: { ...corsHeaders, "access-control-max-age": String(PREFLIGHT_LASTS) },
      });
    }
    const wanted = request.method === "HEAD" ? "GET" : request.method;
    try {
      const { pathname: full } = new URL(request.url);
      const pathname = full.replace(new RegExp(`^.*?/${name}(?=/|$)`), "").replace(/\/+$/, "") ||
        "/";
      const found = table.map((route) => ({ ...route, match: route.pattern.exec({ pathname }) }))
        .filter(({ match }) => match);
      const route = found.find(({ method }) => method === wanted);
      if (route) return await route.handle(request, route.match!.pathname.groups);
      throw found.length > 0
        ? new ApiError("method_not_allowed", `${request.method} is not possible here.`)
        : new ApiError("not_found", `There is nothing at ${pathname}.`);
    } catch (error) {
      const known = logFailure(error);
      return json({ error: known }, known.status);
    }
  }
}

export function json(body: unknown, status = 200): Response {
  return Response.json(body, { status, headers: corsHeaders });
}

/** The error that a caller gets, logged where an operator must know of it. */
export function logFailure(error: unknown): ApiError {
  const known = toApiError(error);
  if (known !== error) {
    const stack = error instanceof Error ? error.stack : String(error);
    logCounted("Unexpected error", { error: stack }, `Unexpected error: ${messageOf(error)}`);
  } else if (known.status >= 500) {
    logCounted(known.message, { code: known.code, hint: known.hint });
  }
  return known;
}

const MAX_BODY = 16 * 1024;

/** The JSON body, `{}` where there is none. Errors: invalid_body, body_too_large, body_incomplete. */
export async function readBody<T>(request: Request, schema: z.ZodType<T>): Promise<T> {
  const text = await readText(request, MAX_BODY);
  let value: unknown;
  try {
    value = text.trim() === "" ? {} : JSON.parse(text);
  } catch {
    throw new ApiError(
      "invalid_body",
      "The body is not JSON.",
      "Send a JSON object with content-type: application/json.",
    );
  }
  return parseInput(schema, value, "body");
}

/** The parameters of the query; unknown ones are ignored. Error: invalid_query. */
export function readQuery<T>(request: Request, schema: z.ZodType<T>): T {
  return parseInput(schema, Object.fromEntries(new URL(request.url).searchParams), "query");
}

function parseInput<T>(schema: z.ZodType<T>, value: unknown, part: "body" | "query"): T {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new ApiError(
    part === "body" ? "invalid_body" : "invalid_query",
    `${issue.path.join(".") || part}: ${issue.message}`,
    `docs/reference/http.md lists the fields of the ${part}.`,
  );
}

/** The body as text. Errors: body_too_large, body_incomplete. */
async function readText(request: Request, limit: number): Promise<string> {
  return new TextDecoder().decode(await readBytes(request, limit));
}

/** The body's bytes, read no further than `limit`. Errors: body_too_large, body_incomplete. */
export async function readBytes(request: Request, limit: number): Promise<Uint8Array<ArrayBuffer>> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of chunksOf(request)) {
    size += chunk.byteLength;
    if (size > limit) {
      throw new ApiError("body_too_large", `The body is larger than ${limit} bytes.`);
    }
    chunks.push(chunk);
  }
  const bytes = new Uint8Array(size);
  let offset = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, offset);
    offset += chunk.byteLength;
  }
  return bytes;
}

/** The body as it arrives. Error: body_incomplete, where the connection is cut off. */
async function* chunksOf(request: Request): AsyncGenerator<Uint8Array> {
  try {
    yield* request.body ?? [];
  } catch {
    throw new ApiError("body_incomplete", "The body ends too early.", "Send it again.");
  }
}
