/** Rules of deliveries: which are authentic, which are the same, what they bring. */
import { behaviour, type Mutation, pgtap, requests, sql, typescript } from "./mutation.ts";

const DELIVERY = sql("700_webhook_delivery");
const SUBSCRIPTIONS = sql("320_webhook_subscriptions");

export const WEBHOOKS: Mutation[] = [
  {
    breaks: "deliveries are deduplicated by event",
    file: DELIVERY,
    from: "(body #>> '{payload,uri}') || ' '\n",
    to: "(body #>> '{payload,scheduled_event,uri}') || ' '\n",
    caughtBy: [
      pgtap("webhook_delivery_id", "the second attendee of a group event is another delivery"),
    ],
  },
  {
    breaks: "a cancellation is taken for a repetition of its booking",
    file: DELIVERY,
    from: "name constant text := body ->> 'event' || ' ' || (body",
    to: "name constant text := (body",
    caughtBy: [
      pgtap("webhook_delivery_id", "a cancellation is another delivery than the booking"),
    ],
  },
  {
    breaks: "a canceled invitee cancels a group event",
    file: DELIVERY,
    from: `    body #> '{payload,scheduled_event}', apply_delivery.user_id);`,
    to: `    (body #> '{payload,scheduled_event}')
      || case body ->> 'event' when 'invitee.canceled' then '{"status": "canceled"}' else '{}' end::jsonb,
    apply_delivery.user_id);`,
    caughtBy: [behaviour("webhooks", "a canceled invitee does not cancel a group event")],
  },
  {
    breaks: "a delivery is applied while people are being erased",
    file: DELIVERY,
    from: `    to_timestamp((delivery ->> 'signed_at')::double precision), now_at);
  perform calendly.lock_against_erasure();`,
    to: "    to_timestamp((delivery ->> 'signed_at')::double precision), now_at);",
    caughtBy: [
      pgtap(
        "lock_order",
        "a delivery holds off erasures and typed statements about people",
      ),
    ],
  },
  {
    breaks: "dead deliveries are replayed with one event locked after the other",
    file: DELIVERY,
    from: `  perform calendly.lock_events(array(
    select uri from unnest(dead) d, unnest(calendly.events_of_delivery(d.payload)) uri));
`,
    to: "",
    caughtBy: [
      pgtap("replay_dead", "all events are locked before the first meeting is written"),
    ],
  },
  {
    breaks: "all that is dead is replayed, since whenever it was asked for",
    file: DELIVERY,
    from: " and e.created_at >= coalesce(since, '-infinity')",
    to: "",
    caughtBy: [
      pgtap("replay_dead", "what is dead and came since then is replayed, and counted"),
    ],
  },
  {
    breaks: "a delivery is stored with the conference's password",
    file: DELIVERY,
    from: "calendly.without_conference_password(body #> '{payload,scheduled_event}'))",
    to: "body #> '{payload,scheduled_event}')",
    caughtBy: [behaviour("webhooks", "a conference's password is not stored")],
  },
  {
    breaks: "a delivery's payload is removed at any age",
    file: sql("820_retention"),
    from: "old.payload is not null and old.created_at < kept_after",
    to: "old.payload is not null",
    caughtBy: [
      pgtap("retention_events", "deferred and dead events keep their payload, younger ones too"),
    ],
  },
  {
    breaks: "a live update is sent to whoever owns the connection",
    file: sql("120_connections"),
    from: "and c.scope = 'organization' and c.members = 'everyone' and c.state <> 'disconnected'",
    to: "and c.scope = 'organization' and c.state <> 'disconnected'",
    caughtBy: [
      pgtap(
        "schedule_live_updates",
        "the owner of a connection with members accounts is told of the own rows only",
      ),
    ],
  },
  {
    breaks: "a delivery that is not understood is given up at once",
    file: sql("550_deferred_deliveries"),
    from: "when w.attempts >= max_attempts or named.event_uri is null then 'dead'",
    to: "when true then 'dead'",
    caughtBy: [pgtap("webhook_deferred", "a delivery is still deferred after four syncs")],
  },

  // Authenticity
  {
    breaks: "a signature of any age is accepted",
    file: DELIVERY,
    from: "if signed_at < oldest or signed_at > newest then",
    to: "if signed_at > newest then",
    caughtBy: [pgtap("webhook_receive", "a signature older than 25 hours is refused")],
  },
  {
    breaks: "a signature from the future is accepted",
    file: DELIVERY,
    from: "if signed_at < oldest or signed_at > newest then",
    to: "if signed_at < oldest then",
    caughtBy: [
      pgtap("webhook_receive", "a signature of more than five minutes ahead is refused"),
    ],
  },
  {
    breaks: "Calendly's late repetitions are refused",
    file: DELIVERY,
    from: "oldest constant timestamptz := now_at - interval '25 hours';",
    to: "oldest constant timestamptz := now_at - interval '5 minutes';",
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
    file: DELIVERY,
    from: "    not connection.webhooks_wanted\n    -- Of one",
    to: "    false\n    -- Of one",
    caughtBy: [
      pgtap("webhook_receive", "a subscription of a connection that has ended is not wanted"),
    ],
  },
  {
    breaks: "what strangers send is logged line by line",
    file: typescript("calendly-webhook/index"),
    from: 'const FROM_ANYBODY = ["not_authentic", ',
    to: "const FROM_ANYBODY = [",
    caughtBy: [
      requests(
        "webhooks/reports",
        "a delivery that is refused is in the log with its reason, and nothing of it",
      ),
    ],
  },
  {
    breaks: "a subscription whose making was never answered stays at Calendly",
    file: sql("330_revocations"),
    from: "where w.connection_id = c.id and w.uri is null),",
    to: "where false),",
    caughtBy: [
      requests(
        "connections/disconnect",
        "Disconnecting",
        "while a sync, a refresh or a subscription is being worked on",
        "one whose making was never answered is found by its address",
      ),
    ],
  },
  {
    breaks: "a replaced subscription is told at once that nobody wants it",
    file: DELIVERY,
    from: "or subscription.ended_at < now_at - interval '2 days')",
    to: "or true)",
    caughtBy: [
      pgtap("webhook_receive", "what a replaced subscription delivers late counts"),
    ],
  },
  {
    breaks: "a subscription that is not known is ended at Calendly",
    file: DELIVERY,
    from: "perform calendly.raise_error('not_authentic', 'There is no such subscription.');",
    to: "perform calendly.raise_error('subscription_ended', 'There is no such subscription.');",
    caughtBy: [
      pgtap("webhook_receive", "a subscription that is not ours is refused"),
    ],
  },

  // Which webhooks are relied on
  {
    breaks: "a co-host's webhooks are relied on",
    file: DELIVERY,
    from: "u.connection_id = users_with_working_webhooks.connection_id",
    to: "true",
    caughtBy: [
      pgtap("webhook_flag", "the subscription of one host enables nothing for the co-host"),
    ],
  },
  {
    breaks: "a delivery enables webhooks without a proof",
    file: DELIVERY,
    from: "update public.calendly_users u set last_calendly_sync = now_at where",
    to: `update public.calendly_users u
    set last_calendly_sync = now_at, calendly_webhook_enabled = true where`,
    caughtBy: [
      pgtap("webhook_deferred", "a replay does not prove that webhooks arrive"),
    ],
  },
  {
    breaks: "webhooks of a former connection are relied on",
    file: sql("120_connections"),
    from: "  perform calendly.set_webhook_enabled(moving, delivers);\n",
    to: "",
    caughtBy: [pgtap("webhook_flag", "it is disabled for a member who connects alone")],
  },
  {
    breaks: "a subscription that cannot be looked at is relied on",
    file: SUBSCRIPTIONS,
    from: "      and (not temporary or connection.webhooks_unseen_since <= now_at - patience) then",
    to: "      and connection.webhooks_unseen_since <= now_at - patience then",
    caughtBy: [
      pgtap(
        "unseen_subscription",
        "a subscription that Calendly does not show is not relied on",
      ),
    ],
  },
  {
    breaks: "a failure of our own database ends the trust in a subscription",
    file: SUBSCRIPTIONS,
    from: "      'not_configured')) is not true then\n    return;",
    to: "      'not_configured')) is not true and code is null then\n    return;",
    caughtBy: [
      pgtap(
        "unseen_subscription",
        "a failure of our own database or functions says nothing of a subscription",
      ),
    ],
  },
  {
    breaks: "an outage of days says nothing of a subscription",
    file: SUBSCRIPTIONS,
    from:
      "    set webhooks_checked_at = case when temporary then c.webhooks_checked_at else now_at end,\n" +
      "      webhooks_unseen_since = case when c.webhooks_wanted\n" +
      "        then coalesce(c.webhooks_unseen_since, now_at) end,",
    to:
      "    set webhooks_checked_at = case when temporary then c.webhooks_checked_at else now_at end,\n" +
      "      webhooks_unseen_since = now_at,",
    caughtBy: [pgtap("unseen_subscription", "it does when it lasts longer")],
  },
  {
    breaks: "an organization that is not told counts as left",
    file: SUBSCRIPTIONS,
    from: "if organization is null or organization = connection.calendly_organization_uri then",
    to: "if organization is not distinct from connection.calendly_organization_uri then",
    caughtBy: [
      pgtap("unseen_subscription", "which stays"),
    ],
  },
  {
    breaks: "the organization is learnt once",
    file: typescript("_shared/calendly/subscriptions"),
    from: "    organization: current_organization ?? null,\n",
    to: "    organization: current_organization && null,\n",
    caughtBy: [
      requests(
        "connections/unseen_subscriptions",
        "People who change their organization",
        "a person's webhooks",
        "are made anew there within a day, and the gap is synced",
      ),
    ],
  },
  {
    breaks: "an organization's connection changes over to another organization",
    file: SUBSCRIPTIONS,
    from: "  elsif connection.scope = 'organization' then",
    to: "  elsif false then",
    caughtBy: [
      pgtap(
        "unseen_subscription",
        "the connection of an organization does not change over to another one",
      ),
    ],
  },
  {
    breaks: "deliveries of an ended connection wait for ever",
    file: sql("550_deferred_deliveries"),
    from: "      where u.id = e.user_id and u.connection_id is not null)\n",
    to: "      where u.id = e.user_id)\n",
    caughtBy: [
      pgtap("webhook_deferred", "what waits for an ended connection is settled"),
    ],
  },
  {
    breaks: "a delivery that another user needs is ignored",
    file: sql("550_deferred_deliveries"),
    from: "    where m.calendly_event_uri = calendly.delivered_event_uri(e.payload)\n",
    to: "    where false\n",
    caughtBy: [
      pgtap("webhook_deferred", "else it waits for the sync of somebody who has"),
    ],
  },
];
