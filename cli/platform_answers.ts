/**
 * What answers in place of the Data API or of an Edge Function (the platform, its gateway, a proxy, nobody),
 * as a Problem with what to do. Answers that cannot be told apart by their status alone are told apart by
 * the platform's codes: https://supabase.com/docs/guides/functions/status-codes.
 */
import { PROGRAM } from "./command.ts";
import { Problem } from "./problem.ts";

/** An answer of which only this is known. `code` and `message` are those of a JSON body, if it is one. */
export interface ForeignAnswer {
  status: number;
  isJson: boolean;
  code?: string;
  message?: string;
}

/** What is wrong with the project as a whole; undefined where the answer does not say that. */
export function projectProblem(
  url: string,
  { status, isJson, message }: ForeignAnswer,
): Problem | undefined {
  if (status === 540) {
    return new Problem(
      "project_paused",
      `The project at ${url} is paused: nothing is synced.`,
      "Restore it in the dashboard of Supabase. Syncs go on by themselves then.",
    );
  }
  if (status === 402) {
    return new Problem(
      "project_restricted",
      `Supabase has restricted the project at ${url}${message ? `: ${message}` : "."}`,
      "See usage and billing of the organization in the dashboard of Supabase.",
    );
  }
  if (status === 502 || (status >= 520 && status < 540) || status === 544) {
    return new Problem(
      "project_unreachable",
      `The gateway of ${url} gets no answer from the project (status ${status}).`,
      "Try again in a moment. If it lasts, see the state of the project in the dashboard of Supabase.",
      { cannotTell: true },
    );
  }
  if (!isJson) {
    return new Problem(
      "unexpected_answer",
      `${url} answers with a page, not as a Supabase project does (status ${status}).`,
      "Is SUPABASE_URL right? Does a proxy or a sign-in page stand in between?",
      { cannotTell: true },
    );
  }
  if (status === 401 && /api ?key/i.test(message ?? "")) return wrongKey(url);
}

/** What is wrong with one Edge Function, or with the project. */
export function functionProblem(url: string, name: string, answer: ForeignAnswer): Problem {
  const ofProject = projectProblem(url, answer);
  if (ofProject) return ofProject;
  const { status, code, message } = answer;
  if (status === 404) {
    return new Problem(
      "function_not_deployed",
      `The Edge Function ${name} is not deployed at ${url}.`,
      `Deploy the functions: ${PROGRAM} deploy.`,
    );
  }
  // Older gateways answer {"code": 401, "message": "Missing authorization header"}.
  if (status === 401 && /^(401$|UNAUTHORIZED_)/.test(code ?? "")) {
    return new Problem(
      "verify_jwt_on",
      `The gateway asks for a JWT before it calls ${name}: the function is deployed with verify_jwt on.`,
      `It authenticates its callers itself. Set verify_jwt = false in [functions.${name}] of ` +
        `supabase/config.toml, and deploy again: ${PROGRAM} deploy.`,
    );
  }
  if (code === "BOOT_ERROR") {
    return new Problem(
      "function_not_starting",
      `The Edge Function ${name} does not start.`,
      "The function's log in the dashboard of Supabase says why. Deploying again may help.",
    );
  }
  if (status === 546 || status === 504 || code === "WORKER_ERROR") {
    return new Problem(
      "function_ended",
      `The Edge Function ${name} ended before it answered (status ${status}` +
        `${code ? `, ${code}` : ""}).`,
      "Try again. If it lasts, see the function's log in the dashboard of Supabase.",
      { cannotTell: true },
    );
  }
  return new Problem(
    "unexpected_answer",
    `${name} at ${url} answers with status ${status}${message ? `: ${message}` : "."}`,
    "Is it the function of this product? See its log in the dashboard of Supabase.",
    { cannotTell: true },
  );
}

export function wrongKey(url: string): Problem {
  return new Problem(
    "wrong_key",
    `The key is no secret key of the project at ${url}.`,
    "SUPABASE_SECRET_KEY must be a secret key (sb_secret_…) or the service_role key of this project, " +
      "not a publishable or anon key: Settings > API Keys in the dashboard of Supabase.",
    { cannotTell: true },
  );
}

/** Nobody answers at that address. `error` is what fetch threw. */
export function unreachable(url: string, error: unknown): Problem {
  const { message, cause } = error as Error;
  const reason = cause instanceof Error && cause.message ? cause.message : message;
  return new Problem(
    "project_unreachable",
    `${url} does not answer: ${reason}`,
    "A local stack that has ended is started again with `npx -y deno@2.9.6 task start`; of another " +
      "project, check SUPABASE_URL and the network.",
    { cannotTell: true },
  );
}
