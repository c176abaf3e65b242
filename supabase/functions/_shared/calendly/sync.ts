/**
 * Carries a sync out: Postgres says what to do next, this does it at Calendly and brings the result
 * back, one round trip a step, until Postgres says stop. No rule of the sync is here.
 */
import pMap from "p-map";
import { Calendly, Interruption, Unavailable } from "./api.ts";
import { ConnectionToken, type Credential } from "./credential.ts";
import type { Database } from "./database.ts";
import { supabaseUrl } from "./environment.ts";
import { ApiError, told } from "./errors.ts";
import { log, logError } from "./log.ts";
import { bidFarewells, reviewSubscription } from "./subscriptions.ts";

/** What a sync is asked to do: see calendly_begin_sync. */
export type SyncRequest =
  & { trigger: "manual" | "service" | "connect"; full?: boolean }
  & ({ auth_user_id: string; user_id?: number } | { user_id: number });

/** What POST /calendly-sync answers, but for duration_ms: see calendly.run_result. */
export interface SyncResult extends Record<string, unknown> {
  run_id: string;
  sync_type: "FULL" | "INCREMENTAL";
  status: "complete" | "paused";
  created: number;
  updated: number;
  deleted: number;
}

type Step =
  & { step: number; wait_seconds: number }
  & (
    | { do: "list_events"; query: Record<string, string> }
    | { do: "read_events" | "read_invitees"; event_uris: string[] }
    | { do: "finish" }
  );
type Next = Step | { do: "stop"; result: SyncResult; initial_sync_complete?: boolean };
type Begun = { status: "in_progress"; run_id: string } | {
  status: "started";
  run_id: string;
  lease: string;
  user_id: number;
  sync_type: "FULL" | "INCREMENTAL";
  range_in_words: string;
  credential: Credential;
  review_webhooks: boolean;
  next: Next;
};

/** Requests under way at once: enough to be quick, too few to be rude. */
const CONCURRENCY = 5;

/**
 * Syncs one user, or takes up a run that was paused or died.
 * Errors: sync_in_progress, unknown_user, not_connected, reconnect_required, token_refused,
 * scope_missing, calendly_refused, token_unreadable, project_moved, lease_lost, database_unavailable,
 * migrations_missing.
 */
export async function sync(database: Database, request: SyncRequest): Promise<SyncResult> {
  const begun = await database.call("calendly_begin_sync", {
    request: { ...request, project_url: supabaseUrl() },
  }) as Begun;
  if (begun.status === "in_progress") {
    throw new ApiError(
      "sync_in_progress",
      "A sync of this user is running.",
      "It will be done in a moment.",
      { run_id: begun.run_id },
    );
  }
  return await carryOut(database, begun);
}

/** Syncs whoever is due, one after the other, until nobody is or this instance is spent. */
export async function syncDue(database: Database): Promise<void> {
  const began = performance.now();
  const spent = { requests: 0 };
  while (true) {
    const claimed = await database.call("calendly_claim_sync", {
      request: {
        project_url: supabaseUrl(),
        spent_seconds: (performance.now() - began) / 1000,
        spent_requests: spent.requests,
      },
    }) as Begun | { status: "idle" };
    if (claimed.status !== "started") break;
    // What goes wrong is on the run and in the log; whoever is due next must not suffer for it.
    await carryOut(database, claimed, spent).catch(() => {});
  }
  await bidFarewells(database);
}

async function carryOut(
  database: Database,
  begun: Begun & { status: "started" },
  spent = { requests: 0 },
): Promise<SyncResult> {
  const run = { run_id: begun.run_id, lease: begun.lease };
  const fields = { run_id: begun.run_id, user_id: begun.user_id };
  log(
    begun.sync_type === "FULL"
      ? `FULL SYNC: Fetching all Calendly events (${begun.range_in_words})`
      : `INCREMENTAL SYNC: Fetching recent Calendly events (${begun.range_in_words})`,
    fields,
  );

  const calendly = new Calendly(new ConnectionToken(database, begun.credential));
  let next = begun.next;
  try {
    // before anything is listed: what happens from here on, a new subscription delivers
    if (begun.review_webhooks) await reviewSubscription(database, calendly, begun.credential);
    while (next.do !== "stop") {
      if (next.do === "finish") {
        next = await database.callUntilAnswered("calendly_finish_sync", run) as Next;
        continue;
      }
      await wait(next.wait_seconds);
      const { result, failure } = await perform(calendly, next);
      spent.requests += result.requests;
      next = await database.callUntilAnswered("calendly_apply_step", {
        ...run,
        step: next.step,
        result,
      }) as Next;
      // a run that was paused instead will meet it again
      if (failure && next.do !== "stop") throw failure;
    }
  } catch (error) {
    const known = told(error);
    const { requests } = calendly.takeCosts();
    spent.requests += requests;
    logError("Calendly sync failed", {
      ...fields,
      code: known.code,
      ...(known === error ? {} : { reason: String(error) }),
    });
    if (FINAL.includes(known.code)) {
      await database.call("calendly_fail_sync", { ...run, error: known.toJSON(), requests });
    }
    throw error;
  }
  report(next, fields);
  return next.result;
}

/** What only a person can mend: the run fails. Anything else leaves it to be taken up where it stands. */
const FINAL = [
  "internal",
  "token_refused",
  "scope_missing",
  "calendly_refused",
  "token_unreadable",
  "not_configured",
];

async function wait(seconds: number): Promise<void> {
  if (seconds > 0) await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
}

function report(stopped: Next & { do: "stop" }, fields: Record<string, unknown>): void {
  const { result } = stopped;
  if (result.status !== "complete") {
    log(`${result.sync_type} Calendly sync paused`, {
      ...fields,
      resume_at: result.resume_at,
      reason: result.reason,
    });
    return;
  }
  if (stopped.initial_sync_complete) {
    log("Initial sync complete - future syncs will be incremental", fields);
  }
  log(
    `${result.sync_type} Calendly sync complete: ${result.created} new, ${result.updated} updated, ${result.deleted} deleted`,
    { ...fields, requests: result.requests },
  );
}

/** What a step brought; `failure`: why it could not go on, once what it brought has been applied. */
interface Performed {
  result: Record<string, unknown> & { requests: number };
  failure?: unknown;
}

async function perform(calendly: Calendly, step: Step): Promise<Performed> {
  let interruption: Interruption & { eventUri?: string } | undefined;
  let failure: unknown;

  /** Reads each event in turn until Calendly interrupts or refuses; what has been read by then is not lost. */
  async function each<T>(
    eventUris: string[],
    read: (eventUri: string) => Promise<T>,
  ): Promise<T[]> {
    const done: T[] = [];
    await pMap(eventUris, async (eventUri) => {
      if (interruption || failure) return;
      try {
        done.push(await read(eventUri));
      } catch (error) {
        if (error instanceof Interruption) interruption ??= Object.assign(error, { eventUri });
        else failure ??= error;
      }
    }, { concurrency: CONCURRENCY });
    return done;
  }

  const result: Record<string, unknown> = {};
  if (step.do === "list_events") {
    try {
      const { collection, pagination } = await calendly.listEvents(step.query);
      result.page = { collection, next_page_token: pagination.next_page_token ?? null };
    } catch (error) {
      if (!(error instanceof Interruption)) throw error;
      interruption = error;
    }
  } else if (step.do === "read_events") {
    result.events = await each(step.event_uris, (eventUri) => readEvent(calendly, eventUri));
  } else if (step.do === "read_invitees") {
    result.invitees = await each(step.event_uris, (eventUri) => readInvitees(calendly, eventUri));
  }
  // a run that fails is not paused first
  if (interruption && !failure) {
    const { code, message, retryAfter, eventUri } = interruption;
    result.interruption = { code, message, retry_after: retryAfter, event_uri: eventUri };
  }
  return { result: { ...result, ...calendly.takeCosts() }, failure };
}

async function readEvent(calendly: Calendly, eventUri: string): Promise<Record<string, unknown>> {
  try {
    return { event_uri: eventUri, status: 200, event: await calendly.readEvent(eventUri) };
  } catch (error) {
    if (!(error instanceof Unavailable)) throw error;
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
    if (!(error instanceof Unavailable)) throw error;
    return { event_uri: eventUri, problem: `the invitees cannot be read: ${error.message}` };
  }
}
