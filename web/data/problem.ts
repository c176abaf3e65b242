/** Every failure in one shape: what happened, and what to do. */
import { FunctionsFetchError, FunctionsHttpError } from "@supabase/functions-js";

export class Problem extends Error {
  constructor(
    /** As the functions, the console's server or Postgres name it; ours: `unreachable`, `unexpected`. */
    readonly code: string,
    message: string,
    readonly hint?: string,
    /** What else the answer said, such as `run_id` and `resume_at`. */
    readonly details: Record<string, unknown> = {},
    readonly status = 0,
  ) {
    super(message);
  }
}

/** The problem that an unknown error is. A `Problem` is returned as it is. */
export async function toProblem(error: unknown): Promise<Problem> {
  if (error instanceof Problem) return error;
  if (error instanceof FunctionsHttpError) return await fromResponse(error.context);
  if (error instanceof FunctionsFetchError) {
    return error.context instanceof Problem ? error.context : unreachable("The functions");
  }
  if (error instanceof TypeError && isNetworkError(error)) return unreachable("The project");
  const { code, message, hint, status } = error as Record<string, unknown>;
  return new Problem(
    typeof code === "string" && code !== "" ? code : "unexpected",
    typeof message === "string" && message !== "" ? message : String(error),
    typeof hint === "string" ? hint : undefined,
    {},
    typeof status === "number" ? status : 0,
  );
}

/** The problem that an answer with an error's status tells: `{"error": {code, message, hint}}` or PostgREST's. */
export async function fromResponse(response: Response): Promise<Problem> {
  const text = await response.text().catch(() => "");
  let body: Record<string, unknown> = {};
  try {
    const parsed = JSON.parse(text);
    body = parsed?.error && typeof parsed.error === "object" ? parsed.error : parsed;
  } catch {
    // Not ours: a proxy's page, for instance. The status is all there is to say.
  }
  const { code, message, hint, ...details } = body ?? {};
  return new Problem(
    typeof code === "string" ? code : `http_${response.status}`,
    typeof message === "string" ? message : `The answer was ${response.status}.`,
    typeof hint === "string" ? hint : undefined,
    details,
    response.status,
  );
}

export function unreachable(what: string): Problem {
  return new Problem(
    "unreachable",
    `${what} cannot be reached.`,
    "Check that you are online and that the project runs. This page goes on by itself then.",
  );
}

/** What browsers say where a request got no answer. */
function isNetworkError(error: TypeError): boolean {
  return /fetch|network|load failed/i.test(error.message);
}
