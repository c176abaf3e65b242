/**
 * The project that a command is about, as its Data API and functions are reached: the one that the
 * environment names, the one that the folder is linked to, or the local stack that runs in a clone.
 */
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { openDeployment } from "./deployment.ts";
import { Problem } from "./problem.ts";
import { findProject } from "./project_folder.ts";

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

/**
 * The project that the environment names by its address and a key; `url` stands in for SUPABASE_URL. Else
 * the one that `remote` names or the folder is linked to, whose key the Supabase CLI reads: that key goes to
 * the project's own address or to `url`, never to SUPABASE_URL. Else the stack that runs here. Errors:
 * no_project, and those of `openDeployment`.
 */
export async function findTarget(
  { env: variables, folder, remote, url }: {
    env: Record<string, string | undefined>;
    folder: string;
    remote?: string;
    url?: string;
  },
  localFolder = LOCAL_FOLDER,
): Promise<Project> {
  const env = url === undefined ? variables : { ...variables, SUPABASE_URL: url };
  const hasKey = env.SUPABASE_SECRET_KEY || env.SUPABASE_SERVICE_ROLE_KEY;
  if (remote === undefined && env.SUPABASE_URL && hasKey) return namedProject(env)!;
  const project = await findProject(folder).catch(() => undefined);
  if (remote !== undefined || project?.ref) {
    return await linkedProject(project?.root ?? folder, env, { remote, url });
  }
  return namedProject(env) ?? await localStack(localFolder);
}

async function linkedProject(
  folder: string,
  env: Record<string, string | undefined>,
  choice: { remote?: string; url?: string },
): Promise<Project> {
  const { name, url, readSecretKey } = await openDeployment(folder, env, choice);
  const secret = await readSecretKey();
  if ("key" in secret) return { url: url!, secretKey: secret.key };
  throw new Problem(
    "no_rights",
    `The access token may not read the keys of ${name}.`,
    "Set SUPABASE_SECRET_KEY to a secret key of the project (sb_secret_…).",
    { cannotTell: true },
  );
}

async function localStack(folder: string): Promise<Project> {
  try {
    const stack = JSON.parse(await readFile(`${folder}/stack.json`, "utf8"));
    return { url: stack.url, secretKey: stack.secret_key };
  } catch {
    throw new Problem(
      "no_project",
      "This folder is not linked to a project, SUPABASE_URL is not set, and no local stack runs.",
      "Link it: npx supabase link. Or set SUPABASE_URL and SUPABASE_SECRET_KEY. In a clone, " +
        "npx -y deno@2.9.6 task start starts a local stack.",
      { cannotTell: true },
    );
  }
}
