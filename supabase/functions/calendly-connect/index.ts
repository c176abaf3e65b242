/**
 * /functions/v1/calendly-connect, for a signed-in person:
 * POST {token, …} keeps a personal access token, POST …/oauth/start and …/oauth/finish do the same by
 * OAuth; the first sync starts in the background. GET tells the status, DELETE {erase?} ends the
 * connection, POST and DELETE …/webhooks switch its webhooks on and off.
 */
import { z } from "zod";
import { authenticateUser } from "../_shared/calendly/authenticate.ts";
import { inBackground } from "../_shared/calendly/background.ts";
import {
  Calendly,
  type CalendlyUser,
  Interruption,
  plainToken,
  Unavailable,
} from "../_shared/calendly/api.ts";
import { ConnectionToken, type Credential } from "../_shared/calendly/credential.ts";
import { Database } from "../_shared/calendly/database.ts";
import { supabaseUrl } from "../_shared/calendly/environment.ts";
import { ApiError } from "../_shared/calendly/errors.ts";
import { json, readBody, serve } from "../_shared/calendly/http.ts";
import { revokeToken } from "../_shared/calendly/oauth.ts";
import { bidFarewells, deleteAll, makeSubscription } from "../_shared/calendly/subscriptions.ts";
import { sync } from "../_shared/calendly/sync.ts";
import { encryptToken, type Token } from "../_shared/calendly/tokens.ts";
import { finishConsent, returnToApp, startConsent } from "./oauth.ts";

const Scope = z.enum(["user", "organization"]).default("user");
const Connect = z.strictObject({
  token: z.string().trim().min(1).max(8192).regex(/^[\x21-\x7e]+$/, "is no Calendly token"),
  scope: Scope,
  sync: z.boolean().default(true),
  replace: z.boolean().default(false),
});
const Finish = z.strictObject({
  code: z.string().min(1).max(2048),
  state: z.string().min(1).max(256),
  sync: z.boolean().default(true),
});
const Start = z.strictObject({ scope: Scope, replace: z.boolean().default(false) });
const Disconnect = z.strictObject({ erase: z.boolean().default(false) });

async function connect(request: Request): Promise<Response> {
  const authUserId = await authenticateUser(request);
  const { token, scope, sync, replace } = await readBody(request, Connect);
  return await keep(authUserId, { access_token: token }, {
    kind: "personal_access_token",
    scope,
    sync,
    replace,
  });
}

async function startOAuth(request: Request): Promise<Response> {
  const authUserId = await authenticateUser(request);
  const choice = await readBody(request, Start);
  return json({ url: await startConsent(new Database(), authUserId, choice) });
}

async function finishOAuth(request: Request): Promise<Response> {
  const authUserId = await authenticateUser(request);
  const { code, state, sync } = await readBody(request, Finish);
  const { grant, ...choice } = await finishConsent(new Database(), authUserId, code, state);
  try {
    return await keep(authUserId, grant, {
      ...choice,
      kind: "oauth",
      sync,
      expires_in: Math.floor(grant.expires_in),
    });
  } catch (error) {
    // Nobody keeps it, unless the answer that it is kept was lost.
    const unsure = error instanceof ApiError && error.code === "database_unavailable";
    if (!unsure) await revokeToken(grant.refresh_token).catch(() => {});
    throw error;
  }
}

/** Verifies a token with Calendly, keeps it encrypted and starts the first sync in the background. */
async function keep(
  authUserId: string,
  token: Token,
  { sync: syncNow, ...connection }: {
    kind: Credential["kind"];
    scope: "user" | "organization";
    sync: boolean;
    replace: boolean;
    expires_in?: number;
  },
): Promise<Response> {
  const database = new Database();
  const { connection_id } = await database.call("calendly_prepare_connection", {
    auth_user_id: authUserId,
  }) as { connection_id: string };
  const token_jwe = await encryptToken(token, connection_id);
  const calendlyUser = await verify(token);
  const status = await database.call("calendly_connect", {
    connection: {
      ...connection,
      auth_user_id: authUserId,
      connection_id,
      calendly_user_uri: calendlyUser.uri,
      calendly_organization_uri: calendlyUser.current_organization ?? null,
      calendly_user_name: calendlyUser.name ?? null,
      calendly_user_email: calendlyUser.email ?? null,
      token_jwe,
      project_url: supabaseUrl(),
    },
  });
  // Its own errors are on the run and in the log; the connection stands in any case.
  if (syncNow) {
    inBackground(sync(database, { auth_user_id: authUserId, trigger: "connect" })).catch(() => {});
  }
  return json(status, 201);
}

/** Errors: token_invalid, scope_missing, calendly_unavailable. */
async function verify(token: Token): Promise<CalendlyUser> {
  try {
    return await new Calendly(plainToken(token.access_token)).me();
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
  const database = new Database();
  const status = await database.call("calendly_disconnect", { auth_user_id: authUserId, erase });
  inBackground(bidFarewells(database)).catch(() => {});
  return json(status);
}

async function enableWebhooks(request: Request): Promise<Response> {
  const authUserId = await authenticateUser(request);
  const database = new Database();
  await makeSubscription(database, { auth_user_id: authUserId });
  return json(
    await database.call("calendly_connection_status", { auth_user_id: authUserId }),
    201,
  );
}

async function disableWebhooks(request: Request): Promise<Response> {
  const authUserId = await authenticateUser(request);
  const database = new Database();
  const { ended, credential, status } = await database.call("calendly_disable_webhooks", {
    auth_user_id: authUserId,
    project_url: supabaseUrl(),
  }) as { ended: string[]; credential: Credential | null; status: unknown };
  if (credential) await deleteAll(new Calendly(new ConnectionToken(database, credential)), ended);
  return json(status);
}

export default {
  fetch: serve("calendly-connect", {
    "POST /": connect,
    "GET /": status,
    "DELETE /": disconnect,
    "POST /webhooks": enableWebhooks,
    "DELETE /webhooks": disableWebhooks,
    "POST /oauth/start": startOAuth,
    "POST /oauth/finish": finishOAuth,
    "GET /oauth/callback": returnToApp,
  }),
};
