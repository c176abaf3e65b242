/**
 * Every code with which the Edge Functions or the database refuse something: its HTTP status, what it
 * means for the data, and what to do. ApiError takes no other code, a test compares the codes that SQL
 * uses, and docs/operate.md is made from here. The command line's own codes are in cli/problem_codes.ts.
 * A code without a status is never the answer of a function: SQL raises it for whoever typed the
 * statement, or it stands in a row, such as in calendly_sync_runs.error.
 */

export interface ErrorCodeEntry {
  about: keyof typeof ABOUT;
  status?: number;
  means: string;
  todo: string;
}

/** The kinds of codes, in the order of the page. */
export const ABOUT = {
  setup: "Setup",
  connection: "Connections",
  sync: "Syncs",
  webhook: "Webhooks",
  caller: "Who calls",
  request: "What is sent",
  sql: "Statements in SQL",
};

const TRY_AGAIN = "Try again in a moment.";
const BY_ITSELF = "Nothing: the schedule goes on by itself.";

export const ERROR_CODES = {
  // Setup -----------------------------------------------------------------------------------------
  not_configured: {
    about: "setup",
    status: 503,
    means:
      "A variable of the functions' environment is missing or wrong, and the message names it. " +
      "What depends on it does not work. Runs that need it fail and are tried again later; what is stored stays.",
    todo:
      "Set the variable as the hint says: `npx supabase secrets set`. See reference/environment.md.",
  },
  database_unavailable: {
    about: "setup",
    status: 503,
    means: "The database does not answer, or takes no writes. Nothing is synced meanwhile, and " +
      "nothing is lost: Calendly delivers webhooks again, and runs go on where they stopped.",
    todo: "See in the dashboard whether the database is up, overloaded, or its disk full.",
  },
  database_outdated: {
    about: "setup",
    status: 503,
    means: "The database is older than the Edge Functions. Syncs wait; nothing is lost.",
    todo: "Apply the migrations: `calendly-sync deploy`.",
  },
  functions_outdated: {
    about: "setup",
    status: 503,
    means: "The Edge Functions are older than the database. Syncs wait; nothing is lost.",
    todo: "Deploy the Edge Functions of the same version: `calendly-sync deploy`.",
  },
  migrations_missing: {
    about: "setup",
    status: 503,
    means: "The database has no functions of this product, or older ones. Nothing is synced.",
    todo: "Apply the migrations: `calendly-sync deploy`.",
  },
  schema_not_exposed: {
    about: "setup",
    status: 503,
    means:
      "The Data API does not expose the schema public, so that the Edge Functions do not reach " +
      "the database. Nothing is synced.",
    todo: "Add public to the exposed schemas: Project Settings > Data API.",
  },
  key_claims_refused: {
    about: "setup",
    status: 503,
    means: "The Data API refuses the time or another claim in the secret key. Nothing is synced " +
      "until it accepts it.",
    todo:
      "If the message names a time, wait a moment. If it lasts, make a new secret key and deploy " +
      "the functions again.",
  },
  project_moved: {
    about: "setup",
    status: 409,
    means:
      "The functions run under another address than the one that the database knows: a copy, or " +
      "a project that has moved. Nothing is synced, and nothing is ended at Calendly.",
    todo:
      "If the project has moved for good: `select calendly_confirm_project('https://…');` with " +
      "its new address. A copy needs nothing.",
  },
  token_unreadable: {
    about: "setup",
    status: 500,
    means:
      "A stored token was encrypted with a key that `CALENDLY_TOKEN_KEY` no longer has. Whose " +
      "token it is is not synced; what is stored stays.",
    todo: "Put the former key back into `CALENDLY_TOKEN_KEY`, behind the new one, and run " +
      "`calendly-sync reencrypt`. Without that key these people connect again.",
  },
  auth_unavailable: {
    about: "setup",
    status: 503,
    means: "Supabase Auth does not answer, so that nobody can be recognized. Scheduled syncs and " +
      "webhooks go on.",
    todo: TRY_AGAIN +
      " If it lasts, see the state of the project in the dashboard.",
  },
  internal: {
    about: "setup",
    status: 500,
    means:
      "An error that this product does not know, such as a trigger or a constraint of the app's " +
      "that refuses a row. A run that meets it fails and is tried again later; what is stored stays.",
    todo:
      "Read the function's log: it has the cause. The answer does not, because it may be secret.",
  },

  // Connections -----------------------------------------------------------------------------------
  not_connected: {
    about: "connection",
    status: 409,
    means:
      "Nothing brings this person's meetings, or the connection was ended meanwhile. What is " +
      "stored stays.",
    todo: "The person connects: `POST calendly-connect`.",
  },
  reconnect_required: {
    about: "connection",
    status: 409,
    means: "Calendly no longer accepts the token. The meetings of this connection are no longer " +
      "synced; what is stored stays.",
    todo: "The person connects again, by the same way as before. The sync goes on where it was.",
  },
  token_invalid: {
    about: "connection",
    status: 422,
    means: "The token that was given is not one that Calendly accepts. Nothing was stored.",
    todo:
      "Make a new one at Calendly: Integrations & apps > API and webhooks > Personal access tokens.",
  },
  scopes_missing: {
    about: "connection",
    status: 422,
    means:
      "The consent does not cover all scopes that are needed. Nothing was stored, and the grant " +
      "was given back.",
    todo: "Begin again, and allow all that is asked for.",
  },
  scope_missing: {
    about: "connection",
    status: 424,
    means:
      "The token lacks a scope that a request needs; the message names it. That connection is " +
      "not synced, or gets no webhooks. What is stored stays.",
    todo: "Make a token with the scopes `users:read`, `scheduled_events:read` and, for webhooks, " +
      "`webhooks:write`, and connect with it.",
  },
  oauth_state_invalid: {
    about: "connection",
    status: 409,
    means: "The consent was asked for by another account, was used already, or is older than ten " +
      "minutes. Nothing was stored.",
    todo: "Begin again: `POST calendly-connect/oauth/start`.",
  },
  oauth_code_invalid: {
    about: "connection",
    status: 422,
    means:
      "Calendly does not accept the code: it was used, or is older than ten minutes. Nothing was " +
      "stored.",
    todo: "Begin again: `POST calendly-connect/oauth/start`.",
  },
  no_organization: {
    about: "connection",
    status: 422,
    means: "Calendly tells no organization of this user, and what was asked for needs one.",
    todo: "Connect with scope `user`. Without webhooks the schedule brings the changes.",
  },
  organization_left: {
    about: "connection",
    status: 424,
    means:
      "Whose token it is no longer belongs to the organization that was connected. Its meetings " +
      "are no longer synced; what is stored stays.",
    todo: "Another owner or admin of the organization connects it.",
  },
  calendly_user_taken: {
    about: "connection",
    status: 409,
    means:
      "Another account has connected this Calendly user. Nothing was changed: one Calendly user " +
      "can be live in one connection only.",
    todo: "Disconnect it there first.",
  },
  another_calendly_user: {
    about: "connection",
    status: 409,
    means: "The meetings of this account come from another Calendly user. Nothing was changed.",
    todo:
      'To change over, confirm with `{"replace": true}`: it erases what the former one brought.',
  },
  connection_changed: {
    about: "connection",
    status: 409,
    means: "Two requests connected at the same time. This one changed nothing.",
    todo: TRY_AGAIN,
  },
  synced_by_organization: {
    about: "connection",
    status: 409,
    means:
      "An organization's connection brings these meetings, and would bring them again after an " +
      "erasure. Nothing was erased.",
    todo: 'The person connects with a token of their own and disconnects with `{"erase": true}`.',
  },
  account_closed: {
    about: "connection",
    status: 403,
    means:
      "The account is deleted or banned in Supabase Auth. Its meetings are not synced; those of " +
      "a deleted one are erased.",
    todo: "See `deleted_at` and `banned_until` in `auth.users`. After a ban it is synced again.",
  },

  // Syncs -----------------------------------------------------------------------------------------
  sync_in_progress: {
    about: "sync",
    status: 409,
    means: "A sync of the same connection is running; the answer has its `run_id`.",
    todo: "Wait for it: the row in `calendly_sync_runs` shows how far it is.",
  },
  rate_limited: {
    about: "sync",
    means:
      "Calendly's rate limit is used up. The run is paused and goes on at `resume_at`; nothing is " +
      "lost.",
    todo: BY_ITSELF +
      " If it happens often, other programs use the same Calendly user's limit.",
  },
  calendly_unavailable: {
    about: "sync",
    status: 502,
    means:
      "Calendly does not answer, or not as it documents. A run is paused and tried again; what " +
      "is stored stays.",
    todo: BY_ITSELF + " A person who was connecting tries again.",
  },
  page_token_expired: {
    about: "sync",
    means:
      "Calendly no longer knows the place in its listing at which the run was. The run lists " +
      "again from the start; nothing is lost.",
    todo: BY_ITSELF,
  },
  token_refused: {
    about: "sync",
    status: 424,
    means:
      "Calendly refuses the token (401). The run failed and is tried again later; after the third " +
      "refusal in a row the connection becomes `reconnect_required`. What is stored stays.",
    todo: "The person makes a new token at Calendly and connects again.",
  },
  calendly_refused: {
    about: "sync",
    status: 424,
    means:
      "Calendly refuses to list these events; the message has its reason. The run failed and is " +
      "tried again later; after the third refusal in a row the connection becomes " +
      "`reconnect_required`. What is stored stays.",
    todo: "Read the reason. Often the person has lost a role or a seat in the organization.",
  },
  lease_lost: {
    about: "sync",
    status: 409,
    means: "Another worker has taken over the run, or it was ended. What this worker had applied " +
      "stays, and counts once.",
    todo: BY_ITSELF,
  },
  unexpected_step: {
    about: "sync",
    means: "A worker brought another step than the run had asked for. It was not applied.",
    todo: BY_ITSELF +
      " If it lasts, functions and database are of different versions: deploy again.",
  },
  disconnected: {
    about: "sync",
    means: "The run ended because its connection was ended. What it had applied stays.",
    todo: "Nothing.",
  },
  replaced: {
    about: "sync",
    means: "The run ended because a FULL sync, or a new connection, took its place.",
    todo: "Nothing.",
  },

  // Webhooks --------------------------------------------------------------------------------------
  not_authentic: {
    about: "webhook",
    status: 401,
    means:
      "The signature of a delivery is missing or wrong, or its time is older than 25 hours or " +
      "in the future. It was not stored. " +
      "If Calendly sent it, the schedule brings the change.",
    todo:
      "If it happens often, compare `CALENDLY_WEBHOOK_SIGNING_KEY` with the key of the OAuth app.",
  },
  subscription_ended: {
    about: "webhook",
    status: 410,
    means:
      "The delivery is of a subscription that nobody wants any more. The answer tells Calendly to " +
      "delete it.",
    todo: "Nothing.",
  },
  webhooks_need_plan: {
    about: "webhook",
    status: 424,
    means: "Calendly's plan of this organization has no webhooks. The schedule brings the changes.",
    todo: "Upgrade at Calendly, or go on without webhooks.",
  },
  webhooks_need_role: {
    about: "webhook",
    status: 424,
    means: "Calendly does not let this person subscribe. The schedule brings the changes.",
    todo: "An owner or admin of the organization switches webhooks on.",
  },
  webhooks_refused: {
    about: "webhook",
    status: 424,
    means:
      "Calendly refuses the subscription, or does not show it. The schedule brings the changes.",
    todo: "Read the reason in the message.",
  },
  not_understood: {
    about: "webhook",
    means:
      "A delivery was authentic, and could not be applied as it was. It is deferred: the next " +
      "sync brings the change.",
    todo: "If it ends as `dead`, start a sync: it brings what Calendly has.",
  },
  payload_not_kept: {
    about: "webhook",
    means: "The delivery cannot be replayed: it was ignored, or is older than the setting " +
      "`payload_retention`, so that its payload is not kept.",
    todo: "Start a sync instead: it brings what Calendly has.",
  },

  // Who calls -------------------------------------------------------------------------------------
  not_authenticated: {
    about: "caller",
    status: 401,
    means: "The request has no key or JWT, or not the kind that this call needs.",
    todo: "A browser sends the signed-in person's JWT, a server a secret key.",
  },
  invalid_jwt: {
    about: "caller",
    status: 401,
    means: "The JWT is expired, or not one of this project's.",
    todo: "Sign in again.",
  },
  invalid_key: {
    about: "caller",
    status: 401,
    means: "The key is no secret key of this project. A publishable key may not do this.",
    todo: "Sign in and send the JWT, or use a secret key on a server.",
  },
  another_user: {
    about: "caller",
    status: 403,
    means: "A signed-in person named somebody else. Nothing was done.",
    todo: "Leave `user_id` and `auth_user_id` out, or use a secret key on a server.",
  },
  unknown_user: {
    about: "caller",
    status: 404,
    means: "There is no such row in `calendly_users`.",
    todo: "`user_id` is `calendly_users.id`; it is made when somebody connects.",
  },
  user_id_required: {
    about: "caller",
    status: 400,
    means: "A server did not say whom the call is about.",
    todo: "Send `user_id` or, to `calendly-connect`, `auth_user_id`.",
  },

  // What is sent ----------------------------------------------------------------------------------
  invalid_body: {
    about: "request",
    status: 400,
    means: "The body is not JSON, or has a field that is unknown or wrong. Nothing was done.",
    todo: "Send the fields that reference/http.md lists.",
  },
  invalid_query: {
    about: "request",
    status: 400,
    means: "A parameter in the address is wrong. Nothing was done.",
    todo: "Send the parameters that reference/http.md lists.",
  },
  body_incomplete: {
    about: "request",
    status: 400,
    means: "The connection was cut off before the whole body had come. Nothing was done.",
    todo: "Send it again.",
  },
  body_too_large: {
    about: "request",
    status: 413,
    means:
      "The body is larger than the function reads: 16 KiB, of a delivery 256 KiB. Nothing was " +
      "done. Of a delivery the schedule brings the change.",
    todo: "Send less.",
  },
  not_found: {
    about: "request",
    status: 404,
    means: "There is no such path, or no such webhook event.",
    todo: "See reference/http.md for the paths.",
  },
  method_not_allowed: {
    about: "request",
    status: 405,
    means: "The path exists, and not for this method.",
    todo: "See reference/http.md for the methods.",
  },

  // Statements in SQL -----------------------------------------------------------------------------
  unknown_setting: {
    about: "sql",
    means: "`calendly_configure` was given a setting that does not exist. Nothing was changed.",
    todo: "`select calendly_configure();` shows them all.",
  },
  invalid_setting: {
    about: "sql",
    means: "A setting was given a value of the wrong type. Nothing was changed.",
    todo: "Give a value of the type that the hint names.",
  },
  setting_out_of_range: {
    about: "sql",
    means: "A setting was given a value outside of its range. Nothing was changed.",
    todo: "Give a value in the range that the hint names: see reference/settings.md.",
  },
  tick_not_supported: {
    about: "sql",
    means: "This version of pg_cron cannot run a job as often as `tick` says. Nothing was changed.",
    todo: "Leave `tick` at 1 minute, or upgrade pg_cron to 1.5 or newer.",
  },
  invalid_email: {
    about: "sql",
    means: "`calendly_erase_invitee` was given what is no e-mail. Nothing was erased.",
    todo: "`select calendly_erase_invitee('jane@example.com');`",
  },
  invalid_url: {
    about: "sql",
    means:
      "What was given as an address is none that a project or a database can have. Nothing was " +
      "changed.",
    todo: "A project's looks like `https://abcdefghijkl.supabase.co`.",
  },
  not_a_local_stack: {
    about: "sql",
    means: "The clock can be set on a local stack only. Nothing was changed.",
    todo: "Nothing.",
  },
} as const satisfies Record<string, ErrorCodeEntry>;

export type ErrorCode = keyof typeof ERROR_CODES;
