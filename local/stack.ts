/**
 * A whole Supabase project in one process, without Docker: database, Data API, Auth, Edge Functions, cron,
 * and a sandbox Calendly. `deno task start` runs one for a person, the tests run one each.
 */
import { createClient } from "@supabase/supabase-js";
import { type Sandbox, type SandboxOptions } from "../sandbox/mod.ts";
import { seedBeside, startSandbox } from "./calendly.ts";
import { localConsole } from "./console.ts";
import { followClock } from "./clock.ts";
import { startTicker, type Ticker } from "./cron.ts";
import { createDataApi } from "./data_api.ts";
import {
  type Database,
  openEmbedded,
  openPostgres,
  type Preparation,
  prepare,
} from "./database.ts";
import { Functions } from "./functions.ts";
import { serveGateway } from "./gateway.ts";
import { preparedImage } from "./image.ts";
import { keepKeys, type Keys, makeKeys, signUserJwt } from "./keys.ts";
import { type Migration } from "../cli/migrations.ts";
import { MigrationChanged, MigrationFailed } from "./migrations.ts";
import { keepPorts, portOf, type Ports, readPorts } from "./ports.ts";
import { startRealtime } from "./realtime.ts";
import { Problem } from "../cli/problem.ts";
import { LOCAL_FOLDER } from "../cli/target.ts";
import { type Terminal } from "../cli/terminal.ts";

export interface StackOptions extends Preparation {
  /** Where the project answers; 0 (the default) picks a free port. */
  port?: number;
  /**
   * Where the embedded Postgres answers; taken or 0 (the default), a free port is used. A project that is
   * kept prefers the port that it had before.
   */
  databasePort?: number;
  /** The same for the sandbox. */
  sandboxPort?: number;
  /** Keeps everything in memory and leaves nothing behind but a cache. */
  ephemeral?: boolean;
  /** A real Postgres (superuser) in place of the embedded one. */
  databaseUrl?: string;
  /** A prepared database that is open already; the stack closes it. */
  database?: Database;
  /** A Calendly to use in place of the sandbox. */
  calendlyUrl?: string;
  /** How the sandbox begins, where its state has not been kept. */
  sandboxOptions?: SandboxOptions;
  /** More for the functions' environment, or other values. */
  env?: Record<string, string>;
  /** Path of the Deno that runs the functions, such as one as old as the platform's. */
  functionsDeno?: string;
  /** Folder of the functions. */
  functions?: URL;
  /** How many times sooner the functions' pauses end; by default 1. */
  shortenPauses?: number;
  /** Whether the schedule runs by itself (the default) or only by `tick`. */
  cron?: boolean;
  /** Folder of the embedded Postgres, the sandbox's state, and the project's keys and ports. */
  folder?: string;
  /** Gets what the functions and the schedule print. */
  log?: (source: string, line: string) => void;
  /** Aborted during the start, it ends the start with its reason as the error; ignored after that. */
  signal?: AbortSignal;
  /** Shows the parts of the start as they happen. */
  step?: Terminal["step"];
}

/** An account of Auth, signed in. */
export interface Account {
  auth_user_id: string;
  access_token: string;
}

export interface Stack {
  url: string;
  publishableKey: string;
  secretKey: string;
  databaseUrl: string;
  calendlyUrl: string;
  /** The sandbox that answers at `calendlyUrl`, unless another Calendly was named. */
  sandbox?: Sandbox;
  /** The account that supabase/seed.sql makes. */
  demoUser: { email: string; password: string };
  /** Runs one statement as the database's superuser. */
  // deno-lint-ignore no-explicit-any -- rows of any query
  sql<T = any>(query: string, parameters?: unknown[]): Promise<T[]>;
  /** Signs a new account up. */
  createUser(account: { email: string }): Promise<Account>;
  /** A JWT as Auth would sign it: for somebody else, or one that has expired. */
  signJwt(claims: Parameters<typeof signUserJwt>[1]): Promise<string>;
  functions: Pick<Functions, "warm" | "kill" | "logs" | "memory" | "pid">;
  /** Runs what the schedule has between two points in time. */
  tick: Ticker["tick"];
  /** A new link that opens operations in the console, once. The console itself is at `url`. */
  consoleLink(): string;
  stop(): Promise<void>;
}

export const DEMO_USER = { email: "demo@example.com", password: "calendly-sync-demo" };

/** Starts a stack. Throws a `Problem` when something is in the way. */
export async function startStack(options: StackOptions = {}): Promise<Stack> {
  const { log = () => {}, signal, step = (_title, work) => work(() => {}) } = options;
  const folder = options.folder ?? LOCAL_FOLDER;
  const undo: (() => unknown)[] = [];
  const stop = async () => {
    for (const undoing of undo.splice(0).reverse()) await undoing();
  };
  const starting = new AbortController();
  const abort = () => starting.abort(signal?.reason);
  signal?.addEventListener("abort", abort);
  try {
    signal?.throwIfAborted();
    if (!options.ephemeral) undo.push(await claimFolder(folder));
    const keys = options.ephemeral ? await makeKeys() : await keepKeys(`${folder}/keys.json`);
    const portsFile = `${folder}/ports.json`;
    const ports: Ports = {
      postgres: options.databasePort,
      sandbox: options.sandboxPort,
      ...options.ephemeral ? {} : await readPorts(portsFile),
    };

    const functions = new Functions({
      folder: options.functions,
      deno: options.functionsDeno,
      shortenPauses: options.shortenPauses,
      log,
      environment: () => ({
        ...platformEnvironment(gateway.url, keys),
        ...calendlyEnvironment(calendlyUrl, gateway.url, keys, sandbox),
        ...options.env,
      }),
    });
    const gateway = openGateway(options.port ?? 0);
    undo.push(() => gateway.stop());

    const database = await step(
      options.databaseUrl === undefined ? "Embedded Postgres" : "Postgres",
      (note) =>
        openDatabase(
          { ...options, databasePort: ports.postgres, signal: starting.signal },
          folder,
          note,
        ),
    );
    undo.push(() => database.close(), () => gateway.stop()); // Requests that are not answered yet need the database.
    const dataApi = await step(
      "Data API and Auth",
      () => createDataApi(database, keys, gateway.url),
    );
    await confirmAddress(database, gateway.url);
    if (database.kind === "embedded") await endLeases(database);
    const ticker = await startTicker(database, {
      automatic: options.cron,
      log: (line) => log("cron", line),
    });
    undo.push(() => ticker.stop());

    const realtime = options.realtime
      ? await startRealtime(database, keys, { log: (line) => log("realtime", line) })
      : undefined;
    if (realtime) undo.push(() => realtime.stop());

    const served = options.calendlyUrl ? undefined : await step(
      "Sandbox Calendly",
      async () =>
        await startSandbox({
          file: options.ephemeral ? undefined : `${folder}/sandbox.json`,
          port: ports.sandbox ?? 0,
          options: {
            seed: options.ephemeral ? undefined : await seedBeside(database),
            ...options.sandboxOptions,
          },
        }),
    );
    if (served) {
      undo.push(() => served.stop().catch((error) => log("sandbox", reason(error))));
    }
    const sandbox = served?.sandbox;
    // Who pins one clock sets both.
    const clock = sandbox?.clock.pinned ? undefined : await followClock(database, sandbox?.clock, {
      // What has become due meanwhile is done at once, not with the next minute.
      passed: () => options.cron === false ? undefined : ticker.tick(lastMinute(), new Date()),
      log: (line) => log("sandbox", line),
    });
    undo.push(() => clock?.stop());
    const calendlyUrl = options.calendlyUrl ?? served!.url;
    if (!options.ephemeral) {
      await keepPorts(portsFile, {
        ...database.kind === "embedded" && { postgres: portOf(database.url) },
        ...served && { sandbox: portOf(served.url) },
      });
    }
    undo.push(() => functions.stop()); // Before the rest: they use all of it.
    undo.push(() => void gateway.stop()); // Or a request would start them again.
    starting.signal.throwIfAborted();
    const console = localConsole({
      url: gateway.url,
      keys,
      realtime: realtime !== undefined,
      sandbox,
      afterVerb: () => clock?.followed(),
      demoUser: DEMO_USER,
    });
    gateway.open({ dataApi, functions, realtime, console });

    return {
      url: gateway.url,
      publishableKey: keys.publishableKey,
      secretKey: keys.secretKey,
      databaseUrl: database.url,
      calendlyUrl,
      sandbox,
      demoUser: DEMO_USER,
      sql: (query, parameters) => database.query(query, parameters),
      createUser: ({ email }) => signUp(gateway.url, keys, email),
      signJwt: (claims) => signUserJwt(keys, claims),
      functions,
      tick: ticker.tick,
      consoleLink: console.link,
      stop,
    };
  } catch (error) {
    await stop();
    starting.signal.throwIfAborted(); // The error is only a consequence of the abort.
    throw error;
  } finally {
    signal?.removeEventListener("abort", abort);
  }
}

/** One stack at a time may use a folder: two would destroy the database in it. */
async function claimFolder(folder: string): Promise<() => void> {
  await Deno.mkdir(folder, { recursive: true });
  const lock = await Deno.open(`${folder}/lock`, { create: true, write: true });
  if (!await lock.tryLock(true)) {
    lock.close();
    throw new Problem(
      "folder_in_use",
      `Another stack uses ${folder}.`,
      "Stop it first, or start this one with --ephemeral.",
    );
  }
  return () => lock.close();
}

function openGateway(port: number) {
  try {
    return serveGateway(port);
  } catch (error) {
    if (!(error instanceof Deno.errors.AddrInUse)) throw error;
    throw new Problem(
      "port_taken",
      `Port ${port} is taken.`,
      "Stop what uses it, or choose another one with --port.",
      { cause: error },
    );
  }
}

async function openDatabase(
  options: StackOptions,
  folder: string,
  note: (text: string) => void,
): Promise<Database> {
  if (options.database) return options.database;
  const port = options.databasePort ?? 0;
  if (options.databaseUrl === undefined && options.ephemeral) {
    const image = await preparedImage(options).catch((cause) => explainMigration(cause, options));
    return await openEmbedded({ image, port });
  }
  const database = options.databaseUrl === undefined
    ? await openEmbedded({ folder: `${folder}/database`, port }).catch((cause) => {
      throw new Problem(
        "database_broken",
        `The database in ${folder}/database cannot be opened (${reason(cause)}).`,
        "Move that folder away or delete it; the next start makes a new one and syncs again.",
        { cause },
      );
    })
    : await openPostgres(options.databaseUrl, options.signal).catch((cause) => {
      throw new Problem(
        "database_unreachable",
        `The database cannot be used (${reason(cause)}).`,
        "--database-url takes postgresql://user:password@host:port/database; the user must be a superuser.",
        { cause },
      );
    });
  const onApply = ({ version, name }: Migration) => {
    options.signal?.throwIfAborted();
    note(`applying ${version}_${name}`);
  };
  try {
    if (database.kind === "postgres") await requireSuperuser(database);
    await prepare(database, { onApply, ...options })
      .catch((cause) => explainMigration(cause, options));
    return database;
  } catch (error) {
    await database.close();
    throw error;
  }
}

async function requireSuperuser(database: Database): Promise<void> {
  const [user] = await database.query<{ rolname: string; rolsuper: boolean }>(
    "select rolname, rolsuper from pg_catalog.pg_roles where rolname = current_user",
  );
  if (user.rolsuper) return;
  throw new Problem(
    "not_superuser",
    `${user.rolname}, the user of --database-url, is no superuser.`,
    "It takes a superuser, because the stack makes the platform's roles: name one in --database-url.",
  );
}

function lastMinute(): Date {
  return new Date(Date.now() - 60_000);
}

/** On another port than last time it is still the same project, not a copy of one. */
async function confirmAddress(database: Database, url: string): Promise<void> {
  const [{ known }] = await database.query(
    "select to_regprocedure('public.calendly_confirm_project(text)') is not null as known",
  );
  if (!known) return;
  await database.query(
    `select public.calendly_confirm_project($1) from calendly.project
     where url like 'http://127.0.0.1:%' and url <> $1`,
    [url],
  );
}

/**
 * Nobody works on an embedded database that has just been opened: the workers that were at it when it was
 * closed or killed would keep their runs from everybody until their leases end, for two minutes.
 */
async function endLeases(database: Database): Promise<void> {
  const [{ known }] = await database.query(
    "select to_regclass('calendly.active_runs') is not null as known",
  );
  if (!known) return;
  await database.query(
    "update calendly.active_runs set lease_expires_at = least(lease_expires_at, calendly.now()) " +
      "where lease_expires_at is not null",
  );
}

function explainMigration(cause: unknown, { databaseUrl }: StackOptions): never {
  if (cause instanceof MigrationChanged) {
    throw new Problem(
      "migration_changed",
      cause.message,
      databaseUrl === undefined
        ? "It was made from older or newer files: delete the folder .local and start again."
        : "It was made from older or newer files: name a fresh database in --database-url, or apply the changes by hand " +
          "and record them in supabase_migrations.schema_migrations. Keep .local/keys.json: without it " +
          "the tokens in that database cannot be read.",
      { cause },
    );
  }
  if (cause instanceof MigrationFailed) {
    throw new Problem("migration_failed", cause.message, "Nothing of it was applied.", { cause });
  }
  throw cause;
}

function reason(error: unknown): string {
  return error instanceof Error ? error.message || error.name : String(error);
}

/** What the platform provides to every function. */
export function platformEnvironment(url: string, keys: Keys): Record<string, string> {
  return {
    SUPABASE_URL: url,
    SUPABASE_ANON_KEY: keys.publishableKey,
    SUPABASE_SERVICE_ROLE_KEY: keys.secretKey,
    SUPABASE_PUBLISHABLE_KEYS: JSON.stringify({ default: keys.publishableKey }),
    SUPABASE_SECRET_KEYS: JSON.stringify({ default: keys.secretKey }),
  };
}

/** Stands in for the settings of .env.example that are not set. */
function calendlyEnvironment(
  url: string,
  consoleUrl: string,
  keys: Keys,
  sandbox?: Sandbox,
): Record<string, string> {
  return {
    CALENDLY_API_URL: url,
    CALENDLY_TOKEN_KEY: keys.calendlyTokenKey,
    CALENDLY_WEBHOOK_SIGNING_KEY: [keys.calendlyWebhookSigningKey, sandbox?.demo.app.signing_key]
      .filter((key) => key).join(","),
    CALENDLY_RETURN_URL: `${consoleUrl}/`,
    ...sandbox && {
      CALENDLY_AUTH_URL: url,
      CALENDLY_CLIENT_ID: sandbox.demo.app.client_id,
      CALENDLY_CLIENT_SECRET: sandbox.demo.app.client_secret,
    },
  };
}

async function signUp(url: string, keys: Keys, email: string): Promise<Account> {
  const auth = createClient(url, keys.publishableKey, { auth: { persistSession: false } }).auth;
  const { data, error } = await auth.signUp({ email, password: crypto.randomUUID() });
  if (error) throw error;
  return { auth_user_id: data.user!.id, access_token: data.session!.access_token };
}
