/**
 * Runs a sync: Postgres says what to do next, this does it at Calendly and brings the result back, one
 * round trip a step, until Postgres says stop. No rule of the sync is here.
 */
import pMap from "p-map";
import { Calendly, RequestRefused, TemporaryFailure } from "./api.ts";
import {
  functionsOutdated,
  Next,
  parseAnswer,
  type RunResult,
  type Started,
  type Step,
  type Stop,
} from "./contract.ts";
import { ConnectionToken } from "./credential.ts";
import type { Database } from "./database.ts";
import { setting } from "./environment.ts";
import { ApiError, toApiError } from "./errors.ts";
import { log, logError, messageOf } from "./log.ts";
import { reviewSubscription, revokePending } from "./subscriptions.ts";

/** What a sync is asked to do: see calendly_begin_sync. */
export interface SyncRequest {
  trigger: "manual" | "service" | "connect";
  user_id?: number;
  auth_user_id?: string;
  full?: boolean;
}

/** Requests to Calendly at the same time: enough to be quick, and few enough for its rate limit. */
const CONCURRENCY = 5;

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

/** Syncs the users that are due, one after the other, until none is or this worker's time is used up. */
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
    if (claimed.status !== "started") break;
    try {
      await runSync(database, claimed, spent);
    } catch (error) {
      // It is on the run and in the log, and must not keep the next user from being synced. Only where
      // functions and database do not fit together would every other run fail in the same way.
      if (error instanceof ApiError && VERSIONS_DIFFER.includes(error.code)) throw error;
    }
  }
  await revokePending(database);
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
    let next = parseAnswer(Next, begun.next, "next");
    while (next.do !== "stop") next = await advance(database, calendly, run, next, spent);
    reportStop(next, fields);
    return next.result;
  } catch (error) {
    const { requests } = calendly.takeUsage();
    spent.requests += requests;
    await reportFailure(database, run, error, requests, fields);
    throw error;
  }
}

/** Does what comes next in a run, and returns what comes after it. */
async function advance(
  database: Database,
  calendly: Calendly,
  run: { run_id: string; lease: string },
  next: Exclude<Next, Stop>,
  spent: { requests: number },
): Promise<Next> {
  if (next.do === "finish") return await database.callUntilAnswered("calendly_finish_sync", run);
  if (next.wait_seconds > 0) {
    await new Promise((resolve) => setTimeout(resolve, next.wait_seconds * 1000));
  }
  const { result, failure } = await executeStep(calendly, next);
  spent.requests += result.requests;
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
    ...(known === error ? {} : { reason: String(error) }),
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

/** What a step brought. `failure` ends the run, once what was brought has been applied. */
interface StepOutcome {
  result: Record<string, unknown> & { requests: number };
  failure?: unknown;
}

async function executeStep(calendly: Calendly, step: Step): Promise<StepOutcome> {
  const fetched = await fetchStep(calendly, step);
  const { temporary, failure } = fetched;
  return {
    result: {
      ...fetched.result,
      // A run that fails is not paused first.
      ...(temporary && !failure ? { interruption: temporary } : {}),
      ...calendly.takeUsage(),
    },
    failure,
  };
}

/** What was read, and why reading stopped, if it did. */
interface Fetched {
  result: Record<string, unknown>;
  temporary?: ReturnType<typeof interruption>;
  failure?: unknown;
}

async function fetchStep(calendly: Calendly, step: Step): Promise<Fetched> {
  switch (step.do) {
    case "list_events":
      return await listEvents(calendly, step.query);
    case "fetch_events": {
      const { done, ...stopped } = await forEach(
        step.event_uris,
        (uri) => readEvent(calendly, uri),
      );
      return { result: { events: done }, ...stopped };
    }
    case "fetch_invitees": {
      const { done, ...stopped } = await forEach(
        step.event_uris,
        (uri) => readInvitees(calendly, uri),
      );
      return { result: { invitees: done }, ...stopped };
    }
    default:
      step satisfies never;
      throw functionsOutdated("next.do");
  }
}

async function listEvents(calendly: Calendly, query: Record<string, string>): Promise<Fetched> {
  try {
    const { collection, pagination } = await calendly.listEvents(query);
    return {
      result: { page: { collection, next_page_token: pagination.next_page_token ?? null } },
    };
  } catch (error) {
    if (!(error instanceof TemporaryFailure)) throw error;
    return { result: {}, temporary: interruption(error) };
  }
}

/** Reads each event until Calendly fails or refuses; what has been read by then is not lost. */
async function forEach<T>(
  eventUris: string[],
  read: (eventUri: string) => Promise<T>,
): Promise<{ done: T[]; temporary?: ReturnType<typeof interruption>; failure?: unknown }> {
  const done: T[] = [];
  const stopped: { temporary?: ReturnType<typeof interruption>; failure?: unknown } = {};
  await pMap(eventUris, async (eventUri) => {
    if (stopped.temporary || stopped.failure) return;
    try {
      done.push(await read(eventUri));
    } catch (error) {
      if (error instanceof TemporaryFailure) stopped.temporary ??= interruption(error, eventUri);
      else stopped.failure ??= error;
    }
  }, { concurrency: CONCURRENCY });
  return { done, ...stopped };
}

/** A temporary failure in the form of calendly.interrupt. */
function interruption({ code, message, retryAfter }: TemporaryFailure, eventUri?: string) {
  return { code, message, retry_after: retryAfter, event_uri: eventUri };
}

async function readEvent(calendly: Calendly, eventUri: string): Promise<Record<string, unknown>> {
  try {
    return { event_uri: eventUri, status: 200, event: await calendly.readEvent(eventUri) };
  } catch (error) {
    if (!(error instanceof RequestRefused)) throw error;
    return { event_uri: eventUri, status: error.status, problem: error.message };
  }
}

async function readInvitees(
  calendly: Calendly,
  eventUri: string,
): Promise<Record<string, unknown>> {
  try {
    const { body, observedAt } = await calendly.readInvitees(eventUri);
    return { event_uri: eventUri, invitees: body, observed_at: observedAt };
  } catch (error) {
    if (!(error instanceof RequestRefused)) throw error;
    return { event_uri: eventUri, problem: `the invitees cannot be read: ${error.message}` };
  }
}
