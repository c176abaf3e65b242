/**
 * The project that a command is about, as its Data API and functions are reached: the one that the
 * environment names, or the local stack that runs in a clone.
 */
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
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
      { cannotTell: true },
    );
  }
  const secretKey = env.SUPABASE_SECRET_KEY || env.SUPABASE_SERVICE_ROLE_KEY;
  if (!secretKey) {
    throw new Problem(
      "no_project",
      "SUPABASE_SECRET_KEY is not set.",
      "Set it to a secret key of the project (sb_secret_…), or to its service_role key.",
      { cannotTell: true },
    );
  }
  if (!/^[\x21-\x7e]+$/.test(secretKey)) {
    throw new Problem(
      "no_project",
      "SUPABASE_SECRET_KEY has characters in it that no key has.",
      "Set it to a secret key of the project (sb_secret_…), or to its service_role key.",
      { cannotTell: true },
    );
  }
  return { url, secretKey };
}

/** Where a local stack that is not ephemeral keeps its database and keys and, while it runs, stack.json. */
export const LOCAL_FOLDER = fileURLToPath(new URL("../.local", import.meta.url));

/** The project that the environment names, else the stack that runs here. Error: no_project. */
export async function findProject(
  env: Record<string, string | undefined>,
  folder = LOCAL_FOLDER,
): Promise<Project> {
  const named = namedProject(env);
  if (named) return named; // the local stack is not what was asked about
  try {
    const stack = JSON.parse(await readFile(`${folder}/stack.json`, "utf8"));
    return { url: stack.url, secretKey: stack.secret_key };
  } catch {
    throw new Problem(
      "no_project",
      "SUPABASE_URL is not set, and no local stack runs.",
      "Set SUPABASE_URL and SUPABASE_SECRET_KEY, or start a local stack in a clone: " +
        "npx -y deno@2.9.6 task start.",
      { cannotTell: true },
    );
  }
}
