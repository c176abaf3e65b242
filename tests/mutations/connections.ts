/** Rules of connections, accounts, rights and tokens. */
import { type Mutation, pgtap, requests, sql, typescript } from "./mutation.ts";

const LOCKS = sql("060_locks");
const ACCOUNTS = sql("110_accounts");
const CONNECTIONS = sql("120_connections");
const CREDENTIALS = sql("130_credentials");
const OAUTH = sql("140_oauth");
const CONNECT = sql("340_connect_and_disconnect");
const END = sql("350_end_of_accounts");
const RIGHTS = sql("990_rights");
const API = typescript("_shared/calendly/api");

const PROVEN =
  "an e-mail is proven by a mail that was followed or by an identity provider that vouches for it, not by email_confirmed_at alone";

export const CONNECTIONS_AND_RIGHTS: Mutation[] = [
  // Accounts
  {
    breaks: "a consent that is put back ends a newer one",
    file: OAUTH,
    from: "(o.auth_user_id = own and not again)",
    to: "o.auth_user_id = own",
    caughtBy: [
      pgtap("oauth_states", "one that is put back does not end a newer one"),
    ],
  },
  {
    breaks: "a consent that is put back is told as a new one",
    file: typescript("calendly-connect/consent"),
    from: "{ ...request, again: true }",
    to: "request",
    caughtBy: [
      requests(
        "functions/calendly_requests",
        "a consent that the app's secret spoils is put back as one that was begun before",
      ),
    ],
  },
  {
    breaks: "an e-mail that was confirmed without a mail proves an account",
    file: ACCOUNTS,
    from: "    and a.confirmation_sent_at is not null\n",
    to: "",
    caughtBy: [
      pgtap("accounts", PROVEN),
      pgtap("organization", "nor does one that was confirmed without a mail"),
    ],
  },
  {
    breaks: "an e-mail that an identity provider does not vouch for proves an account",
    file: ACCOUNTS,
    from: "    and (a.is_sso_user or i.identity_data ->> 'email_verified' = 'true')\n",
    to: "",
    caughtBy: [pgtap("accounts", PROVEN)],
  },
  {
    breaks: "a banned account is synced",
    file: ACCOUNTS,
    from: " and a.open_from <= now_at);",
    to: ");",
    caughtBy: [pgtap("accounts", "a banned account cannot sync")],
  },
  {
    breaks: "the end of a soft-deleted account is not noticed",
    file: ACCOUNTS,
    from: "from auth.users a\n  where a.deleted_at is null;",
    to: "from auth.users a;",
    caughtBy: [pgtap("accounts", "its row is erased")],
  },
  {
    breaks: "the end of an account erases nothing",
    file: CONNECT,
    from: `  perform calendly.erase_users(array(
    select unnest(user_ids) except select unnest(kept_for_everyone)));`,
    to: "",
    caughtBy: [pgtap("accounts", "its row is erased")],
  },
  {
    breaks: "a host who is kept for everyone is erased with the account",
    file: CONNECT,
    from: "and c.user_id <> u.id and c.members = 'everyone');",
    to: "and false);",
    caughtBy: [pgtap("accounts", "and stays in the team's mirror")],
  },
  {
    breaks: "a restore without accounts erases everybody",
    file: END,
    from: "and not calendly.too_many_ended_accounts();",
    to: ";",
    caughtBy: [pgtap("accounts", "then nobody is ended")],
  },

  // Connecting
  {
    breaks: "whoever connects later does not get the row of that Calendly user",
    file: CONNECT,
    from: "auth_user_id = coalesce(excluded.auth_user_id, u.auth_user_id),",
    to: "auth_user_id = u.auth_user_id,",
    caughtBy: [
      pgtap(
        "organization",
        "whoever connects later takes over the row of that Calendly user",
      ),
    ],
  },
  {
    breaks: "one Calendly user is connected by two accounts",
    file: CONNECT,
    from: "  if taken.auth_user_id is not null then\n",
    to: "  if false then\n",
    caughtBy: [pgtap("connect", "one Calendly user cannot be live in two connections")],
  },
  {
    breaks: "a person's own connection ends that of the organization",
    file: CONNECT,
    from: `elsif (taken.scope = 'organization' and connection ->> 'scope' <> 'organization')
      or (taken.members = 'everyone' and connection ->> 'members' is distinct from 'everyone') then`,
    to: "elsif false then",
    caughtBy: [
      pgtap(
        "organization",
        "a person's own connection does not take the place of the organization's",
      ),
    ],
  },
  {
    breaks: "a team stops when its owner connects it with fewer members",
    file: CONNECT,
    from:
      "or (taken.members = 'everyone' and connection ->> 'members' is distinct from 'everyone') then",
    to: "or false then",
    caughtBy: [pgtap("members_change", "nor with fewer members than the server keeps")],
  },
  {
    breaks: "with members accounts a connection goes on to bring everybody",
    file: CONNECT,
    from: "elsif former.members = 'everyone' and connection ->> 'members' is distinct from",
    to: "elsif false and connection ->> 'members' is distinct from",
    caughtBy: [
      pgtap("organization", "with members accounts the others are not kept any more"),
    ],
  },
  {
    breaks: "hosts whom no event names any more are left to nobody",
    file: sql("660_sync_rpcs"),
    from: "    perform calendly.keep_former_members(connection);\n",
    to: "    null;\n",
    caughtBy: [
      pgtap("former_members", "its first sync goes on with them"),
      pgtap("former_members", "what Calendly no longer has is gone for each host"),
    ],
  },
  {
    breaks: "an organization goes on with members who have left it",
    file: sql("660_sync_rpcs"),
    from: `    update public.calendly_users u set calendly_organization_uri = null
      where u.id = leave_organization.user_id;
`,
    to: "",
    caughtBy: [pgtap("former_members", "whoever has left the organization stays out")],
  },
  {
    breaks: "connecting does not wait for those who write",
    file: CONNECT,
    from: `  -- Always the exclusive form: a former row may have to be erased.
  perform calendly.lock_for_erasure();`,
    to: "  perform calendly.lock_against_erasure();",
    caughtBy: [
      pgtap(
        "lock_order",
        "connecting waits for everybody who writes, because a former row may have to go",
      ),
    ],
  },
  {
    breaks: "a statement about all people does not wait for the rules",
    file: LOCKS,
    from: "select pg_advisory_xact_lock(hashtextextended('calendly.people', 0))",
    to: "select pg_advisory_xact_lock_shared(hashtextextended('calendly.people', 0))",
    caughtBy: [
      pgtap(
        "lock_order",
        "clearing the flag of any number of people waits until nobody has people locked",
      ),
    ],
  },
  {
    breaks: "a rule that writes people waits for all others that do",
    file: LOCKS,
    from: "perform set_config('calendly.people_are_locked', 'on', true);",
    to: "perform 1;",
    caughtBy: [
      pgtap(
        "lock_order",
        "a sync that ends holds off erasures and typed statements about people",
      ),
    ],
  },

  // Who reads
  {
    breaks: "the owner of a connection with members accounts reads the members' rows",
    file: CONNECTIONS,
    from:
      "    and c.scope = 'organization' and c.members = 'everyone' and c.state <> 'disconnected';",
    to: "    and c.scope = 'organization' and c.state <> 'disconnected';",
    caughtBy: [
      pgtap("row_level_security", "with members accounts the owner reads the own rows only"),
    ],
  },
  {
    breaks: "the owner of a connection with members everyone reads the own rows only",
    file: CONNECTIONS,
    from:
      "    and c.scope = 'organization' and c.members = 'everyone' and c.state <> 'disconnected';",
    to: "    and false;",
    caughtBy: [pgtap("row_level_security", "the owner reads the rows that the connection brings")],
  },
  {
    breaks: "the token of a deleted account reads on",
    file: CONNECTIONS,
    from: " or not calendly.account_is_open(own_account, calendly.now()) then",
    to: " then",
    caughtBy: [pgtap("row_level_security", "the token of a deleted account reads nothing")],
  },
  {
    breaks: "everybody reads everybody's meetings",
    file: sql("200_meetings"),
    from: "using (user_id = any ((select calendly.readable_user_ids())::integer[]));",
    to: "using (true);",
    caughtBy: [
      pgtap("row_level_security", "a request without claims reads nothing"),
      pgtap("privileges", "and each policy asks whose rows the account reads"),
    ],
  },
  {
    breaks: "credentials are readable",
    file: RIGHTS,
    from: "grant select on public.calendly_freshness, public.calendly_alerts to service_role;",
    to:
      "grant select on public.calendly_freshness, public.calendly_alerts, calendly.credentials to service_role;",
    caughtBy: [
      pgtap("privileges", "every right that is granted has been decided on, and no other"),
    ],
  },
  {
    breaks: "a signed-in person calls what the functions call",
    file: RIGHTS,
    from: "public.clean_old_webhook_events()\n  to service_role;",
    to: "public.clean_old_webhook_events()\n  to service_role, authenticated;",
    caughtBy: [
      pgtap("privileges", "every right that is granted has been decided on, and no other"),
    ],
  },
  {
    breaks: "a name that the app has taken is not noticed",
    file: sql("010_collisions"),
    from: "if collisions <> '{}' then",
    to: "if false then",
    caughtBy: [
      requests(
        "guest/collisions",
        "each name that is ours is listed where it is taken, and all at once",
        undefined,
        "one by one",
      ),
    ],
  },

  // What monitors are told
  {
    breaks: "strangers are told what is wrong",
    file: typescript("calendly-sync/health"),
    from: "if (await isStranger(request)) {",
    to: "if (request.method === 'none') {",
    caughtBy: [requests("functions/health", "strangers are told one word")],
  },
  {
    breaks: "each stranger costs a call of the database",
    file: typescript("calendly-sync/health"),
    from: "const REMEMBERED = 10_000;",
    to: "const REMEMBERED = 0;",
    caughtBy: [
      requests(
        "functions/health",
        "strangers cost one call of the database in ten seconds",
      ),
    ],
  },
  {
    breaks: "a schema that is not exposed is taken for missing migrations",
    file: typescript("_shared/calendly/database"),
    from: 'code === "PGRST202" || (',
    to: 'code === "PGRST202" || code === "PGRST106" || (',
    caughtBy: [
      requests(
        "functions/database",
        "The database",
        "is behind a Data API that does not expose the schema public",
      ),
    ],
  },

  // Tokens
  {
    breaks: "a token is written to the log",
    file: API,
    from: "return await ky(url, {",
    to: "console.log(method, path, token);\n      return await ky(url, {",
    caughtBy: [
      requests(
        "functions/tokens",
        "Tokens",
        "a token is nowhere to be read",
        "in the functions' logs, nor is any other secret",
      ),
    ],
  },
  {
    breaks: "a redirect is followed with the token",
    file: API,
    from: 'redirect: "error",',
    to: 'redirect: "follow",',
    caughtBy: [
      requests(
        "functions/failures",
        "a failure that outlasts the retries pauses the sync",
        undefined,
        "a redirect, which is not followed with the token",
      ),
    ],
  },
  {
    breaks: "a ciphertext works for another connection",
    file: typescript("_shared/calendly/tokens"),
    from:
      'if (protectedHeader.connection !== id) throw new Error("it belongs to another connection");',
    to: "void protectedHeader;",
    caughtBy: [
      requests("functions/tokens", "Tokens", "a ciphertext works for its own connection only"),
    ],
  },
  {
    breaks: "a signed-in person names another account",
    file: typescript("_shared/calendly/authenticate"),
    from: "if (named !== undefined && named.toLowerCase() !== caller.authUserId.toLowerCase()) {",
    to: "if (named !== undefined && !caller.authUserId) {",
    caughtBy: [
      requests("functions/callers", "a signed-in person acts for nobody else"),
    ],
  },
  {
    breaks: "every worker refreshes the token",
    file: CREDENTIALS,
    from:
      "elsif credential.refresh_ends_at > now_at or credential.refresh_began_at > now_at - pace then",
    to: "elsif false then",
    caughtBy: [pgtap("refresh", "meanwhile the others wait")],
  },
  {
    breaks: "whoever gets hold of an OAuth state may finish with it",
    file: OAUTH,
    from: "\n      and o.auth_user_id = calendly_take_oauth_state.auth_user_id\n",
    to: "\n",
    caughtBy: [
      requests("connections/oauth", "OAuth", "whoever did not set out cannot finish"),
    ],
  },
  {
    breaks: "an OAuth state works for ever",
    file: OAUTH,
    from: "if taken.id is null or taken.created_at < calendly.now() - interval '10 minutes' then",
    to: "if taken.id is null then",
    caughtBy: [
      requests("connections/oauth", "OAuth", "a state works once", "within ten minutes"),
    ],
  },
];
