/** Rules of what is around the mirror: who is let in, who may read, what runs when. */
import { behaviour, type Mutation, pgtap, requests, sql, typescript } from "./mutation.ts";

const CONNECTIONS = sql("000300_connections");
const CREDENTIALS = sql("000370_credentials");
const SYNC = sql("000900_sync");
const WEBHOOKS = sql("000950_webhooks");
const SCHEDULE = sql("001200_schedule");

export const SERVICE: Mutation[] = [
  // Webhooks
  {
    breaks: "deliveries are deduplicated by event",
    file: WEBHOOKS,
    from: "(body #>> '{payload,uri}') || ' ' || case",
    to: "(body #>> '{payload,scheduled_event,uri}') || ' ' || case",
    caughtBy: [pgtap("webhook_delivery_id", "the second attendee of a group is another delivery")],
  },
  {
    breaks: "a cancellation is taken for a repetition of its booking",
    file: WEBHOOKS,
    from: "select body ->> 'event' || ' ' || (body",
    to: "select (body",
    caughtBy: [pgtap("webhook_delivery_id", "and its cancellation")],
  },
  {
    breaks: "a group event is canceled by one invitee",
    file: WEBHOOKS,
    from: "event := calendly.read_event(payload -> 'scheduled_event');",
    to: `event := calendly.read_event(payload -> 'scheduled_event'
    || case body ->> 'event' when 'invitee.canceled' then '{"status": "canceled"}' else '{}' end::jsonb);`,
    caughtBy: [behaviour("webhooks", "a group event survives one invitee's cancellation")],
  },
  {
    breaks: "a signature of any age is accepted",
    file: WEBHOOKS,
    from: "if signed_at < at - interval '25 hours' or signed_at",
    to: "if signed_at",
    caughtBy: [pgtap("webhook_receive", "older than 25 h is refused")],
  },
  {
    breaks: "Calendly's late retries are refused",
    file: WEBHOOKS,
    from: "signed_at < at - interval '25 hours'",
    to: "signed_at < at - interval '5 minutes'",
    caughtBy: [
      requests(
        "webhooks/authenticity",
        "a delivery may be 25 hours late",
        undefined,
        "25 hours old: 200",
      ),
    ],
  },
  {
    breaks: "a signature from the future is accepted",
    file: WEBHOOKS,
    from: " or signed_at > at + interval '5 minutes' then",
    to: " then",
    caughtBy: [pgtap("webhook_receive", "so is what comes from the future")],
  },
  {
    breaks: "any signature is accepted",
    file: typescript("_shared/calendly/signature"),
    from: 'if (signature && await crypto.subtle.verify("HMAC", hmac, signature, signed)) {',
    to: "if (signature && hmac && signed) {",
    caughtBy: [
      requests(
        "webhooks/authenticity",
        "only what Calendly signed is believed",
        undefined,
        "another key's signature is refused",
      ),
    ],
  },
  {
    breaks: "a subscription outlives its connection",
    file: WEBHOOKS,
    from: "where w.id = (delivery ->> 'subscription_id')::uuid and c.state <> 'disconnected';",
    to: "where w.id = (delivery ->> 'subscription_id')::uuid;",
    caughtBy: [
      requests(
        "webhooks/authenticity",
        "a subscription of ours has a key of its own",
        undefined,
        "which ends with the connection's end",
      ),
    ],
  },
  {
    breaks: "a delivery is kept with the conference's password",
    file: WEBHOOKS,
    from: "then body #- '{payload,scheduled_event,location,data,password}' else body end",
    to: "then body else body end",
    caughtBy: [behaviour("webhooks", "a conference's password is not kept")],
  },
  {
    breaks: "what cannot be understood is given up at once",
    file: WEBHOOKS,
    from: "when w.attempts >= 5 or uri is null then 'dead'",
    to: "when true then 'dead'",
    caughtBy: [pgtap("webhook_deferred", "four syncs do not give it up")],
  },

  // The schedule
  {
    breaks: "scheduled work takes the reserve too",
    file: SYNC,
    from: "case run.trigger when 'scheduled' then ceil(",
    to: "case run.trigger when '' then ceil(",
    caughtBy: [pgtap("rate_limit", "until a fifth of the limit is left")],
  },
  {
    breaks: "there are more instances than places",
    file: SCHEDULE,
    from: "or calendly.running_workers() >= settings.instances",
    to: "",
    caughtBy: [pgtap("schedule_claim", "no more instances work than there are places")],
  },
  {
    breaks: "a claim waits for a connection that somebody holds",
    file: SCHEDULE,
    from: "for no key update of c skip locked;",
    to: "for no key update of c;",
    caughtBy: [{
      file: "tests/schedule/claims.test.ts",
      test: "a connection that somebody holds is passed over, not waited for",
      real: true,
    }],
  },
  {
    breaks: "a copy of the database under another address is synced",
    file: sql("000350_project"),
    from: "elsif known <> check_project.url then",
    to: "elsif false then",
    caughtBy: [pgtap("schedule_claim", "a click there is refused")],
  },
  {
    breaks: "a co-host's webhooks are relied on",
    file: WEBHOOKS,
    from: "then h.connection_id = users_with_working_webhooks.connection_id",
    to: "then true",
    caughtBy: [
      pgtap(
        "webhook_flag",
        "and proves nothing for the co-host, whose other bookings it does not bring",
      ),
    ],
  },
  {
    breaks: "a click that is put down is forgotten",
    file: SCHEDULE,
    from: "where c.state = 'active' and w.resumable_at <= at and not w.covers_connection",
    to: "where false",
    caughtBy: [
      pgtap("wake_ups", "and is taken up when its time comes, whoever has finished meanwhile"),
    ],
  },
  {
    breaks: "webhook events that wait are deleted",
    file: sql("001100_retention"),
    from: "when old.status = 'dead' then settings.dead_webhook_event_retention",
    to: "else settings.dead_webhook_event_retention",
    caughtBy: [pgtap("retention_events", "what waits is kept, however old")],
  },
  {
    breaks: "health multiplies meetings by webhook events",
    file: sql("001000_health"),
    from: `from public.calendly_meetings m
    where m.calendly_event_uri is not null
    group by m.user_id`,
    to: `from public.calendly_meetings m
    left join public.calendly_webhook_events x on x.user_id = m.user_id
    where m.calendly_event_uri is not null
    group by m.user_id`,
    caughtBy: [pgtap("health_view", "meetings in the calendar are counted")],
  },

  // Connections and rights
  {
    breaks: "credentials are readable",
    file: CONNECTIONS,
    from: "revoke all on calendly.credentials from public, anon, authenticated, service_role;",
    to: "grant select on calendly.credentials to service_role;",
    caughtBy: [
      pgtap("privileges", "every right that is granted has been decided on, and no other"),
    ],
  },
  {
    breaks: "everybody reads everybody's meetings",
    file: sql("000400_meetings"),
    from: `create policy "Users read their own meetings" on public.calendly_meetings
  for select to authenticated
  using (user_id = (select u.id from public.calendly_users u where u.auth_user_id = (select auth.uid())));`,
    to: `create policy "Users read their own meetings" on public.calendly_meetings
  for select to authenticated
  using (true);`,
    caughtBy: [
      pgtap("row_level_security", "of meetings, ana reads none of ben's"),
      pgtap("privileges", "each of them by the account"),
    ],
  },
  {
    breaks: "a signed-in person calls what the functions call",
    file: SCHEDULE,
    from: "grant execute on function public.calendly_claim_sync(jsonb) to service_role;",
    to:
      "grant execute on function public.calendly_claim_sync(jsonb) to service_role, authenticated;",
    caughtBy: [
      pgtap("privileges", "every right that is granted has been decided on, and no other"),
    ],
  },
  {
    breaks: "a token is written to the log",
    file: typescript("_shared/calendly/api"),
    from: "return await ky(`${calendlyUrl()}/${path}`, {",
    to: "console.log(method, path, token);\n      return await ky(`${calendlyUrl()}/${path}`, {",
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
    breaks: "a ciphertext works for another connection",
    file: typescript("_shared/calendly/tokens"),
    from: 'if (protectedHeader.connection !== id) throw new Error("another connection\'s");',
    to: "void protectedHeader;",
    caughtBy: [
      requests("functions/tokens", "Tokens", "a ciphertext works for its own connection only"),
    ],
  },
  {
    breaks: "every instance refreshes the token",
    file: CREDENTIALS,
    from:
      "elsif credential.refresh_ends_at > at or credential.refresh_began_at > at - interval '8 seconds' then",
    to: "elsif false then",
    caughtBy: [pgtap("refresh", "meanwhile the others wait")],
  },
  {
    breaks: "whoever gets hold of an OAuth state may finish with it",
    file: CREDENTIALS,
    from: "where o.state_digest = calendly_take_oauth_state.state_digest and o.user_id = person",
    to: "where o.state_digest = calendly_take_oauth_state.state_digest",
    caughtBy: [
      requests("connections/oauth", "OAuth", "whoever did not set out cannot finish"),
    ],
  },
  {
    breaks: "an OAuth state works for ever",
    file: CREDENTIALS,
    from: "if taken.id is null or taken.created_at < calendly.now() - interval '10 minutes' then",
    to: "if taken.id is null then",
    caughtBy: [
      requests("connections/oauth", "OAuth", "a state works once", "within ten minutes"),
    ],
  },
  {
    breaks: "one Calendly user feeds two accounts",
    file: CONNECTIONS,
    from:
      "where c.calendly_user_uri = uri and c.state <> 'disconnected' and c.user_id <> person) then",
    to: "where false) then",
    caughtBy: [pgtap("connect", "one Calendly user cannot be live in two connections")],
  },
];
