/**
 * /functions/v1/calendly-connect, for a signed-in person or a server:
 * POST {token, …} connects by a personal access token, POST …/oauth/start and …/oauth/finish by OAuth
 * (signed-in people only); the first sync starts in the background. GET tells the status, DELETE {erase?}
 * ends the connection, POST and DELETE …/webhooks switch its webhooks on and off. A server names whom it
 * means by user_id or auth_user_id.
 */
import { z } from "zod";
import {
  authenticate,
  authenticateUser,
  type NamedUser,
  ownAccount,
  requestedUser,
} from "../_shared/calendly/authenticate.ts";
import { inBackground } from "../_shared/calendly/background.ts";
import {
  Calendly,
  type CalendlyUser,
  plainToken,
  RequestRefused,
  TemporaryFailure,
} from "../_shared/calendly/api.ts";
import { ConnectionChoice, type Credential } from "../_shared/calendly/contract.ts";
import { ConnectionToken } from "../_shared/calendly/credential.ts";
import { Database } from "../_shared/calendly/database.ts";
import { setting } from "../_shared/calendly/environment.ts";
import { ApiError } from "../_shared/calendly/errors.ts";
import { json, readBody, readQuery, serve } from "../_shared/calendly/http.ts";
import { currentKeys } from "../_shared/calendly/keys.ts";
import { createSubscription, deleteAll, revokePending } from "../_shared/calendly/subscriptions.ts";
import { sync } from "../_shared/calendly/sync.ts";
import { encryptToken, type Token } from "../_shared/calendly/tokens.ts";
import { finishConsent, giveBack, oauthCallback, startConsent } from "./consent.ts";

const Choice = z.strictObject({
  scope: ConnectionChoice.shape.scope.default("user"),
  members: ConnectionChoice.shape.members.default("accounts"),
  replace: z.boolean().default(false),
});
const Start = withMembersOfOrganization(Choice);
const Connect = withMembersOfOrganization(Choice.extend({
  token: z.string().trim().min(1).max(8192).regex(/^[\x21-\x7e]+$/, "is not a Calendly token"),
  sync: z.boolean().default(true),
  auth_user_id: z.guid().optional(),
}));
const Finish = z.strictObject({
  code: z.string().min(1).max(2048),
  state: z.string().min(1).max(256),
  sync: z.boolean().default(true),
});
const Named = z.strictObject({
  user_id: z.int32().positive().optional(),
  auth_user_id: z.guid().optional(),
});
const NamedInQuery = z.object({
  user_id: z.coerce.number().pipe(z.int32().positive()).optional(),
  auth_user_id: z.guid().optional(),
});
const Disconnect = Named.extend({ erase: z.boolean().default(false) });

function withMembersOfOrganization<
  Schema extends z.ZodType<Pick<ConnectionChoice, "scope" | "members">>,
>(schema: Schema) {
  return schema.refine(({ scope, members }) => scope === "organization" || members === "accounts", {
    path: ["members"],
    error: '"everyone" needs the scope "organization"',
  });
}

async function connect(request: Request): Promise<Response> {
  const caller = await authenticate(request);
  const { token, sync, auth_user_id, ...choice } = await readBody(request, Connect);
  return await saveConnection({ access_token: token }, {
    ...choice,
    kind: "personal_access_token",
    auth_user_id: ownAccount(caller, auth_user_id),
  }, sync);
}

async function startOAuth(request: Request): Promise<Response> {
  const authUserId = await authenticateUser(request);
  const choice = await readBody(request, Start);
  return json({ url: await startConsent(new Database(), authUserId, choice) });
}

async function finishOAuth(request: Request): Promise<Response> {
  const authUserId = await authenticateUser(request);
  const { code, state, sync } = await readBody(request, Finish);
  const { grant, choice } = await finishConsent(new Database(), authUserId, code, state);
  try {
    return await saveConnection(grant, {
      ...choice,
      kind: "oauth",
      auth_user_id: authUserId,
      expires_in: Math.floor(grant.expires_in),
    }, sync);
  } catch (error) {
    // Nobody has the grant now, unless it was stored and only the answer was lost or not understood.
    if (!(error instanceof ApiError && ANSWER_UNKNOWN.includes(error.code))) await giveBack(grant);
    throw error;
  }
}

/** Errors after which Postgres may have done what it was asked for. */
const ANSWER_UNKNOWN = ["database_unavailable", "database_outdated", "functions_outdated"];

/**
 * Verifies a token with Calendly, stores it encrypted and starts the first sync in the background.
 * Errors: those of verify and of calendly_connect; not_configured before Calendly is asked.
 */
async function saveConnection(
  token: Token,
  connection: ConnectionChoice & {
    kind: Credential["kind"];
    auth_user_id: string | undefined;
    expires_in?: number;
  },
  syncNow: boolean,
): Promise<Response> {
  const database = new Database();
  await currentKeys();
  const calendlyUser = await verify(token);
  const { connection_id } = await database.call("calendly_prepare_connection", {
    calendly_user_uri: calendlyUser.uri,
  });
  const status = await database.call("calendly_connect", {
    connection: {
      ...connection,
      connection_id,
      calendly_user_uri: calendlyUser.uri,
      calendly_organization_uri: calendlyUser.current_organization ?? null,
      calendly_user_name: calendlyUser.name ?? null,
      calendly_user_email: calendlyUser.email ?? null,
      token_jwe: await encryptToken(token, connection_id),
      project_url: setting("SUPABASE_URL"),
    },
  });
  if (syncNow && status.user_id !== null) {
    inBackground(
      sync(database, { user_id: status.user_id, trigger: "connect" }),
      "The first sync of a new connection failed",
    );
  }
  return json(status, 201);
}

/** Whose token it is. Errors: token_invalid, scope_missing, calendly_unavailable. */
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
    if (error instanceof RequestRefused) {
      throw new ApiError(
        "token_invalid",
        `Calendly does not say whose token this is: ${error.message}`,
      );
    }
    if (error instanceof TemporaryFailure) {
      throw new ApiError("calendly_unavailable", error.message, "Try again in a moment.");
    }
    throw error;
  }
}

/** Whom a request is about, as its body or else its query says, and the body. */
async function readNamed<Body extends NamedUser>(
  request: Request,
  schema: z.ZodType<Body>,
): Promise<{ named: NamedUser; body: Body }> {
  const caller = await authenticate(request);
  const body = await readBody(request, schema);
  return { named: requestedUser(caller, { ...readQuery(request, NamedInQuery), ...body }), body };
}

async function status(request: Request): Promise<Response> {
  const { named } = await readNamed(request, Named);
  return json(await new Database().call("calendly_connection_status", { request: named }));
}

async function disconnect(request: Request): Promise<Response> {
  const { named, body: { erase } } = await readNamed(request, Disconnect);
  const database = new Database();
  const status = await database.call("calendly_disconnect", { request: { ...named, erase } });
  inBackground(revokePending(database), "What has ended here could not be ended at Calendly");
  return json(status);
}

async function enableWebhooks(request: Request): Promise<Response> {
  const { named } = await readNamed(request, Named);
  const database = new Database();
  await createSubscription(database, named);
  return json(await database.call("calendly_connection_status", { request: named }), 201);
}

async function disableWebhooks(request: Request): Promise<Response> {
  const { named } = await readNamed(request, Named);
  const database = new Database();
  const { ended, credential, status } = await database.call("calendly_disable_webhooks", {
    request: { ...named, project_url: setting("SUPABASE_URL") },
  });
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
    "GET /oauth/callback": oauthCallback,
  }),
};
