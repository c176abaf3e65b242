/**
 * The local stack's schedule: runs the jobs of the stand-in for pg_cron and sends what the stand-in for
 * pg_net has queued (both are made by platform.sql). In a database with the real ones it does nothing.
 */
import { Cron } from "croner";
import { type Database } from "./database.ts";

interface Job {
  jobid: number;
  schedule: string;
  command: string;
  username: string;
}

interface QueuedRequest {
  method: string;
  url: string;
  headers: Record<string, string>;
  body: string | null;
  timeout_milliseconds: number;
}

export interface Ticker {
  /** Runs the jobs due between `since` (exclusive) and `until`; queued requests are sent, not waited for. */
  tick(since: Date, until: Date): Promise<void>;
  /** Waits for the answers to the requests that were sent. */
  sent(): Promise<void>;
  stop(): Promise<void>;
}

/** Ticks once a second, unless `automatic` is false: then only calls of `tick` run jobs. */
export async function startTicker(
  database: Database,
  { automatic = true, log = (_line: string) => {} } = {},
): Promise<Ticker> {
  const extensions = await database.query<{ extname: string }>(
    "select extname from pg_catalog.pg_extension where extname in ('pg_cron', 'pg_net')",
  );
  const present = extensions.map((row) => row.extname);
  const sending = new Set<Promise<void>>();
  const stopped = new AbortController();

  async function tick(since: Date, until: Date): Promise<void> {
    if (!present.includes("pg_cron")) {
      for (const job of await dueJobs(database, since, until)) await runJob(database, job);
    }
    if (!present.includes("pg_net")) {
      for (const request of await takeRequests(database)) {
        const sent = send(request, stopped.signal)
          .catch((error) => log(`${request.method} ${request.url}: ${error.message}`))
          .finally(() => sending.delete(sent));
        sending.add(sent);
      }
    }
  }

  let last = new Date();
  let ticking: Promise<void> | undefined;
  const timer = automatic
    ? setInterval(() => {
      if (ticking) return;
      const now = new Date();
      ticking = tick(last, now).catch((error) => log(error.message)).finally(() => {
        last = now;
        ticking = undefined;
      });
    }, 1000)
    : undefined;

  return {
    tick,
    sent: async () => void await Promise.all(sending),
    async stop() {
      clearInterval(timer);
      await ticking;
      stopped.abort();
      await Promise.all(sending);
    },
  };
}

/** Whether a schedule of pg_cron ("*\/5 * * * *" in UTC, or "30 seconds") falls into the span. */
export function isDue(schedule: string, since: Date, until: Date): boolean {
  const seconds = schedule.match(/^(\d+) seconds?$/)?.[1];
  if (seconds) {
    const length = Number(seconds) * 1000;
    return Math.floor(since.getTime() / length) < Math.floor(until.getTime() / length);
  }
  const next = new Cron(schedule, { timezone: "UTC", paused: true }).nextRun(since);
  return next !== null && next <= until;
}

async function dueJobs(database: Database, since: Date, until: Date): Promise<Job[]> {
  const jobs = await database.query<Job>(
    "select jobid, schedule, command, username from cron.job where active order by jobid",
  );
  return jobs.filter((job) => isDue(job.schedule, since, until));
}

async function runJob(database: Database, job: Job): Promise<void> {
  const [{ runid }] = await database.query<{ runid: number }>(
    `insert into cron.job_run_details (jobid, database, username, command, status, start_time)
     values ($1, current_database(), $2, $3, 'running', clock_timestamp()) returning runid`,
    [job.jobid, job.username, job.command],
  );
  let outcome: [status: string, message: string | null];
  try {
    await database.command(job.username, job.command);
    outcome = ["succeeded", null];
  } catch (error) {
    outcome = ["failed", error instanceof Error ? error.message : String(error)];
  }
  await database.query(
    `update cron.job_run_details set status = $2, return_message = $3, end_time = clock_timestamp()
     where runid = $1`,
    [runid, ...outcome],
  );
}

function takeRequests(database: Database): Promise<QueuedRequest[]> {
  return database.query<QueuedRequest>(
    `delete from net.http_request_queue
     returning method, url, headers, convert_from(body, 'UTF8') as body, timeout_milliseconds`,
  );
}

/** As pg_net does: the answer is not used. */
async function send(request: QueuedRequest, stopped: AbortSignal): Promise<void> {
  const { method, url, headers, body, timeout_milliseconds } = request;
  const signal = AbortSignal.any([stopped, AbortSignal.timeout(timeout_milliseconds)]);
  const response = await fetch(url, { method, headers, body, signal });
  await response.body?.cancel();
}
