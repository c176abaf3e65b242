/**
 * /functions/v1/calendly-connect, for a signed-in person:
 * POST {token, scope?, sync?} verifies a Calendly token with Calendly, keeps it encrypted and starts the
 * first sync in the background; GET tells the status; DELETE {erase?} ends the connection.
 */
import { z } from "zod";
import { authenticateUser } from "../_shared/authenticate.ts";
import { inBackground } from "../_shared/background.ts";
import { Calendly, type CalendlyUser, Interruption, Unavailable } from "../_shared/calendly.ts";
import { Database } from "../_shared/database.ts";
import { supabaseUrl } from "../_shared/environment.ts";
import { ApiError } from "../_shared/errors.ts";
import { json, readBody, serve } from "../_shared/http.ts";
import { sync } from "../_shared/sync.ts";
import { encryptToken } from "../_shared/tokens.ts";

const Connect = z.strictObject({
  token: z.string().trim().min(1).max(8192).regex(/^[\x21-\x7e]+$/, "is no Calendly token"),
  scope: z.literal("user").default("user"),
  sync: z.boolean().default(true),
});
const Disconnect = z.strictObject({ erase: z.boolean().default(false) });

async function connect(request: Request): Promise<Response> {
  const authUserId = await authenticateUser(request);
  const body = await readBody(request, Connect);
  const database = new Database();
  const prepared = await database.call("calendly_prepare_connection", {
    auth_user_id: authUserId,
  }) as { connection_id: string };
  const token_jwe = await encryptToken(body.token, prepared.connection_id);
  const calendlyUser = await verify(body.token);
  const status = await database.call("calendly_connect", {
    connection: {
      auth_user_id: authUserId,
      connection_id: prepared.connection_id,
      calendly_user_uri: calendlyUser.uri,
      calendly_organization_uri: calendlyUser.current_organization ?? null,
      calendly_user_name: calendlyUser.name ?? null,
      calendly_user_email: calendlyUser.email ?? null,
      scope: body.scope,
      kind: "personal_access_token",
      token_jwe,
      project_url: supabaseUrl(),
    },
  });
  // Its own errors are on the run and in the log; the connection stands in any case.
  if (body.sync) {
    void inBackground(sync(database, { auth_user_id: authUserId, trigger: "connect" })).catch(
      () => {},
    );
  }
  return json(status, 201);
}

/** Errors: token_invalid, scope_missing, calendly_unavailable. */
async function verify(token: string): Promise<CalendlyUser> {
  try {
    return await new Calendly(token).me();
  } catch (error) {
    if (error instanceof ApiError && error.code === "token_refused") {
      throw new ApiError(
        "token_invalid",
        error.message,
        "At Calendly: Integrations & apps > API and webhooks > Personal access tokens.",
      );
    }
    if (error instanceof Unavailable) {
      throw new ApiError(
        "token_invalid",
        `Calendly does not say whose token this is: ${error.message}`,
      );
    }
    if (error instanceof Interruption) {
      throw new ApiError("calendly_unavailable", error.message, "Try again in a moment.");
    }
    throw error;
  }
}

async function status(request: Request): Promise<Response> {
  const authUserId = await authenticateUser(request);
  return json(
    await new Database().call("calendly_connection_status", { auth_user_id: authUserId }),
  );
}

async function disconnect(request: Request): Promise<Response> {
  const authUserId = await authenticateUser(request);
  const { erase } = await readBody(request, Disconnect);
  return json(
    await new Database().call("calendly_disconnect", { auth_user_id: authUserId, erase }),
  );
}

export default {
  fetch: serve("calendly-connect", { "POST /": connect, "GET /": status, "DELETE /": disconnect }),
};
