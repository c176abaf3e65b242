/**
 * `calendly-sync status`: how the sync of a project is going: health, alerts, freshness, the schedule and
 * the last runs. Of the project that SUPABASE_URL and SUPABASE_SECRET_KEY (or SUPABASE_SERVICE_ROLE_KEY)
 * name or, where they are not set, of the stack that runs here. Exits with 0 when it is healthy, with 1
 * when not, with 2 when it cannot tell.
 */
import { PostgrestClient } from "@supabase/postgrest-js";
import { defineCommand } from "../command.ts";
import { Problem } from "../problem.ts";
import { findProject, type Project } from "../target.ts";
import { Terminal } from "../terminal.ts";

/** As many users and runs are shown. */
const SHOWN = 20;

/** What calendly_health, calendly_schedule and the views answer; times and intervals as Postgres writes them. */
export interface Status {
  health: {
    status: "healthy" | "unhealthy";
    alerts: {
      code: string;
      severity: string;
      user_id: number | null;
      since: string | null;
      message: string;
      what_to_do: string;
    }[];
    freshness: {
      users: number;
      never_synced: number;
      p50: string | null;
      p95: string | null;
      max: string | null;
    };
  };
  schedule: {
    ticked_at: string | null;
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
    last_error: { code?: string } | null;
  }[];
  userCount: number;
  /** The latest first. */
  runs: {
    user_id: number;
    trigger: string;
    sync_type: string;
    status: string;
    created: number;
    updated: number;
    deleted: number;
    requests: number;
    started_at: string;
    finished_at: string | null;
    error: { code?: string } | null;
  }[];
}

/** Asks the project. Error: status_unknown. */
export async function readStatus({ url, secretKey }: Project): Promise<Status> {
  const client = new PostgrestClient(`${url}/rest/v1`, {
    headers: { apikey: secretKey, authorization: `Bearer ${secretKey}` },
  });
  const answers = await Promise.all([
    client.rpc("calendly_health"),
    client.rpc("calendly_schedule"),
    client.from("calendly_sync_health").select("*", { count: "exact" })
      .order("staleness", { ascending: false, nullsFirst: true }).order("user_id").limit(SHOWN),
    client.from("calendly_sync_runs").select("*").order("started_at", { ascending: false })
      .limit(SHOWN),
  ]);
  const failed = answers.find(({ error }) => error);
  if (failed?.status === 0) {
    throw new Problem(
      "status_unknown",
      `${url} does not answer: ${failed.error!.message}`,
      "A local stack that has ended is started again with `npx -y deno@2.9.6 task start`; of another project, " +
        "check SUPABASE_URL and the network.",
      { cannotTell: true },
    );
  }
  if (failed) {
    throw new Problem(
      "status_unknown",
      `${url} refuses to answer: ${failed.error!.message || "no reason given"}`,
      "Is it a secret key of this project, and are the migrations applied?",
      { cannotTell: true },
    );
  }
  const [health, schedule, users, runs] = answers;
  return {
    health: health.data,
    schedule: schedule.data,
    users: users.data!,
    userCount: users.count ?? users.data!.length,
    runs: runs.data!,
  };
}

/** Prints a status as of `now`. */
export function showStatus(terminal: Terminal, status: Status, now = new Date()): void {
  const { health, schedule, users, userCount, runs } = status;
  const ago = (time: string | null) => age(time, now);

  terminal.heading(
    health.status === "healthy" ? terminal.green("Healthy") : terminal.red("Unhealthy"),
  );
  if (health.alerts.length === 0) terminal.line("    no alerts");
  for (const { severity, code, user_id, since, message, what_to_do } of health.alerts) {
    const paint = severity === "critical" ? terminal.red : terminal.bold;
    const user = user_id === null ? "" : ` user ${user_id}`;
    const when = since && terminal.dim(` since ${ago(since)}`);
    terminal.line(`    ${paint(severity)} ${code}${user}${when ?? ""}`);
    terminal.line(`      ${message}`);
    terminal.line(`      ${terminal.dim("→")} ${what_to_do}`);
  }

  const { freshness } = health;
  terminal.heading("Freshness");
  terminal.columns(["connected users", "never synced", "half", "95 of 100", "stalest"], [[
    String(freshness.users),
    String(freshness.never_synced),
    span(freshness.p50),
    span(freshness.p95),
    span(freshness.max),
  ]]);

  terminal.heading(
    userCount > users.length ? `Users, the stalest ${users.length} of ${userCount}` : "Users",
  );
  terminal.columns(
    ["id", "email", "connection", "last sync", "next", "meetings", "deleted", "webhooks", "error"],
    users.map((user) => [
      String(user.user_id),
      user.email ?? "",
      user.connection_state,
      ago(user.last_calendly_sync),
      ago(user.next_sync_at),
      String(user.active_calendly_meetings),
      String(user.deleted_calendly_meetings),
      String(user.webhook_events_received),
      user.last_error?.code ?? "",
    ]),
  );

  terminal.heading("Schedule");
  const { due, running_workers, max_workers, ticked_at } = schedule;
  terminal.line(
    `    last tick ${
      ago(ticked_at)
    }, ${due} due, ${running_workers} of ${max_workers} workers busy`,
  );
  terminal.line();
  terminal.columns(
    ["job", "schedule", "last run", "status", ""],
    schedule.jobs.map((job) => [
      job.name,
      job.active ? job.schedule : "off",
      ago(job.started_at),
      job.status ?? "",
      job.status === "failed" ? job.message ?? "" : "",
    ]),
  );

  terminal.heading("Last runs");
  terminal.columns(
    ["started", "user", "type", "by", "status", "new", "updated", "deleted", "requests", "error"],
    runs.map((run) => [
      ago(run.started_at),
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
  terminal.line();
}

/** "3 min ago", "in 2 h", "never". */
function age(time: string | null, now: Date): string {
  if (!time) return "never";
  const seconds = (now.getTime() - Date.parse(time)) / 1000;
  return seconds >= 0 ? `${duration(seconds)} ago` : `in ${duration(-seconds)}`;
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

function duration(seconds: number): string {
  if (seconds < 60) return `${Math.round(seconds)} s`;
  if (seconds < 3600) return `${Math.round(seconds / 60)} min`;
  if (seconds < 2 * 86_400) return `${(seconds / 3600).toFixed(1)} h`;
  return `${Math.round(seconds / 86_400)} d`;
}

export const status = defineCommand({
  name: "status",
  summary: "says how the sync is going, and what to do where it is not",
  async run({ env, terminal, answer }) {
    const project = await findProject(env);
    const status = await readStatus(project);
    terminal.line();
    terminal.line(project.url);
    showStatus(terminal, status);
    answer(status);
    return status.health.status === "healthy" ? 0 : 1;
  },
});
