/**
 * Runs a sync: Postgres says what to do next, this does it at Calendly and brings the result back, one
 * round trip a step, until Postgres says stop. No rule of the sync is here.
 */
import { Calendly } from "./api.ts";
import { Next, parseAnswer, type RunResult, type Started, type Stop } from "./contract.ts";
import { ConnectionToken } from "./credential.ts";
import type { Database } from "./database.ts";
import { setting } from "./environment.ts";
import { ApiError, toApiError } from "./errors.ts";
import { log, logError, messageOf } from "./log.ts";
import { StepReader } from "./step_reader.ts";
import { reviewSubscription, revokePending } from "./subscriptions.ts";

/** What a sync is asked to do: see calendly_begin_sync. */
export interface SyncRequest {
  trigger: "manual" | "service" | "connect";
  user_id?: number;
  auth_user_id?: string;
  full?: boolean;
}

/**
 * Syncs one user, or takes up a run that was paused or whose worker crashed.
 * Errors: sync_in_progress, unknown_user, another_user, not_connected, account_closed,
 * reconnect_required, token_refused, scope_missing, calendly_refused, token_unreadable, project_moved,
 * lease_lost, not_configured, database_unavailable, database_outdated, functions_outdated,
 * migrations_missing.
 */
export async function sync(database: Database, request: SyncRequest): Promise<RunResult> {
  const begun = await database.call("calendly_begin_sync", {
    request: { ...request, project_url: setting("SUPABASE_URL") },
  });
  if (begun.status === "in_progress") {
    throw new ApiError(
      "sync_in_progress",
      "A sync of this user is running.",
      "It will be done in a moment.",
      { run_id: begun.run_id },
    );
  }
  return await runSync(database, begun, { requests: 0 });
}

/**
 * Syncs the users that are due, one after the other, until none is or this worker's time is used up, and
 * ends then at Calendly what has ended here.
 */
export async function syncDue(database: Database): Promise<void> {
  const began = performance.now();
  const spent = { requests: 0 };
  while (true) {
    const claimed = await database.call("calendly_claim_sync", {
      request: {
        project_url: setting("SUPABASE_URL"),
        spent_seconds: (performance.now() - began) / 1000,
        spent_requests: spent.requests,
      },
    });
    if (claimed.status !== "started") {
      if (claimed.status === "idle" && claimed.revocations_due) await revokePending(database);
      return;
    }
    try {
      await runSync(database, claimed, spent);
    } catch (error) {
      // It is on the run and in the log, and must not keep the next user from being synced. Only where
      // functions and database do not fit together would every other run fail in the same way.
      if (error instanceof ApiError && VERSIONS_DIFFER.includes(error.code)) throw error;
    }
  }
}

const VERSIONS_DIFFER = ["functions_outdated", "database_outdated", "migrations_missing"];

/** Does the steps of a run. `spent` counts the requests of this worker, over all its runs. */
async function runSync(
  database: Database,
  begun: Started,
  spent: { requests: number },
): Promise<RunResult> {
  const run = { run_id: begun.run_id, lease: begun.lease };
  const fields = { run_id: begun.run_id, user_id: begun.user_id };
  log(
    begun.sync_type === "FULL"
      ? `FULL SYNC: Fetching all Calendly events (${begun.range_in_words})`
      : `INCREMENTAL SYNC: Fetching recent Calendly events (${begun.range_in_words})`,
    fields,
  );
  const calendly = new Calendly(new ConnectionToken(database, begun.credential));
  try {
    // Before anything is listed: a new subscription then delivers what happens from here on.
    if (begun.review_webhooks) await reviewSubscription(database, calendly, begun.credential);
    const stop = await runSteps(database, calendly, run, parseAnswer(Next, begun.next, "next"));
    reportStop(stop, fields);
    return stop.result;
  } catch (error) {
    await reportFailure(database, run, error, calendly.takeUsage().requests, fields);
    throw error;
  } finally {
    spent.requests += calendly.requests;
  }
}

/**
 * Does what comes next in a run, until Postgres says stop. Requests made ahead are reported with the next
 * step. Where none follows they are counted in this worker's budget, but not in the run's requests, which
 * are short by one page or batch at most: a scheduled run pauses at the reserve of the rate limit, the
 * worker's time ends while a step is applied, or deliveries have settled all that was left to fetch.
 * The connection's rate limit is then as of that step, until the next sync's first answer.
 */
async function runSteps(
  database: Database,
  calendly: Calendly,
  run: { run_id: string; lease: string },
  first: Next,
): Promise<Stop> {
  const reader = new StepReader(calendly);
  let next = first;
  try {
    while (next.do !== "stop") next = await advance(database, reader, run, next);
    return next;
  } finally {
    await reader.end();
  }
}

/** Does what comes next in a run, and returns what comes after it. */
async function advance(
  database: Database,
  reader: StepReader,
  run: { run_id: string; lease: string },
  next: Exclude<Next, Stop>,
): Promise<Next> {
  if (next.do === "finish") return await database.callUntilAnswered("calendly_finish_sync", run);
  if (next.wait_seconds > 0) {
    await new Promise((resolve) => setTimeout(resolve, next.wait_seconds * 1000));
  }
  const { result, failure } = await reader.read(next);
  const after = await database.callUntilAnswered("calendly_apply_step", {
    ...run,
    step: next.step,
    result,
  });
  // A run that was paused instead will meet the failure again.
  if (failure && after.do !== "stop") throw failure;
  return after;
}

/** Logs an error and records it with the run. Postgres decides whether the run fails, pauses or goes on. */
async function reportFailure(
  database: Database,
  run: { run_id: string; lease: string },
  error: unknown,
  requests: number,
  fields: Record<string, unknown>,
): Promise<void> {
  const known = toApiError(error);
  logError("Calendly sync failed", {
    ...fields,
    code: known.code,
    reason: known === error ? known.message : String(error),
  });
  try {
    await database.call("calendly_fail_sync", { ...run, error: known.toJSON(), requests });
  } catch (unrecorded) {
    // The run has ended, or another worker has it: there is nothing to record.
    if (unrecorded instanceof ApiError && unrecorded.code === "lease_lost") return;
    logError("The failure of a Calendly sync could not be recorded", {
      ...fields,
      reason: messageOf(unrecorded),
    });
  }
}

function reportStop(stop: Stop, fields: Record<string, unknown>): void {
  const { result } = stop;
  if (result.status !== "complete") {
    log(`${result.sync_type} Calendly sync paused`, {
      ...fields,
      resume_at: result.resume_at,
      reason: result.reason,
    });
    return;
  }
  if (stop.initial_sync_complete) {
    log("Initial sync complete - future syncs will be incremental", fields);
  }
  log(
    `${result.sync_type} Calendly sync complete: ${result.created} new, ${result.updated} updated, ${result.deleted} deleted`,
    { ...fields, requests: result.requests },
  );
}
