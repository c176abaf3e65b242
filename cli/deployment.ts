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
  url: {
    type: "string",
    value: "<address>",
    help: "where the project answers, if it has a domain of its own",
  },
} as const;

/** Which project or database is meant. */
export const TARGET = {
  ...REMOTE,
  local: { type: "boolean", help: "the stack of `supabase start` in place of a hosted project" },
  "database-url": {
    type: "string",
    value: "<url>",
    help: "a database in place of a hosted project, without its password: PGPASSWORD has it",
  },
  database: {
    type: "boolean",
    help: "the database in DATABASE_URL, which may have a password, in place of a hosted project",
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
  url?: string;
  local?: boolean;
  "database-url"?: string;
  database?: boolean;
}

type Env = Record<string, string | undefined>;

/**
 * Opens what the options name. Errors: several_projects, invalid_url, other_project, no_local_stack, and
 * those of `Supabase.open`.
 */
export async function openDeployment(
  folder: string,
  env: Env,
  choice: Choice,
): Promise<Deployment> {
  const { remote, local = false, database = false, "database-url": databaseUrl } = choice;
  if (
    [remote !== undefined, local, database, databaseUrl !== undefined].filter(Boolean).length > 1
  ) {
    throw new Problem(
      "several_projects",
      "--remote, --local, --database and --database-url name different projects.",
      "Give one of them.",
    );
  }
  const url = choice.url === undefined ? undefined : checkAddress(choice.url);
  if (databaseUrl !== undefined) {
    return byUrl(checkDatabaseUrl(databaseUrl, "--database-url"), env, url);
  }
  if (database) return byUrl(checkDatabaseUrl(env.DATABASE_URL ?? "", "DATABASE_URL"), env, url);
  return local ? await byLocalStack(folder, env, url) : await hosted(folder, env, { remote, url });
}

/** A key goes there: by HTTPS, or not past this machine. */
function checkAddress(url: string): string {
  const address = url.replace(/\/+$/, "");
  if (
    /^(https:\/\/[^/@?#\s]+|http:\/\/(127\.0\.0\.1|localhost|\[::1\])(:\d+)?)$/.test(address) &&
    URL.canParse(address)
  ) return address;
  throw new Problem(
    "invalid_url",
    "--url is not the address of a project.",
    "It looks like https://api.example.com, without a path. It is needed only for a domain of your own.",
  );
}

/** Errors: invalid_url, password_in_argument: everybody on the machine sees a program's arguments. */
function checkDatabaseUrl(text: string, source: "--database-url" | "DATABASE_URL"): URL {
  const isUrl = /^postgres(ql)?:\/\//.test(text) && URL.canParse(text);
  if (!isUrl || !isDecodable(new URL(text))) {
    throw new Problem(
      "invalid_url",
      text === "" ? `${source} is not set.` : `${source} is not the address of a database.`,
      "It looks like postgresql://postgres@127.0.0.1:54322/postgres. In a name or password each of " +
        "% / ? # @ : is encoded, such as % as %25; in PGPASSWORD it is not.",
    );
  }
  const url = new URL(text);
  if (source === "--database-url" && (url.password || url.searchParams.has("password"))) {
    throw new Problem(
      "password_in_argument",
      "--database-url has a password in it, and everybody on this machine can see arguments.",
      "Leave it out and set PGPASSWORD. Or set DATABASE_URL to the address with the password, and " +
        "give --database.",
    );
  }
  return url;
}

/** A % that encodes nothing cannot be read. */
function isDecodable({ username, password, pathname }: URL): boolean {
  try {
    for (const part of [username, password, pathname]) decodeURIComponent(part);
    return true;
  } catch {
    return false;
  }
}

function byUrl(address: URL, env: Env, url?: string): Deployment {
  return {
    name: `the database ${address.host}${address.pathname}`,
    database: openByUrl(address.href, address.password ? undefined : env.PGPASSWORD),
    ...ofEnvironment(env, url),
  };
}

async function byLocalStack(folder: string, env: Env, address?: string): Promise<Deployment> {
  const { url = address, databaseUrl, secretKey } = await readLocalStack(folder, env);
  return {
    name: "the stack of `supabase start`",
    database: openByUrl(databaseUrl),
    ...url && secretKey
      ? { url: address ?? url, readSecretKey: () => Promise.resolve({ key: secretKey }) }
      : ofEnvironment(env, url),
  };
}

/**
 * The key that the CLI reads goes to Supabase's own address of the project, or to the one that was typed.
 * SUPABASE_URL is not looked at: it may be left over from another project, or be anybody's.
 */
async function hosted(
  folder: string,
  env: Env,
  choice: { remote?: string; url?: string },
): Promise<Deployment> {
  const supabase = await Supabase.open(folder, env, choice.remote);
  const { ref, name } = supabase;
  const { url = `https://${ref}.supabase.co` } = choice;
  const [, other] = url.match(/^https:\/\/([a-z]{20})\.supabase\.co$/) ?? [];
  if (other && other !== ref) {
    throw new Problem(
      "other_project",
      `--url is the address of ${other}, and this is about ${ref}.`,
      `Leave it out: the address of ${ref} is known. Or name the other project: --remote=${other}.`,
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
      return keyIn(env, url);
    },
  };
}

/** Where the functions answer and their key, by what was typed or else by the environment alone. */
function ofEnvironment(
  env: Env,
  url = addressIn(env),
): Pick<Deployment, "url" | "readSecretKey"> {
  return { url, readSecretKey: () => Promise.resolve(keyIn(env, url)) };
}

function addressIn(env: Env): string | undefined {
  return env.SUPABASE_URL?.replace(/\/+$/, "") || undefined;
}

/** The environment's key for this address: where SUPABASE_URL is another one, the key is that one's. */
function keyIn(env: Env, url?: string): { key: string } | { missing: string } {
  const key = env.SUPABASE_SECRET_KEY || env.SUPABASE_SERVICE_ROLE_KEY;
  if (key && [url, undefined].includes(addressIn(env))) return { key };
  return {
    missing: key
      ? `SUPABASE_SECRET_KEY is for SUPABASE_URL, which is not ${url}`
      : "set SUPABASE_SECRET_KEY, as this access token may not read the project's keys",
  };
}
