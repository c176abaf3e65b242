/**
 * The project that a command is about, as its Data API and functions are reached: the one that an argument
 * or the environment names, the one that the folder is linked to, or the local stack that runs in a clone.
 */
import { readFile, stat } from "node:fs/promises";
import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import type { Context } from "./command.ts";
import { openDeployment } from "./deployment.ts";
import { Problem } from "./problem.ts";
import { findProject } from "./project_folder.ts";

export interface Project {
  url: string;
  secretKey: string;
}

/** A project with what a browser needs of it. */
export interface Target extends Project {
  /** The stack that runs in this clone. */
  isLocalStack: boolean;
  /** The key that apps have. Error: no_publishable_key. */
  readPublishableKey(): Promise<string>;
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

/** What of a command's context says which project is meant: `argument` is a folder, if it is given. */
interface Choice extends Pick<Context, "env" | "folder" | "argument"> {
  values: { remote?: string; url?: string };
}

/**
 * The project that `remote` names or the folder `argument` is linked to. Else the one that the environment
 * names by its address and a key; `url` stands in for SUPABASE_URL. Else the one that this folder is linked
 * to. The key of a linked project is read by the Supabase CLI: it goes to the project's own address or to
 * `url`, never to SUPABASE_URL. Else the stack that runs here. Errors: no_folder, no_project, own_folder, and
 * those of `openDeployment`.
 */
export async function findTarget(choice: Choice, localFolder = LOCAL_FOLDER): Promise<Project> {
  const { url, secretKey } = await findTargetWithKeys(choice, localFolder);
  return { url, secretKey };
}

/** As `findTarget`. */
export async function findTargetWithKeys(
  { env: variables, folder, argument, values: { remote, url } }: Choice,
  localFolder = LOCAL_FOLDER,
): Promise<Target> {
  const env = url === undefined ? variables : { ...variables, SUPABASE_URL: url };
  if (argument !== undefined) {
    const path = resolve(folder, argument);
    await stat(path).catch(() => {
      // It is not repeated: it may be a secret that was put in the wrong place.
      throw new Problem(
        "no_folder",
        "The argument is the folder of a project, and there is no such folder.",
        "Name the folder of your Supabase project. A token or a key is no argument: a token is read " +
          "from standard input.",
      );
    });
    const { root } = await findProject(path);
    return await linkedProject(root, env, { remote, url });
  }
  const hasKey = env.SUPABASE_SECRET_KEY || env.SUPABASE_SERVICE_ROLE_KEY;
  if (remote === undefined && env.SUPABASE_URL && hasKey) return ofEnvironment(env)!;
  const project = await findProject(folder).catch(() => undefined);
  if (remote !== undefined || project?.ref) {
    return await linkedProject(project?.root ?? folder, env, { remote, url });
  }
  return ofEnvironment(env) ?? await localStack(localFolder);
}

function ofEnvironment(env: Choice["env"]): Target | undefined {
  const named = namedProject(env);
  return named && {
    ...named,
    isLocalStack: false,
    readPublishableKey: () => Promise.resolve(publishableKeyIn(env)),
  };
}

/** Errors: no_publishable_key. A secret key in its place would be shown to browsers. */
function publishableKeyIn(env: Choice["env"]): string {
  const key = env.SUPABASE_PUBLISHABLE_KEY || env.SUPABASE_ANON_KEY;
  if (key && isPublishable(key)) return key;
  throw new Problem(
    "no_publishable_key",
    key
      ? "SUPABASE_PUBLISHABLE_KEY is not a publishable key."
      : "SUPABASE_PUBLISHABLE_KEY is not set.",
    "Set it to a publishable key of the project (sb_publishable_…), or to its anon key: browsers " +
      "sign in with it.",
  );
}

function isPublishable(key: string): boolean {
  if (key.startsWith("sb_")) return key.startsWith("sb_publishable_");
  try {
    return JSON.parse(atob(key.split(".")[1].replaceAll("-", "+").replaceAll("_", "/"))).role ===
      "anon";
  } catch {
    return false;
  }
}

async function linkedProject(
  folder: string,
  env: Choice["env"],
  choice: { remote?: string; url?: string },
): Promise<Target> {
  const { name, url, supabase, readSecretKey } = await openDeployment(folder, env, choice);
  const secret = await readSecretKey();
  if ("key" in secret) {
    return {
      url: url!,
      secretKey: secret.key,
      isLocalStack: false,
      readPublishableKey: async () => await supabase?.readPublishableKey() ?? publishableKeyIn(env),
    };
  }
  throw new Problem(
    "no_rights",
    `The access token may not read the keys of ${name}.`,
    "Set SUPABASE_SECRET_KEY to a secret key of the project (sb_secret_…).",
    { cannotTell: true },
  );
}

async function localStack(folder: string): Promise<Target> {
  try {
    const stack = JSON.parse(await readFile(`${folder}/stack.json`, "utf8"));
    return {
      url: stack.url,
      secretKey: stack.secret_key,
      isLocalStack: true,
      readPublishableKey: () => Promise.resolve(stack.publishable_key),
    };
  } catch {
    throw new Problem(
      "no_project",
      "This folder is not linked to a project, SUPABASE_URL is not set, and no local stack runs.",
      "Link it: npx supabase link. Or name the folder of a project that is linked, or set SUPABASE_URL " +
        "and SUPABASE_SECRET_KEY. In a clone, npx -y deno@2.9.6 task start starts a local stack.",
      { cannotTell: true },
    );
  }
}
