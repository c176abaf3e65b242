/**
 * POST /functions/v1/calendly-sync: syncs the signed-in person (the "Sync Calendly" button) or, with a
 * secret key, the user `{"user_id": n}`. `{"full": true}` forces a FULL sync and rereads all invitees.
 */
import { z } from "zod";
import { authenticate } from "../_shared/authenticate.ts";
import { inBackground } from "../_shared/background.ts";
import { Database } from "../_shared/database.ts";
import { ApiError } from "../_shared/errors.ts";
import { json, readBody, serve } from "../_shared/http.ts";
import { sync, type SyncRequest } from "../_shared/sync.ts";

const Body = z.strictObject({
  user_id: z.int().positive().optional(),
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

export default { fetch: serve("calendly-sync", { "POST /": syncNow }) };
