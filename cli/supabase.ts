/**
 * The person's own Supabase CLI (version 3), which reaches the project with their access token: its
 * commands as typed calls, its errors as Problems. No secret and no SQL is ever an argument of it: other
 * people on a machine see arguments.
 */
import { x } from "tinyexec";
import { z } from "zod";
import { removeLeftFiles, withPrivateFile } from "./private_file.ts";
import { Problem } from "./problem.ts";
import type { ProblemCode } from "./problem_codes.ts";
import { type SqlDatabase, SqlError } from "./sql_database.ts";

/** The oldest major version that knows `--remote` and `--output-format`. */
const OLDEST = 3;
const INSTALL = "Install it in this project: npm install --save-dev supabase@3";

const Failure = z.object({
  _tag: z.literal("Error"),
  error: z.object({ code: z.string(), message: z.string(), suggestion: z.string().optional() }),
});
type Failure = z.infer<typeof Failure>["error"];

const Target = z.object({
  target: z.object({ project_ref: z.string(), project_name: z.string().optional() }),
});
const FunctionList = Target.extend({
  functions: z.array(
    z.object({
      slug: z.string(),
      verify_jwt: z.boolean().optional(),
      /** Of the bundle that the platform has made. */
      ezbr_sha256: z.string().nullish(),
    }),
  ),
});
export type DeployedFunction = z.infer<typeof FunctionList>["functions"][number];
const SecretList = z.object({ secrets: z.array(z.object({ name: z.string() })) });
const KeyList = z.object({
  keys: z.array(
    z.object({ api_key: z.string().nullish(), type: z.string().nullish(), name: z.string() }),
  ),
});
const LocalStatus = z.object({
  API_URL: z.string().optional(),
  DB_URL: z.string(),
  SECRET_KEY: z.string().optional(),
  SERVICE_ROLE_KEY: z.string().optional(),
});
const Rows = z.array(z.record(z.string(), z.unknown()));

type Env = Record<string, string | undefined>;

/** A hosted project, seen through the CLI. */
export class Supabase implements SqlDatabase {
  private constructor(
    /** The one that holds the folder `supabase`. */
    readonly folder: string,
    readonly env: Env,
    /** What was said of the project; undefined: the one that the folder is linked to. */
    readonly remote: string | undefined,
    readonly ref: string,
    readonly name: string | undefined,
    /** All functions that were deployed when the project was opened. */
    readonly functions: DeployedFunction[],
  ) {}

  /**
   * The project that `remote` names (a ref or a branch), or the linked one. Errors: cli_missing,
   * cli_outdated, not_logged_in, no_rights, not_linked, project_unknown, api_html, api_unreachable.
   */
  static async open(folder: string, env: Env, remote?: string): Promise<Supabase> {
    await checkVersion(folder, env);
    await removeLeftFiles();
    const { target, functions } = await run({ folder, env, remote }, LIST_FUNCTIONS);
    const { project_ref, project_name } = target;
    return new Supabase(folder, env, remote, project_ref, project_name, functions);
  }

  /** All functions that are deployed now. */
  async listFunctions(): Promise<DeployedFunction[]> {
    return (await this.#run(LIST_FUNCTIONS)).functions;
  }

  /** The names of all secrets. */
  async listSecrets(): Promise<string[]> {
    const { secrets } = await this.#run({
      args: ["secrets", "list"],
      answer: SecretList,
      permission: "edge_functions_secrets_read",
    });
    return secrets.map(({ name }) => name);
  }

  /** Sets one secret, by a file that only this user can read and that is gone afterwards. */
  async setSecret(name: string, value: string): Promise<void> {
    await withPrivateFile(`${name}="${value}"\n`, (file) =>
      this.#run({
        args: ["secrets", "set", "--env-file", file, "--yes"],
        permission: "edge_functions_secrets_write",
      }));
  }

  async unsetSecrets(names: string[]): Promise<void> {
    if (names.length === 0) return; // Without names the CLI means all of them.
    await this.#run({
      args: ["secrets", "unset", ...names, "--yes"],
      permission: "edge_functions_secrets_write",
    });
  }

  /** Deploys functions of the folder. Their files must be there: the CLI deploys one without files, too. */
  async deployFunctions(names: string[]): Promise<void> {
    await this.#run({
      args: ["functions", "deploy", ...names, "--use-api", "--yes"],
      permission: "edge_functions_write",
    });
  }

  /** Deletes a function; one that is gone already is no error. */
  async deleteFunction(name: string): Promise<void> {
    await this.#run({
      args: ["functions", "delete", name, "--yes"],
      permission: "edge_functions_write",
      accepts: "FunctionNotFoundError",
    });
  }

  /** A secret key, or the service_role key of an older project. Error: no_rights. */
  readSecretKey(): Promise<string | undefined> {
    return this.#readKey("secret", "service_role");
  }

  /** A publishable key, or the anon key of an older project. Error: no_rights. */
  readPublishableKey(): Promise<string | undefined> {
    return this.#readKey("publishable", "anon");
  }

  async #readKey(type: string, formerName: string): Promise<string | undefined> {
    const { keys } = await this.#run({
      args: ["projects", "api-keys", "--reveal"],
      answer: KeyList,
      permission: "api_gateway_keys_read and api_gateway_keys_secret_read",
    });
    const key = keys.find((key) => key.type === type && key.api_key);
    return (key ?? keys.find(({ name }) => name === formerName))?.api_key ?? undefined;
  }

  async query<Row>(sql: string, { readOnly = false } = {}): Promise<Row[]> {
    // SQL is read from the standard input: it is long, and an argument is seen by everybody.
    const rows = await this.#run({
      args: ["db", "query", readOnly ? "--read-only" : "--yes"],
      input: sql,
      answer: Rows,
      permission: readOnly ? "database_read" : "database_write",
    });
    return rows as Row[];
  }

  async close(): Promise<void> {}

  #run<T>(call: Call<T>): Promise<T> {
    return run({ folder: this.folder, env: this.env, remote: this.ref }, call);
  }
}

/** What `supabase start` runs for a folder. Errors: cli_missing, cli_outdated, no_local_stack. */
export async function readLocalStack(
  folder: string,
  env: Env,
): Promise<{ url?: string; databaseUrl: string; secretKey?: string }> {
  await checkVersion(folder, env);
  const { stdout, stderr } = await start(folder, env, ["status", "--output", "json"]);
  const status = LocalStatus.safeParse(parseJson(stdout));
  if (!status.success) {
    throw new Problem(
      "no_local_stack",
      `The Supabase CLI knows of no local stack: ${firstLine(stderr) || firstLine(stdout)}`,
      "Start one with `npx supabase start`, or name a database with --database-url.",
      { cannotTell: true },
    );
  }
  const { API_URL, DB_URL, SECRET_KEY, SERVICE_ROLE_KEY } = status.data;
  return { url: API_URL, databaseUrl: DB_URL, secretKey: SECRET_KEY ?? SERVICE_ROLE_KEY };
}

interface Place {
  folder: string;
  env: Env;
  remote?: string;
}

interface Call<T> {
  args: string[];
  /** For its standard input. */
  input?: string;
  /** What it prints; by default nothing is read. */
  answer?: z.ZodType<T>;
  /** What an access token with scopes needs for it, by Supabase's name. */
  permission: string;
  /** An error of the CLI that is none here. */
  accepts?: string;
}

const LIST_FUNCTIONS: Call<z.infer<typeof FunctionList>> = {
  args: ["functions", "list"],
  answer: FunctionList,
  permission: "edge_functions_read",
};

async function run<T>({ folder, env, remote }: Place, call: Call<T>): Promise<T> {
  // `--agent no`: else, run by an agent, the CLI wraps the rows of a query in words of caution.
  const flags = ["--output-format", "json", "--agent", "no"];
  const project = `--remote${remote === undefined ? "" : `=${remote}`}`;
  const { exitCode, stdout, stderr } = await start(
    folder,
    env,
    [...call.args, project, ...flags],
    call.input,
  );
  const json = parseJson(stdout);
  const failure = Failure.safeParse(json);
  if (failure.success) {
    if (failure.data.error.code === call.accepts) return undefined as T;
    throw explain(failure.data.error, call);
  }
  if (exitCode !== 0) throw failed(call, firstLine(stderr) || firstLine(stdout));
  const answer = (call.answer ?? z.unknown()).safeParse(json);
  if (!answer.success) throw failed(call, "its answer is not as expected");
  return answer.data as T;
}

async function start(folder: string, env: Env, args: string[], input = "") {
  try {
    // node_modules/.bin of the folder and of those above it comes before the PATH.
    const started = x("supabase", args, {
      nodeOptions: { cwd: folder, env: env as NodeJS.ProcessEnv },
      stdin: input,
    });
    // A CLI that ends before it has read all says why: that its end of the pipe is closed tells nothing.
    started.process?.stdin?.on("error", () => {});
    return await started;
  } catch (error) {
    if ((error as { code?: string }).code !== "ENOENT") throw error;
    throw new Problem("cli_missing", "The Supabase CLI is not installed.", `${INSTALL}.`, {
      cause: error,
    });
  }
}

async function checkVersion(folder: string, env: Env): Promise<void> {
  const { stdout } = await start(folder, env, ["--version"]);
  const version = stdout.match(/\d+\.\d+\.\d+\S*/)?.[0];
  if (version && Number.parseInt(version) >= OLDEST) return;
  throw new Problem(
    "cli_outdated",
    `This needs version ${OLDEST} of the Supabase CLI; ${
      version ?? "an unknown one"
    } is installed.`,
    `${INSTALL}.`,
  );
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function firstLine(text: string): string {
  return text.trim().split("\n")[0];
}

const LOG_IN = "Sign in with `npx supabase login`, or set SUPABASE_ACCESS_TOKEN to a token from " +
  "https://supabase.com/dashboard/account/tokens.";

/** What a failure means, where its code or message is like this. */
interface Meaning {
  matches: RegExp;
  code: ProblemCode;
  message: string | ((failure: Failure, command: string) => string);
  hint: string | ((permission: string) => string);
  cannotTell?: boolean;
}

/** The first that fits; most carry the answer of Supabase's API in their message. */
const MEANINGS: Meaning[] = [
  {
    matches: /<(!doctype|html|head|body)\b/i,
    code: "api_html",
    message:
      "A web page came in place of Supabase's answer: a proxy or a sign-in page stands between.",
    hint: "Open https://api.supabase.com in a browser on this network, sign in where it asks for " +
      "that, or use another network. Then run this again.",
    cannotTell: true,
  },
  {
    matches: /^(AccessTokenRequired|InvalidAccessToken)Error /,
    code: "not_logged_in",
    message: ({ message }) => message,
    hint: LOG_IN,
  },
  {
    matches: /status 401|Unauthorized|access token is invalid/,
    code: "not_logged_in",
    message: "Supabase does not know this access token.",
    hint: LOG_IN,
  },
  {
    matches: /status 403|Forbidden|necessary privileges/,
    code: "no_rights",
    message: (_, command) => `The access token may not do this (supabase ${command}).`,
    hint: (permission) =>
      `It takes the permission ${permission}, and a role in the organization that has it.`,
  },
  {
    matches: /^ProjectRefNotLinkedError /,
    code: "not_linked",
    message: "This folder is not linked to a project of Supabase.",
    hint: "Link it: `npx supabase link --project-ref <ref>`. Or name the project: --remote=<ref>.",
  },
  {
    matches: /status 404/,
    code: "project_unknown",
    message: "Supabase does not know this project, or this account may not see it.",
    hint: "Look at the ref in the dashboard's address, and at `npx supabase projects list`.",
  },
  {
    matches: /^CliConfigParseError /,
    code: "config_invalid",
    message: ({ message }) => message,
    hint: "Mend supabase/config.toml, then run this again.",
  },
  {
    matches: /Transport ?error|NetworkError/i,
    code: "api_unreachable",
    message: "Supabase does not answer.",
    hint: "Check the network, and https://status.supabase.com. Then run this again.",
    cannotTell: true,
  },
  {
    matches: /status (429|5\d\d)/,
    code: "api_unavailable",
    message: ({ message }) =>
      `Supabase cannot answer at present (${message.match(/status (429|5\d\d)/)![0]}).`,
    hint: "Run this again in a minute; see https://status.supabase.com.",
    cannotTell: true,
  },
];

function explain(failure: Failure, call: Call<unknown>): Error {
  const sql = parseSqlError(failure.message);
  if (sql) return sql;
  const told = `${failure.code} ${failure.message}`;
  const meaning = MEANINGS.find(({ matches }) => matches.test(told));
  if (!meaning) {
    return failed(call, [failure.message, failure.suggestion].filter(Boolean).join(" "));
  }
  const { code, message, hint, cannotTell } = meaning;
  return new Problem(
    code,
    typeof message === "string" ? message : message(failure, commandOf(call)),
    typeof hint === "string" ? hint : hint(call.permission),
    { cannotTell },
  );
}

function commandOf({ args }: Call<unknown>): string {
  return args.slice(0, 2).join(" ");
}

function failed(call: Call<unknown>, reason: string): Problem {
  const command = commandOf(call);
  return new Problem(
    "supabase_failed",
    `supabase ${command} failed: ${reason}`,
    `Run \`npx supabase ${command} --debug\` to see more.`,
    { cannotTell: true },
  );
}

/** The API tells errors of Postgres as psql prints them, in one text. */
function parseSqlError(message: string): SqlError | undefined {
  const body = parseJson(message.slice(message.indexOf("{"))) as { message?: string } | undefined;
  const [, sqlstate, text] = body?.message?.match(
    /^Failed to run sql query: ERROR: +([0-9A-Z]{5}): ([^]*)$/,
  ) ?? [];
  if (sqlstate === undefined) return undefined;
  const [told, ...rest] = text.split(/\n(?=(?:DETAIL|HINT|CONTEXT|QUERY|LINE \d+): )/);
  const part = (name: string) =>
    rest.find((part) => part.startsWith(name))?.replace(/^\w+: +/, "").trim();
  return new SqlError(sqlstate, told.trim(), part("DETAIL"), part("HINT"));
}
