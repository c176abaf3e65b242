/**
 * `calendly-sync connect`: connects a Calendly account, or a whole organization, by a personal access token
 * and shows the first sync until it is complete. The token comes from a prompt or from standard input, never
 * from an argument or a variable, which other processes and the shell's history could read; it goes to
 * calendly-connect alone and is never printed.
 */
import { isCancel, password } from "@clack/prompts";
import process from "node:process";
import { z } from "zod";
import { type Context, defineCommand, PROGRAM } from "../command.ts";
import { dataApi, rowsOf } from "../data_api.ts";
import { REMOTE } from "../deployment.ts";
import { callFunction, readFunctions } from "../functions_api.ts";
import { pause, untilInterrupted } from "../interrupt.ts";
import { Problem } from "../problem.ts";
import type { ProblemCode } from "../problem_codes.ts";
import { age, describeProgress, type Run, RUN_COLUMNS } from "../runs.ts";
import { findTarget, type Project } from "../target.ts";
import type { Bar, Terminal } from "../terminal.ts";
import { count } from "../words.ts";

/** What a person chooses. */
export interface Choice {
  scope: "user" | "organization";
  members: "accounts" | "everyone";
  replace: boolean;
  auth_user_id?: string;
}

const Connection = z.looseObject({
  state: z.string(),
  scope: z.enum(["user", "organization"]),
  members: z.enum(["accounts", "everyone"]).optional(),
  user_id: z.number(),
  calendly_user: z.looseObject({
    name: z.string().nullish(),
    email: z.string().nullish(),
    organization: z.string().nullish(),
  }),
  webhooks: z.looseObject({ state: z.string() }),
  initial_sync_complete: z.boolean().optional(),
  connected_at: z.string().optional(),
});
type Connection = z.infer<typeof Connection>;

/** What --json prints. */
export interface Result {
  connection: Connection;
  /** Why webhooks could not be switched on, where they were asked for. */
  webhooks_error: Problem | null;
  /** The first sync, as far as it had come when this was printed; null with --no-wait. */
  run: Run | null;
  /** How many users' meetings the connection keeps by now. */
  users: number;
}

/** In milliseconds: how often a run is looked at, and how long it may take to begin. */
const POLL = 1_000;
const START_TIMEOUT = 180_000;

/** How many times in a row the project may fail to answer while a sync is waited for. */
const MAX_FAILURES = 10;

/** How something is done and told. Tests have a clock and pauses of their own. */
export interface Telling {
  terminal: Terminal;
  signal: AbortSignal;
  poll?: number;
  startTimeout?: number;
  now?: () => Date;
}

// Connecting ------------------------------------------------------------------------------------

/** What to do with this program, where the function says what to do with its calls. */
const HINTS: { [Code in ProblemCode]?: string } = {
  token_invalid:
    "Make one at Calendly: Integrations & apps > API and webhooks > Personal access tokens, with the " +
    "scopes users:read and scheduled_events:read, and webhooks:write for webhooks.",
  scope_missing:
    "Make a token with the scopes users:read and scheduled_events:read, and webhooks:write for " +
    "webhooks, and connect with that one.",
  another_calendly_user:
    "To change over, repeat this with --replace: the meetings of the former Calendly user are erased, " +
    "so that the two are not mixed.",
  no_organization: "Connect with --scope user.",
  calendly_user_taken:
    "One Calendly user can be live in one connection only: disconnect it there first, or leave " +
    "--auth-user-id out.",
  webhooks_need_plan:
    "Webhooks need a paid plan of the organization's owner at Calendly. Without them the schedule " +
    "brings the changes.",
};

/** Calls calendly-connect. Error: its refusals, told for this program and without the token. */
async function call<T>(
  project: Project,
  body: Record<string, unknown>,
  schema: z.ZodType<T>,
  path = "",
): Promise<T> {
  try {
    return await callFunction(project, "calendly-connect", { method: "POST", path, body }, schema);
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    const { code, message, hint, cannotTell } = error;
    const shown = typeof body.token === "string" ? message.replaceAll(body.token, "…") : message;
    throw new Problem(code, shown, HINTS[code] ?? hint, { cannotTell });
  }
}

/**
 * That a token could be stored and its meetings synced, before anybody types one. Error: the first of what
 * readFunctions finds wrong.
 */
export async function checkConnectable(project: Project): Promise<void> {
  const { problems: [problem] } = await readFunctions(project);
  if (problem) throw problem;
}

/** Connects, switches webhooks on, waits for the first sync, and tells a person about each. */
export async function connectProject(
  project: Project,
  token: string,
  choice: Choice,
  { webhooks, wait, ...telling }: Telling & { webhooks: boolean; wait: boolean },
): Promise<Result> {
  const { terminal } = telling;
  let connection = await call(project, { token, ...choice }, Connection);
  const { user_id, calendly_user: { name, email } } = connection;
  const who = `${name ?? "a Calendly user"}${email ? ` <${email}>` : ""}`;
  const whose = choice.scope === "organization" ? "the organization of " : "";
  terminal.check(`Connected ${whose}${who}, user ${user_id}`, true);
  let webhooks_error: Problem | null = null;
  if (webhooks) {
    try {
      const { webhooks } = await call(project, { user_id }, Connection, "/webhooks");
      connection = { ...connection, webhooks };
      terminal.check("Webhooks are on: changes arrive within a second", true);
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      webhooks_error = error;
      terminal.check("Webhooks could not be switched on", false);
      terminal.problem(error);
    }
  }
  const run = wait ? await waitForSync(project, connection, telling) : null;
  const result = { connection, webhooks_error, run, users: await countUsers(project, user_id) };
  showResult(result, choice, telling);
  return result;
}

/** How many users' meetings the connection of this user brings. */
async function countUsers(project: Project, user_id: number): Promise<number> {
  const client = dataApi(project);
  const [connection] = rowsOf(
    project,
    await client.from("calendly_connections").select("id").eq("user_id", user_id),
  );
  const users = await client.from("calendly_users").select("id", { count: "exact" })
    .eq("connection_id", connection.id).limit(1);
  rowsOf(project, users);
  return users.count ?? 0;
}

// The first sync --------------------------------------------------------------------------------

/**
 * Shows the run that a new connection begins until it has ended, or until the signal aborts; null where it
 * had not begun by then. Errors: sync_not_started, project_unreachable, …
 */
export async function waitForSync(
  project: Project,
  connection: Pick<Connection, "user_id" | "connected_at">,
  telling: Telling,
): Promise<Run | null> {
  const { terminal, signal, poll = POLL, startTimeout = START_TIMEOUT, now = () => new Date() } =
    telling;
  const bar = terminal.bar("Sync");
  const since = Date.now();
  let run: Run | null = null;
  let failures = 0;
  /** The end of the pause that was told last. */
  let told: string | null | undefined;
  try {
    while (!signal.aborted) {
      try {
        run = await readRun(project, connection, run);
        failures = 0;
      } catch (error) {
        if (!(error instanceof Problem && error.cannotTell) || ++failures > MAX_FAILURES) {
          throw error;
        }
      }
      if (run?.status === "complete" || run?.status === "failed") return run;
      if (!run && Date.now() - since > startTimeout) throw notStarted(connection.user_id);
      const paused = run?.status === "paused" ? run : null;
      if (paused && paused.resume_at !== told) {
        bar.finish();
        terminal.line(`    ${describePause(paused, now())}`);
      }
      told = paused ? paused.resume_at : undefined;
      if (run?.status === "running") showProgress(bar, run);
      await pause(poll, signal);
    }
    return run;
  } finally {
    bar.finish();
  }
}

/** The run that is being shown, as it is now; before there is one, the one that connecting has begun. */
async function readRun(
  project: Project,
  { user_id, connected_at }: Pick<Connection, "user_id" | "connected_at">,
  known: Run | null,
): Promise<Run | null> {
  const runs = dataApi(project).from("calendly_sync_runs").select(RUN_COLUMNS);
  const rows = rowsOf<unknown>(
    project,
    known
      ? await runs.eq("id", known.id)
      : await runs.eq("user_id", user_id).order("started_at", { ascending: false }).limit(5),
  ) as Run[];
  if (known) return rows[0] ?? known;
  // One of before may still run: it does what the new connection would.
  return rows.find(({ status }) => status === "running" || status === "paused") ??
    rows.find(({ started_at }) => Date.parse(started_at) >= Date.parse(connected_at ?? "")) ?? null;
}

function showProgress(bar: Bar, { progress, requests }: Run): void {
  const { events = 0, invitees_read = 0, invitees_to_read } = progress;
  const note = `${count(events, "event")} listed, ${count(requests, "request")}`;
  bar.update(invitees_read, invitees_to_read ?? 0, note);
}

/** "Paused until 10:01 (in 1 min): …" */
function describePause({ resume_at, error }: Run, now: Date): string {
  const until = resume_at
    ? `until ${new Date(resume_at).toLocaleTimeString()} (${age(resume_at, now)})`
    : "for a while";
  const why = error?.message ?? "the time or the requests of one worker are used up.";
  return `Paused ${until}: ${why} It goes on by itself.`;
}

function notStarted(user_id: number): Problem {
  return new Problem(
    "sync_not_started",
    `User ${user_id} is connected, but the first sync has not begun.`,
    `${PROGRAM} status says what is wrong with the schedule or the functions. The schedule begins the sync ` +
      "as soon as it can.",
  );
}

// The summary -----------------------------------------------------------------------------------

function showResult(
  { connection, webhooks_error, run, users }: Result,
  { members, scope }: Choice,
  { terminal }: Telling,
): void {
  if (run?.status === "failed") {
    const { code = "failed", message = "It says no reason.", hint } = run.error ?? {};
    terminal.check(`${nameOf(connection)} failed: ${describeProgress(run)}`, false);
    terminal.problem({ code, message, hint: hint ?? `See ${PROGRAM} status.` });
    terminal.line("  The schedule tries again later. What is stored already stays.");
    return;
  }
  if (run?.status !== "complete") {
    if (run) terminal.line(`    So far: ${describeProgress(run)}`);
    terminal.line(`  ${nameOf(connection)} goes on by itself, on the server.`);
    terminal.line(`  Next: ${PROGRAM} status shows how far it is.`);
    return;
  }
  const { events = 0 } = run.progress;
  terminal.check(
    `${nameOf(connection)} is complete (${run.sync_type}): ${count(events, "event")} listed, ${
      count(run.requests, "request")
    }`,
    true,
  );
  terminal.line();
  const kept = run.created + run.updated + run.unchanged + run.restored;
  terminal.pairs([
    ["events", `${run.fetched_active} active, ${run.fetched_canceled} canceled`],
    [
      "meetings",
      `${kept} kept: ${run.created} new, ${run.updated} updated, ${run.unchanged} unchanged`,
    ],
    ...scope === "organization" ? [["users", describeUsers(run, users, members)] as Pair] : [],
    ...run.rejected > 0
      ? [["not usable", `${run.rejected}: see rejections in calendly_sync_runs`] as Pair]
      : [],
  ]);
  terminal.line();
  terminal.line("  Next: your app reads calendly_meetings and calendly_invitees.");
  terminal.line(`  ${PROGRAM} status shows how it goes on.`);
  if (!webhooks_error && connection.webhooks.state !== "active") {
    terminal.line(
      "  Changes arrive with the schedule; with --webhooks they arrive within a second.",
    );
  }
}

/** Who connects again has synced before. */
function nameOf({ initial_sync_complete }: Connection): string {
  return initial_sync_complete ? "The sync" : "The first sync";
}

type Pair = [label: string, value: string];

function describeUsers(
  { hosts_without_account }: Run,
  users: number,
  members: Choice["members"],
): string {
  if (!hosts_without_account) return `${users}`;
  const hosts = `${count(hosts_without_account, "host")} without an account here`;
  return members === "everyone"
    ? `${users}, among them ${hosts}`
    : `${users}; ${hosts} left out (--members everyone keeps them, too)`;
}

// The command -----------------------------------------------------------------------------------

const MAX_TOKEN = 8192;

/** From standard input or, on a terminal, from a prompt. Errors: token_missing, token_invalid, canceled. */
async function readToken(isJson: boolean): Promise<string> {
  const token = (process.stdin.isTTY ? await askForToken(isJson) : await readInput()).trim();
  if (token === "") {
    throw new Problem(
      "token_missing",
      "No token was given: standard input is empty, and there is no terminal on which to ask.",
      `Send it by standard input: ${PROGRAM} connect < file-with-the-token.`,
    );
  }
  if (!/^[\x21-\x7e]+$/.test(token) || token.length > MAX_TOKEN) {
    throw new Problem(
      "token_invalid",
      "What was given is no Calendly token: it is too long, or has spaces or other characters in it.",
      HINTS.token_invalid!,
    );
  }
  return token;
}

async function askForToken(isJson: boolean): Promise<string> {
  const answer = await password({
    message: "Personal access token of Calendly (it is not shown)",
    output: isJson ? process.stderr : process.stdout,
    validate: (value) => value?.trim() ? undefined : "Paste the token, or end with Ctrl-C.",
  });
  if (isCancel(answer)) {
    throw new Problem(
      "canceled",
      "No token was given. Nothing has been changed.",
      `Run ${PROGRAM} connect again when you have one.`,
    );
  }
  return answer;
}

async function readInput(): Promise<string> {
  let given = "";
  for await (const chunk of process.stdin.setEncoding("utf8")) {
    given += chunk;
    if (given.length > 2 * MAX_TOKEN) break;
  }
  return given;
}

/** Errors: invalid_option. */
function readChoice(values: Context<typeof OPTIONS>["values"]): Choice {
  const scope = oneOf("scope", values.scope, ["user", "organization"]);
  const members = oneOf("members", values.members, ["accounts", "everyone"]);
  if (members === "everyone" && scope !== "organization") {
    throw invalidOption("--members everyone needs --scope organization.");
  }
  const auth_user_id = values["auth-user-id"];
  if (auth_user_id !== undefined && !z.guid().safeParse(auth_user_id).success) {
    throw invalidOption("--auth-user-id is the id of an account, a UUID.");
  }
  return { scope, members, replace: values.replace === true, auth_user_id };
}

/** The first of the values where none is given. */
function oneOf<const Value extends string>(
  option: string,
  given: string | undefined,
  values: [Value, ...Value[]],
): Value {
  if (given === undefined) return values[0];
  const found = values.find((value) => value === given);
  if (found) return found;
  throw invalidOption(`--${option} is ${values.join(" or ")}.`);
}

function invalidOption(message: string): Problem {
  return new Problem("invalid_option", message, `${PROGRAM} connect --help lists the options.`);
}

const OPTIONS = {
  scope: {
    type: "string",
    value: "<scope>",
    help: "user (the default), or organization: everybody's meetings, as owner or admin",
  },
  members: {
    type: "string",
    value: "<members>",
    help: "of an organization: accounts (those with an account here, the default) or everyone",
  },
  webhooks: { type: "boolean", help: "have Calendly report changes, too, within a second" },
  replace: {
    type: "boolean",
    help: "erase what another Calendly user brought for this account before",
  },
  "auth-user-id": {
    type: "string",
    value: "<uuid>",
    help: "connect for this account of Supabase Auth",
  },
  "no-wait": { type: "boolean", help: "do not wait for the first sync" },
  ...REMOTE,
} as const;

export const connect = defineCommand({
  name: "connect",
  summary: "connect Calendly by a personal access token, and show the first sync",
  argument: "[folder]",
  description:
    `The project is the one that the folder is linked to, or that SUPABASE_URL and SUPABASE_SECRET_KEY
name; in a clone the local stack that runs.
The token is asked for, or read from standard input:
  ${PROGRAM} connect < file-with-the-token
It is never an argument or a variable, which other programs could read.

Ctrl-C ends the waiting only: the sync goes on by itself.
--json prints {connection, webhooks_error, run (as in calendly_sync_runs), users (how many)}.
Exit code: 0 connected, 1 refused, or the first sync or webhooks failed, 2 it cannot tell.`,
  options: OPTIONS,
  async run(context) {
    const { values, terminal, isJson, answer } = context;
    const choice = readChoice(values);
    const project = await findTarget(context);
    await checkConnectable(project);
    const token = await readToken(isJson);
    const result = await untilInterrupted((signal) =>
      connectProject(project, token, choice, {
        terminal,
        signal,
        webhooks: values.webhooks === true,
        wait: values["no-wait"] !== true,
      })
    );
    answer(result);
    return result.webhooks_error || result.run?.status === "failed" ? 1 : 0;
  },
});
