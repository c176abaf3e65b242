/**
 * `calendly-sync status`: how the sync of a project is going: what is wrong and what to do, the versions of
 * functions and database, freshness, the schedule and the last runs. Of the project that SUPABASE_URL and
 * SUPABASE_SECRET_KEY (or SUPABASE_SERVICE_ROLE_KEY) name or, where they are not set, of the stack that runs
 * here. It asks the database and calls the three functions, and changes nothing.
 */
import { VERSION } from "../../supabase/functions/_shared/calendly/version.ts";
import { defineCommand, type ExitCode, PROGRAM } from "../command.ts";
import { dataApi, rowsOf } from "../data_api.ts";
import { REMOTE } from "../deployment.ts";
import { readFunctions } from "../functions_api.ts";
import type { FunctionName } from "../payload.ts";
import { pause, untilInterrupted } from "../interrupt.ts";
import { Problem } from "../problem.ts";
import { age, describeProgress, duration, type Run, RUN_COLUMNS } from "../runs.ts";
import { findTarget, type Project } from "../target.ts";
import type { Terminal } from "../terminal.ts";
import { count, wrap } from "../words.ts";

/** As many users and runs are shown; with --watch fewer, so that a frame fits on a screen. */
const SHOWN = 20;
const SHOWN_WATCHING = 5;

/** In seconds. */
const WATCH_INTERVAL = 5;

/** What --json prints. Times and intervals are as Postgres writes them. */
export interface Status {
  status: "healthy" | "unhealthy";
  project: string;
  /** Null: it does not tell, or could not be asked. */
  versions: {
    program: string;
    functions: Record<FunctionName, string | null>;
    database: string | null;
  };
  /** What is wrong with the functions, their environment and the versions. */
  problems: Problem[];
  /** What is wrong as the database sees it: calendly_alerts. */
  alerts: {
    code: string;
    severity: string;
    user_id: number | null;
    since: string | null;
    message: string;
    what_to_do: string;
  }[];
  /** Connections whose last sync failed and that are tried again: the first of so many. */
  retrying: {
    user_id: number;
    failures: number;
    last_error: { code?: string; message?: string } | null;
    next_sync_at: string | null;
  }[];
  retrying_count: number;
  /** Runs that are running or paused: the first of so many. */
  active_runs: Run[];
  active_run_count: number;
  freshness: {
    users: number;
    never_synced: number;
    p50: string | null;
    p95: string | null;
    max: string | null;
  };
  schedule: {
    ticked_at: string | null;
    /** Since when nobody answers nudges. */
    unanswered_since?: string | null;
    /** Nobody answers, so that nudges become rare. */
    backing_off?: boolean;
    due: number;
    running_workers: number;
    max_workers: number;
    jobs: {
      name: string;
      schedule: string;
      active: boolean;
      started_at: string | null;
      status: string | null;
      message: string | null;
    }[];
  };
  /** The stalest first. */
  users: {
    user_id: number;
    email: string | null;
    connection_state: string;
    last_calendly_sync: string | null;
    next_sync_at: string | null;
    active_calendly_meetings: number;
    deleted_calendly_meetings: number;
    webhook_events_received: number;
    last_error: { code?: string; message?: string } | null;
  }[];
  user_count: number;
  /** The latest first. */
  runs: Run[];
}

/** Asks the database and the functions. Errors: project_paused, wrong_key, project_unreachable, … */
export async function readStatus(project: Project, shown = SHOWN): Promise<Status> {
  const client = dataApi(project);
  const runs = () => client.from("calendly_sync_runs").select(RUN_COLUMNS, { count: "exact" });
  const [health, schedule, users, active, latest, retrying] = await Promise.all([
    client.rpc("calendly_health"),
    client.rpc("calendly_schedule"),
    client.from("calendly_sync_health").select("*", { count: "exact" })
      .order("staleness", { ascending: false, nullsFirst: true }).order("user_id").limit(shown),
    runs().in("status", ["running", "paused"]).order("started_at").limit(shown),
    client.from("calendly_sync_runs").select(RUN_COLUMNS)
      .order("started_at", { ascending: false }).limit(shown),
    client.from("calendly_connections")
      .select("user_id, failures, last_error, next_sync_at", { count: "exact" })
      .eq("state", "active").gt("failures", 0).order("user_id").limit(shown),
  ]);
  // The database first: where it cannot be asked, the functions cannot do so either.
  const { alerts, freshness, status: databaseStatus } = rowsOf(project, health);
  const rows = {
    alerts,
    retrying: rowsOf<Status["retrying"]>(project, retrying),
    retrying_count: retrying.count ?? 0,
    active_runs: rowsOf<unknown>(project, active) as Run[],
    active_run_count: active.count ?? 0,
    freshness,
    schedule: rowsOf<Status["schedule"]>(project, schedule),
    users: rowsOf<Status["users"]>(project, users),
    user_count: users.count ?? 0,
    runs: rowsOf<unknown>(project, latest) as Run[],
  };
  const { functions, databaseVersion, problems } = await readFunctions(project);
  return {
    status: databaseStatus === "healthy" && problems.length === 0 ? "healthy" : "unhealthy",
    project: project.url,
    versions: {
      program: VERSION,
      functions: Object.fromEntries(
        functions.map(({ name, version }) => [name, version]),
      ) as Status["versions"]["functions"],
      database: databaseVersion,
    },
    problems,
    ...rows,
  };
}

// Showing it ------------------------------------------------------------------------------------

/** Prints a status as of `now`. */
export function showStatus(terminal: Terminal, status: Status, now = new Date()): void {
  terminal.line();
  terminal.line(status.project);
  terminal.heading(
    status.status === "healthy" ? terminal.green("Healthy") : terminal.red("Unhealthy"),
  );
  showProblems(terminal, status, now);
  showRetries(terminal, status, now);
  showVersions(terminal, status);
  showFreshness(terminal, status);
  showUsers(terminal, status, now);
  showSchedule(terminal, status, now);
  showRuns(terminal, status, now);
  terminal.line();
}

function showProblems(terminal: Terminal, { problems, alerts }: Status, now: Date): void {
  const show = (head: string, message: string, hint: string) => {
    terminal.line(`    ${head}`);
    for (const line of wrap(message, terminal.width - 6)) terminal.line(`      ${line}`);
    wrap(hint, terminal.width - 8).forEach((line, index) =>
      terminal.line(`      ${terminal.dim(index === 0 ? "→" : " ")} ${line}`)
    );
  };
  for (const { code, message, hint } of problems) {
    show(`${terminal.red("critical")} ${code}`, message, hint);
  }
  for (const { severity, code, user_id, since, message, what_to_do } of alerts) {
    const paint = severity === "critical" ? terminal.red : terminal.bold;
    const user = user_id === null ? "" : ` user ${user_id}`;
    const when = since ? terminal.dim(` since ${age(since, now)}`) : "";
    show(`${paint(severity)} ${code}${user}${when}`, message, what_to_do);
  }
  if (problems.length + alerts.length === 0) terminal.line("    no alerts");
}

/** What is not well and mends itself. */
function showRetries(terminal: Terminal, status: Status, now: Date): void {
  const { retrying, retrying_count, active_runs, active_run_count } = status;
  if (retrying_count > 0) {
    terminal.line(
      `    ${count(retrying_count, "user")} ${retrying_count === 1 ? "is" : "are"} being retried:`,
    );
    for (const { user_id, failures, last_error, next_sync_at } of retrying) {
      terminal.line(
        `      user ${user_id}, ${last_error?.code ?? "failed"} ${count(failures, "time")}, next ${
          age(next_sync_at, now)
        }`,
      );
    }
  }
  if (active_run_count === 0) return;
  terminal.line(
    `    ${count(active_run_count, "sync")} ${
      active_run_count === 1 ? "is" : "are"
    } not complete yet:`,
  );
  for (const run of active_runs) {
    const state = run.status === "running"
      ? "running"
      : `paused, goes on ${age(run.resume_at, now)}${
        run.error?.code ? ` (${run.error.code})` : ""
      }`;
    terminal.line(`      user ${run.user_id}, ${run.sync_type}, ${state}`);
    terminal.line(`        ${describeProgress(run)}`);
  }
}

function showVersions(terminal: Terminal, { versions }: Status): void {
  const { program, functions, database } = versions;
  terminal.heading("Versions");
  terminal.pairs([
    ...Object.entries(functions).map(([name, version]): [string, string] => [
      name,
      version ?? "not known",
    ]),
    ["database", database ?? "not known"],
  ]);
  if ([...Object.values(functions), database].some((version) => version && version !== program)) {
    terminal.line(
      terminal.dim(`    This program is ${program}; ${PROGRAM} deploy brings the project to it.`),
    );
  }
}

function showFreshness(terminal: Terminal, { freshness }: Status): void {
  terminal.heading("Freshness");
  terminal.line(
    `    ${count(freshness.users, "connected user")}, ${freshness.never_synced} never synced`,
  );
  if (freshness.max === null) return;
  terminal.line("    last proven to be as Calendly has it:");
  terminal.pairs([
    ["half of the users (p50)", `${span(freshness.p50)} ago or less`],
    ["95 of 100 users (p95)", `${span(freshness.p95)} ago or less`],
    ["everybody (max)", `${span(freshness.max)} ago or less`],
  ]);
}

function showUsers(terminal: Terminal, { users, user_count }: Status, now: Date): void {
  terminal.heading(
    user_count > users.length ? `Users, the stalest ${users.length} of ${user_count}` : "Users",
  );
  const names = [
    "id",
    "e-mail",
    "connection",
    "last sync",
    "next",
    "meetings",
    "deleted",
    "webhooks",
  ];
  const rows = users.map((user) => [
    String(user.user_id),
    user.email ?? "",
    user.connection_state,
    age(user.last_calendly_sync, now),
    user.next_sync_at ? age(user.next_sync_at, now) : "–",
    String(user.active_calendly_meetings),
    String(user.deleted_calendly_meetings),
    String(user.webhook_events_received),
  ]);
  terminal.columns(names, shorten(names, rows, 1, terminal.width));
}

function showSchedule(terminal: Terminal, { schedule }: Status, now: Date): void {
  const { due, running_workers, max_workers, ticked_at, unanswered_since, backing_off } = schedule;
  terminal.heading("Schedule");
  terminal.line(
    `    last tick ${
      age(ticked_at, now)
    }, ${due} due, ${running_workers} of ${max_workers} workers busy`,
  );
  if (unanswered_since) {
    terminal.line(
      `    no answer to nudges for ${
        duration((now.getTime() - Date.parse(unanswered_since)) / 1000)
      }` + (backing_off ? ": they are sent seldom until somebody answers" : ""),
    );
  }
  terminal.line();
  terminal.columns(
    ["job", "schedule", "last run", "status", ""],
    schedule.jobs.map((job) => [
      job.name,
      job.active ? job.schedule : "off",
      age(job.started_at, now),
      job.status ?? "",
      job.status === "failed" ? job.message ?? "" : "",
    ]),
  );
}

function showRuns(terminal: Terminal, { runs }: Status, now: Date): void {
  terminal.heading("Last runs");
  terminal.columns(
    ["started", "user", "type", "by", "status", "new", "updated", "deleted", "requests", "error"],
    runs.map((run) => [
      age(run.started_at, now),
      String(run.user_id),
      run.sync_type,
      run.trigger,
      run.status,
      String(run.created),
      String(run.updated),
      String(run.deleted),
      String(run.requests),
      run.error?.code ?? "",
    ]),
  );
}

/** Cuts the cells of one column so that the table keeps to a width, but not below 20 characters. */
function shorten(names: string[], rows: string[][], column: number, width: number): string[][] {
  const others = names.filter((_, index) => index !== column);
  const taken = others.reduce((sum, name) => {
    const index = names.indexOf(name);
    return sum + 2 + Math.max(name.length, ...rows.map((row) => row[index].length));
  }, 4);
  const room = Math.max(width - taken, 20);
  return rows.map((row) =>
    row.map((cell, index) =>
      index === column && cell.length > room ? `${cell.slice(0, room - 1)}…` : cell
    )
  );
}

/** An interval of Postgres: "00:03:10.5", "2 days 01:00:00". */
function span(interval: string | null): string {
  const [, days = "0", hours, minutes, seconds] =
    interval?.match(/^(?:(\d+) days?)?\s*(?:(\d+):(\d+):([\d.]+))?$/) ?? [];
  if (interval === null) return "–";
  return duration(
    Number(days) * 86_400 + Number(hours ?? 0) * 3600 + Number(minutes ?? 0) * 60 +
      Number(seconds ?? 0),
  );
}

/** Shows the status every so many seconds until Ctrl-C, each time as a whole. */
async function watch(project: Project, terminal: Terminal, seconds: number): Promise<ExitCode> {
  return await untilInterrupted(async (signal) => {
    let exitCode: ExitCode = 2;
    while (!signal.aborted) {
      await terminal.frame(async (frame) => {
        exitCode = await showOnce(project, frame);
        frame.line(frame.dim(`    ${new Date().toISOString()}, again every ${seconds} s`));
      });
      await pause(seconds * 1000, signal);
    }
    return exitCode;
  });
}

/** A project that does not answer for a while is shown as such, and asked again. */
async function showOnce(project: Project, terminal: Terminal): Promise<ExitCode> {
  try {
    const status = await readStatus(project, SHOWN_WATCHING);
    showStatus(terminal, status);
    return exitCodeOf(status);
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    terminal.line();
    terminal.problem(error);
    return error.exitCode;
  }
}

function exitCodeOf({ status }: Status): ExitCode {
  return status === "healthy" ? 0 : 1;
}

/** Error: invalid_argument. */
function readInterval(text: string | undefined, isWatching: boolean): number {
  if (text === undefined) return WATCH_INTERVAL;
  const seconds = Number(text);
  if (isWatching && seconds >= 1 && seconds <= 3600) return seconds;
  throw new Problem(
    "invalid_argument",
    isWatching ? "The seconds of --every are a number from 1 to 3600." : "--every needs --watch.",
    `For instance: ${PROGRAM} status --watch --every 10.`,
  );
}

export const status = defineCommand({
  name: "status",
  summary: "show how the sync is going, and what to do where it is not",
  argument: "[folder]",
  description:
    `Asks the database and calls the three Edge Functions of the project that the folder is linked to,
or that SUPABASE_URL and SUPABASE_SECRET_KEY name; in a clone of the local stack that runs.
Changes nothing.
Exit code: 0 all is well, 1 something is to be done, 2 it cannot tell.

--json prints {status, project, versions {program, functions, database}, problems [{code, message,
hint}], alerts, retrying, retrying_count, active_runs, active_run_count, freshness, schedule, users,
user_count, runs}. Lists have at most ${SHOWN} rows.`,
  options: {
    watch: {
      type: "boolean",
      help: "show it again and again, until Ctrl-C",
    },
    every: {
      type: "string",
      value: "<seconds>",
      help: `with --watch: how often, by default every ${WATCH_INTERVAL} seconds`,
    },
    ...REMOTE,
  },
  async run(context) {
    const { values, terminal, isJson, answer } = context;
    const isWatching = values.watch === true;
    const seconds = readInterval(values.every, isWatching);
    if (isWatching && isJson) {
      throw new Problem(
        "invalid_argument",
        "--json prints one object, and --watch shows many.",
        "Leave one of them out.",
      );
    }
    const project = await findTarget(context);
    if (isWatching) return await watch(project, terminal, seconds);
    const status = await readStatus(project);
    showStatus(terminal, status);
    answer(status);
    return exitCodeOf(status);
  },
});
