/**
 * POST /functions/v1/calendly-sync: syncs the signed-in person (the "Sync Calendly" button) or, with a
 * secret key, the user `{"user_id": n}`. `{"full": true}` forces a FULL sync and fetches all invitees anew.
 * POST …/nudge is what cron calls: it carries no authority, it only says that there may be work.
 * GET …/health and …/metrics tell monitors whether all is well: see health.ts.
 */
import { z } from "zod";
import { authenticate, requestedUser } from "../_shared/calendly/authenticate.ts";
import { inBackground, keepAlive } from "../_shared/calendly/background.ts";
import { Database } from "../_shared/calendly/database.ts";
import { json, readBody, type Route, serve } from "../_shared/calendly/http.ts";
import { sync, syncDue } from "../_shared/calendly/sync.ts";
import { health, metrics } from "./health.ts";

const Body = z.strictObject({
  user_id: z.int32().positive().optional()
    .describe(
      "Whom a server means: calendly_users.id. A person leaves it out.",
    ),
  full: z.boolean().optional()
    .describe("Forces a FULL sync, and fetches all invitees anew."),
});

async function syncNow(request: Request): Promise<Response> {
  const began = performance.now();
  const caller = await authenticate(request);
  const { user_id, full } = await readBody(request, Body);
  const result = await keepAlive(sync(new Database(), {
    ...requestedUser(caller, { user_id }),
    trigger: caller.kind === "user" ? "manual" : "service",
    full,
  }));
  return json({ ...result, duration_ms: Math.round(performance.now() - began) });
}

/**
 * How many loops of scheduled work this isolate runs at once. Anybody may nudge, so what a nudge starts
 * must be bounded here as well. A tick nudges once for each sync that is due: a warm isolate takes two of
 * these nudges at most. The others are answered by further isolates, or repeated by the next tick.
 */
const MAX_LOOPS = 2;
let loops = 0;

/** Answers at once: cron does not wait, and what is due is claimed from Postgres. */
function nudge(): Promise<Response> {
  if (loops < MAX_LOOPS) {
    const work = syncDue(new Database());
    loops++;
    inBackground(work.finally(() => loops--), "The scheduled sync stopped");
  }
  return Promise.resolve(json({ status: "accepted" }, 202));
}

export const routes: Record<string, Route> = {
  "POST /": {
    handle: syncNow,
    does:
      "Syncs one user now: the signed-in person, or whom a server names. It goes on with a paused " +
      "run of theirs. The work goes on if the caller goes away.",
    caller: "a signed-in person or a server",
    body: Body,
    answers: { 200: "calendly.run_result, and duration_ms" },
    errors: [
      "user_id_required",
      "another_user",
      "unknown_user",
      "account_closed",
      "not_connected",
      "reconnect_required",
      "sync_in_progress",
      "lease_lost",
      "project_moved",
      "token_refused",
      "scope_missing",
      "calendly_refused",
      "token_unreadable",
    ],
  },
  "POST /nudge": {
    handle: nudge,
    does:
      "Says that there may be work: what pg_cron calls. It carries no authority and has no body. " +
      "What is due is then synced in the background.",
    caller: "anybody",
    answers: { 202: '{"status": "accepted"}, at once' },
  },
  "GET /health": {
    handle: health,
    does: "For uptime monitors. With a secret key also alerts, freshness, configuration, " +
      "configuration_errors and versions.",
    caller: "anybody",
    answers: {
      200: '{"status": "healthy"}',
      503:
        '{"status": "unhealthy"}: an alert is critical, a variable is wrong, or the database does ' +
        "not answer",
    },
  },
  "GET /metrics": {
    handle: metrics,
    does: "For Prometheus and its kind.",
    caller: "a server",
    answers: { 200: "OpenMetrics text" },
  },
};

export default { fetch: serve("calendly-sync", routes) };
