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
import type { ErrorCode } from "../_shared/calendly/error_codes.ts";
import { ApiError } from "../_shared/calendly/errors.ts";
import { json, readBody, readQuery, type Route, serve } from "../_shared/calendly/http.ts";
import { currentKeys } from "../_shared/calendly/keys.ts";
import { createSubscription, deleteAll, revokePending } from "../_shared/calendly/subscriptions.ts";
import { sync } from "../_shared/calendly/sync.ts";
import { encryptToken, type Token } from "../_shared/calendly/tokens.ts";
import { finishConsent, giveBack, oauthCallback, startConsent } from "./consent.ts";

const SyncNow = z.boolean().default(true)
  .describe("`false` leaves the first sync to the schedule.");
const Choice = z.strictObject({
  scope: ConnectionChoice.shape.scope.default("user")
    .describe(
      "`user`: the person's own meetings. `organization`: those of its members; the token is an owner's or admin's.",
    ),
  members: ConnectionChoice.shape.members.default("accounts").describe(
    "Of an organization. `accounts`: members with an account here. `everyone`: every host.",
  ),
  replace: z.boolean().default(false).describe(
    "Changes over from another Calendly user, and erases what that one brought.",
  ),
});
const Start = withMembersOfOrganization(Choice);
const Connect = withMembersOfOrganization(Choice.extend({
  token: z.string().trim().min(1).max(8192).regex(/^[\x21-\x7e]+$/, "is not a Calendly token")
    .describe("A personal access token of the person's, from Calendly."),
  sync: SyncNow,
  auth_user_id: z.guid().optional().describe(
    "For which account a server connects; without it the person need not have one.",
  ),
}));
const Finish = z.strictObject({
  code: z.string().min(1).max(2048).describe(
    "As Calendly sent it back with the person.",
  ),
  state: z.string().min(1).max(256).describe(
    "As Calendly sent it back with the person.",
  ),
  sync: SyncNow,
});
const auth_user_id = z.guid().optional().describe(
  "Whom a server means: auth.users.id.",
);
const Named = z.strictObject({
  user_id: z.int32().positive().optional().describe(
    "Whom a server means: calendly_users.id.",
  ),
  auth_user_id,
});
const NamedInQuery = z.object({
  user_id: z.coerce.number().pipe(z.int32().positive()).optional()
    .describe("Whom a server means: calendly_users.id."),
  auth_user_id,
});
const Disconnect = Named.extend({
  erase: z.boolean().default(false).describe(
    "Also erases the meetings, and the hosts without an account that the connection kept.",
  ),
});

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

/** Errors of every call that is about somebody who may be connected. */
const OF_NAMED: ErrorCode[] = [
  "user_id_required",
  "another_user",
  "unknown_user",
];
/** Errors of storing a verified token. */
const OF_CONNECTING: ErrorCode[] = [
  "account_closed",
  "scope_missing",
  "calendly_user_taken",
  "another_calendly_user",
  "connection_changed",
  "no_organization",
  "project_moved",
  "calendly_unavailable",
];

export const routes: Record<string, Route> = {
  "POST /": {
    handle: connect,
    does:
      "Connects by a personal access token, which is verified with Calendly and stored encrypted. " +
      "The first sync starts in the background.",
    caller: "a signed-in person or a server",
    body: Connect,
    answers: { 201: "calendly.connection_status" },
    errors: ["token_invalid", "another_user", ...OF_CONNECTING],
  },
  "POST /oauth/start": {
    handle: startOAuth,
    does: "Gives the address of Calendly's consent page, to which the app sends the person.",
    caller: "a signed-in person",
    body: Start,
    answers: { 200: '{"url": "https://auth.calendly.com/oauth/authorize?…"}' },
    errors: ["account_closed"],
  },
  "GET /oauth/callback": {
    handle: oauthCallback,
    does:
      "Where Calendly sends the browser. It is sent on to CALENDLY_RETURN_URL with code and state, " +
      "or with error and error_description.",
    caller: "anybody",
    answers: { 302: "no body" },
  },
  "POST /oauth/finish": {
    handle: finishOAuth,
    does: "Connects by OAuth: only the person who started can finish, once, within ten minutes.",
    caller: "a signed-in person",
    body: Finish,
    answers: { 201: "calendly.connection_status" },
    errors: [
      "oauth_state_invalid",
      "oauth_code_invalid",
      "scopes_missing",
      "token_unreadable",
      ...OF_CONNECTING,
    ],
  },
  "GET /": {
    handle: status,
    does: "Tells how the connection is.",
    caller: "a signed-in person or a server",
    query: NamedInQuery,
    answers: { 200: "calendly.connection_status" },
    errors: OF_NAMED,
  },
  "DELETE /": {
    handle: disconnect,
    does: "Ends the connection, here and at Calendly: its webhook subscription and OAuth token.",
    caller: "a signed-in person or a server",
    body: Disconnect,
    query: NamedInQuery,
    answers: {
      200: "calendly.connection_status, disconnected and, after erase, erased_meetings",
    },
    errors: [...OF_NAMED, "not_connected", "synced_by_organization"],
  },
  "POST /webhooks": {
    handle: enableWebhooks,
    does: "Makes a webhook subscription at Calendly, so that changes arrive within a second.",
    caller: "a signed-in person or a server",
    body: Named,
    query: NamedInQuery,
    answers: { 201: "calendly.connection_status" },
    errors: [
      ...OF_NAMED,
      "not_connected",
      "reconnect_required",
      "project_moved",
      "no_organization",
      "organization_left",
      "token_refused",
      "scope_missing",
      "webhooks_need_plan",
      "webhooks_need_role",
      "webhooks_refused",
      "token_unreadable",
      "calendly_unavailable",
    ],
  },
  "DELETE /webhooks": {
    handle: disableWebhooks,
    does: "Deletes the webhook subscription. The schedule brings the changes.",
    caller: "a signed-in person or a server",
    body: Named,
    query: NamedInQuery,
    answers: { 200: "calendly.connection_status" },
    errors: [...OF_NAMED, "not_connected", "project_moved"],
  },
};

export default { fetch: serve("calendly-connect", routes) };
