/** Where deploy and uninstall work: a hosted project, the stack of `supabase start`, or a database by its URL. */
import { Problem } from "./problem.ts";
import { openByUrl, type SqlDatabase } from "./sql_database.ts";
import { readLocalStack, Supabase } from "./supabase.ts";

/** The secret without which no token can be stored. */
export const TOKEN_KEY = "CALENDLY_TOKEN_KEY";

/** The secrets that are the product's; an app may have others whose names begin alike. */
export const SECRETS = [
  "CALENDLY_API_URL",
  "CALENDLY_AUTH_URL",
  "CALENDLY_CLIENT_ID",
  "CALENDLY_CLIENT_SECRET",
  "CALENDLY_RETURN_URL",
  "CALENDLY_WEBHOOK_SIGNING_KEY",
  TOKEN_KEY,
];

/** Which hosted project is meant, as an option of a command. */
export const REMOTE = {
  remote: {
    type: "string",
    value: "<ref>",
    help: "the project, by its ref or branch; else the one that the folder is linked to",
  },
} as const;

/** Which project or database is meant. */
export const TARGET = {
  ...REMOTE,
  local: { type: "boolean", help: "the stack of `supabase start` in place of a hosted project" },
  "database-url": {
    type: "string",
    value: "<url>",
    help: "a database in place of a hosted project: postgresql://user:password@host:port/name",
  },
} as const;

export interface Deployment {
  /** For a person. */
  name: string;
  database: SqlDatabase;
  /** Where functions are deployed to; undefined: they are served from the folder. */
  supabase?: Supabase;
  /** Where the functions and the Data API answer, if that is known. */
  url?: string;
  /** A secret key, or why there is none. */
  readSecretKey(): Promise<{ key: string } | { missing: string }>;
}

interface Choice {
  remote?: string;
  local?: boolean;
  "database-url"?: string;
}

type Env = Record<string, string | undefined>;

/** Opens what the options name. Errors: those of `Supabase.open`, other_project, no_local_stack. */
export async function openDeployment(
  folder: string,
  env: Env,
  choice: Choice,
): Promise<Deployment> {
  const { remote, local = false, "database-url": databaseUrl } = choice;
  if ([remote !== undefined, local, databaseUrl !== undefined].filter(Boolean).length > 1) {
    throw new Problem(
      "several_projects",
      "--remote, --local and --database-url name different projects.",
      "Give one of them.",
    );
  }
  if (databaseUrl !== undefined) return byUrl(databaseUrl, env);
  return local ? await byLocalStack(folder, env) : await hosted(folder, env, remote);
}

function byUrl(databaseUrl: string, env: Env): Deployment {
  if (!/^postgres(ql)?:\/\//.test(databaseUrl) || !URL.canParse(databaseUrl)) {
    throw new Problem(
      "invalid_url",
      "--database-url is not the address of a database.",
      "It looks like postgresql://postgres:password@127.0.0.1:54322/postgres.",
    );
  }
  const { host, pathname } = new URL(databaseUrl);
  return {
    name: `the database ${host}${pathname}`,
    database: openByUrl(databaseUrl),
    url: addressIn(env),
    readSecretKey: () => Promise.resolve(keyIn(env)),
  };
}

async function byLocalStack(folder: string, env: Env): Promise<Deployment> {
  const { url, databaseUrl, secretKey } = await readLocalStack(folder, env);
  return {
    name: "the stack of `supabase start`",
    database: openByUrl(databaseUrl),
    url: url ?? addressIn(env),
    readSecretKey: () => Promise.resolve(secretKey ? { key: secretKey } : keyIn(env)),
  };
}

async function hosted(folder: string, env: Env, remote?: string): Promise<Deployment> {
  const supabase = await Supabase.open(folder, env, remote);
  const { ref, name } = supabase;
  const url = addressIn(env) ?? `https://${ref}.supabase.co`;
  const [, other] = url.match(/^https:\/\/([a-z]{20})\.supabase\.co$/) ?? [];
  if (other && other !== ref) {
    throw new Problem(
      "other_project",
      `SUPABASE_URL is the address of ${other}, and this is about ${ref}.`,
      "Unset SUPABASE_URL, or set it to this project's address.",
    );
  }
  return {
    name: name ? `${name} (${ref})` : ref,
    database: supabase,
    supabase,
    url,
    async readSecretKey() {
      try {
        const key = await supabase.readSecretKey();
        if (key) return { key };
      } catch (error) {
        if (!(error instanceof Problem) || error.code !== "no_rights") throw error;
      }
      return keyIn(env);
    },
  };
}

function addressIn(env: Env): string | undefined {
  return env.SUPABASE_URL?.replace(/\/+$/, "") || undefined;
}

function keyIn(env: Env): { key: string } | { missing: string } {
  const key = env.SUPABASE_SECRET_KEY || env.SUPABASE_SERVICE_ROLE_KEY;
  return key
    ? { key }
    : { missing: "set SUPABASE_SECRET_KEY, as this access token may not read the project's keys" };
}
