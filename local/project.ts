/**
 * The project that an operator's command is about, where the environment names one: `deno task status`,
 * `deno task reencrypt`.
 */
import { Problem } from "./problem.ts";

export interface Project {
  url: string;
  secretKey: string;
}

/** Undefined where SUPABASE_URL is not set. Error: no_project. */
export function namedProject(env: Record<string, string | undefined>): Project | undefined {
  if (!env.SUPABASE_URL) return undefined;
  const url = env.SUPABASE_URL.replace(/\/+$/, "");
  if (!/^https?:\/\/[^/\s]+$/.test(url) || !URL.canParse(url)) {
    throw new Problem(
      "no_project",
      `SUPABASE_URL ${env.SUPABASE_URL} is not a project's address.`,
      "It looks like https://abcdefghijkl.supabase.co.",
    );
  }
  const secretKey = env.SUPABASE_SECRET_KEY || env.SUPABASE_SERVICE_ROLE_KEY;
  if (!secretKey) {
    throw new Problem(
      "no_project",
      "SUPABASE_SECRET_KEY is not set.",
      "Set it to a secret key of the project (sb_secret_…), or to its service_role key.",
    );
  }
  return { url, secretKey };
}
