/**
 * POST /functions/v1/calendly-sync: syncs the signed-in person (the "Sync Calendly" button) or, with a
 * secret key, the user `{"user_id": n}`. `{"full": true}` forces a FULL sync and rereads all invitees.
 * POST …/nudge is what cron calls: it has no authority, it only says that there may be work.
 * GET …/health tells uptime monitors (secret key) whether all is well.
 */
import { z } from "zod";
import { authenticate } from "../_shared/calendly/authenticate.ts";
import { inBackground } from "../_shared/calendly/background.ts";
import { Database } from "../_shared/calendly/database.ts";
import { ApiError } from "../_shared/calendly/errors.ts";
import { json, readBody, serve } from "../_shared/calendly/http.ts";
import { logError } from "../_shared/calendly/log.ts";
import { sync, syncDue, type SyncRequest } from "../_shared/calendly/sync.ts";

const Body = z.strictObject({
  user_id: z.int32().positive().optional(),
  full: z.boolean().optional(),
});

async function syncNow(request: Request): Promise<Response> {
  const began = performance.now();
  const caller = await authenticate(request);
  const { user_id, full } = await readBody(request, Body);
  let asked: SyncRequest;
  if (caller.kind === "user") {
    asked = { auth_user_id: caller.authUserId, user_id, trigger: "manual", full };
  } else {
    if (!user_id) {
      throw new ApiError(
        "user_id_required",
        "Whose meetings?",
        'Send {"user_id": n} with a secret key.',
      );
    }
    asked = { user_id, trigger: "service", full };
  }
  const result = await inBackground(sync(new Database(), asked));
  return json({ ...result, duration_ms: Math.round(performance.now() - began) });
}

/** Answers at once: whoever nudges does not wait, and what is due is claimed from Postgres. */
function nudge(): Promise<Response> {
  inBackground(syncDue(new Database())).catch((error) =>
    logError("The scheduled sync stopped", { error: String(error) })
  );
  return Promise.resolve(json({ status: "accepted" }, 202));
}

async function health(request: Request): Promise<Response> {
  const caller = await authenticate(request);
  if (caller.kind !== "server") {
    throw new ApiError("not_authenticated", "This is for servers.", "Send a secret key as apikey.");
  }
  const health = await new Database().call("calendly_health", {}) as { status: string };
  return json(health, health.status === "healthy" ? 200 : 503);
}

export default {
  fetch: serve("calendly-sync", {
    "POST /": syncNow,
    "POST /nudge": nudge,
    "GET /health": health,
  }),
};
