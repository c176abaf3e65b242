/** The way in and out of every function: routes, CORS, JSON bodies within bounds, errors in one shape. */
import { corsHeaders } from "@supabase/supabase-js/cors";
import { z } from "zod";
import { ApiError, told } from "./errors.ts";
import { logError } from "./log.ts";

export type Handler = (request: Request) => Promise<Response>;
type RouteHandler = (
  request: Request,
  parameters: Record<string, string | undefined>,
) => Promise<Response>;

/**
 * Serves the routes of one function, `{"POST /": …, "DELETE /:id": …}`. Paths are what follows the
 * function's name, which the platform and the local stack prefix differently.
 */
export function serve(name: string, routes: Record<string, RouteHandler>): Handler {
  const table = Object.entries(routes).map(([route, handler]) => {
    const [method, pathname] = route.split(" ");
    return { method, pattern: new URLPattern({ pathname }), handler };
  });
  return async (request) => {
    if (request.method === "OPTIONS") {
      return new Response(null, { status: 204, headers: corsHeaders });
    }
    try {
      const { pathname: full } = new URL(request.url);
      const pathname = full.replace(new RegExp(`^.*?/${name}(?=/|$)`), "").replace(/\/+$/, "") ||
        "/";
      const found = table.map((route) => ({ ...route, match: route.pattern.exec({ pathname }) }))
        .filter(({ match }) => match);
      const route = found.find(({ method }) => method === request.method);
      if (route) return await route.handler(request, route.match!.pathname.groups);
      throw found.length > 0
        ? new ApiError("method_not_allowed", `${request.method} is not possible here.`)
        : new ApiError("not_found", `There is nothing at ${pathname}.`);
    } catch (error) {
      return problem(error);
    }
  };
}

export function json(body: unknown, status = 200): Response {
  return Response.json(body, { status, headers: corsHeaders });
}

function problem(error: unknown): Response {
  const known = told(error);
  if (known !== error) {
    logError("Unexpected error", { error: error instanceof Error ? error.stack : String(error) });
  } else if (known.status >= 500) {
    logError(known.message, { code: known.code, hint: known.hint });
  }
  return json({ error: known }, known.status);
}

const MAX_BODY = 16 * 1024;

/** The JSON body, `{}` where there is none. Errors: invalid_body, body_too_large. */
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
  const parsed = schema.safeParse(value);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw new ApiError(
      "invalid_body",
      `${issue.path.join(".") || "body"}: ${issue.message}`,
      "See the README for the body's fields.",
    );
  }
  return parsed.data;
}

/** The body as text. Error: body_too_large. */
async function readText(request: Request, limit: number): Promise<string> {
  return new TextDecoder().decode(await readBytes(request, limit));
}

/** The body's bytes, read no further than `limit`. Error: body_too_large. */
export async function readBytes(request: Request, limit: number): Promise<Uint8Array<ArrayBuffer>> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of request.body ?? []) {
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
