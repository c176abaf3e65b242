/** Rules about what is stored: merging snapshots, hosts, invitees, erasure. */
import { behaviour, type Mutation, pgtap, sql } from "./mutation.ts";

const READ = sql("500_read_snapshots");
const MERGE = sql("510_merge_snapshots");
const EVENTS = sql("520_apply_events");
const INVITEES = sql("530_apply_invitees");
const HOSTS = sql("540_meet_hosts");
const ERASURE = sql("400_erasure");
const MEETINGS_TABLE = sql("200_meetings");

export const MEETINGS: Mutation[] = [
  // Keys
  {
    breaks: "the checks of foreign keys read all meetings of a user",
    file: sql("200_meetings"),
    from: "alter table public.calendly_meetings\n  add primary key (id, user_id);\n",
    to: `alter table public.calendly_meetings
  add primary key (id, user_id);
create index calendly_meetings_last_idx on public.calendly_meetings (user_id, start_time);
`,
    caughtBy: [pgtap("kept_plans", "applying a hundred new invitees reads their meetings")],
  },
  // Merging
  {
    breaks: "an older snapshot overwrites a newer one",
    file: MERGE,
    from: "when incoming_at < stored_at then stored",
    to: "when incoming_at < stored_at then incoming",
    caughtBy: [behaviour("webhooks", "an older snapshot does not overwrite a newer one")],
  },
  {
    breaks: "canceled is not final",
    file: MERGE,
    from: "if canceled is null or merged ->> 'status' = 'canceled' then",
    to: "if true then",
    caughtBy: [behaviour("webhooks", "a canceled meeting stays canceled")],
  },
  {
    breaks: "at equal times the last snapshot to come wins",
    file: MERGE,
    from: "when not stored_by_webhook and not incoming_by_webhook then incoming",
    to: "when true then incoming",
    caughtBy: [pgtap("merge_order", "at equal time every order gives the same row")],
  },
  {
    breaks: "the time of an event is each row's own",
    file: EVENTS,
    from: "where m.calendly_event_uri = c.event_uri and m.raw is not null",
    to: "where m.calendly_event_uri = c.event_uri and m.raw is not null and m.user_id = c.user_id",
    caughtBy: [
      behaviour("webhooks", "an older snapshot makes no meeting for a former host"),
    ],
  },
  {
    breaks: "an unchanged event is written again",
    file: EVENTS,
    from: `    where c.written
    on conflict (user_id, calendly_event_uri) do update`,
    to: `    where true
    on conflict (user_id, calendly_event_uri) do update`,
    caughtBy: [behaviour("syncs", "an unchanged event writes nothing")],
  },
  {
    breaks: "a page takes what only a webhook has told for what the API shows",
    file: EVENTS,
    from:
      "and m.is_deleted = (m.status = 'canceled') and listed.uri <> all (s.webhook_sourced_uris)",
    to: "and m.is_deleted = (m.status = 'canceled')",
    caughtBy: [pgtap("known_events", "an event that only a webhook has told is not known")],
  },
  {
    breaks: "a page does not see that somebody else has a newer snapshot",
    file: EVENTS,
    from: "and stored.newest is not distinct from stored.own;",
    to: ";",
    caughtBy: [
      pgtap("known_events", "an event is not known where somebody else has a newer snapshot"),
    ],
  },
  {
    breaks: "an event that cannot be used fails its page",
    file: READ,
    from: "when e.start_time is null then 'start_time is no time'",
    to: "when e.start_time is null then (1 / length(''))::text",
    caughtBy: [behaviour("syncs", "an event that cannot be used does not stop the others")],
  },

  // Hosts
  {
    breaks: "everybody who is kept gets every meeting",
    file: READ,
    from: "order by named.uri)",
    to: `order by named.uri)
    || array(select u.calendly_user_uri from public.calendly_users u)`,
    caughtBy: [behaviour("webhooks", "a host who is not kept gets no meeting")],
  },
  {
    breaks: "a host whose connection has ended gets the news",
    file: EVENTS,
    from: "where u.calendly_user_uri = named.uri and u.connection_id is not null",
    to: "where u.calendly_user_uri = named.uri",
    caughtBy: [behaviour("webhooks", "a host whose connection has ended gets no more news")],
  },
  {
    breaks: "with members accounts every host is kept",
    file: HOSTS,
    from: "and (connection.members = 'everyone'\n      or",
    to: "and (true\n      or",
    caughtBy: [pgtap("organization", "a host without an account has no row")],
  },
  {
    breaks: "with members everyone only hosts with an account are kept",
    file: HOSTS,
    from: "and (connection.members = 'everyone'\n      or",
    to: "and (false\n      or",
    caughtBy: [pgtap("organization", "with members everyone each host has the meeting once")],
  },
  {
    breaks: "an organization takes in whoever has ended their own connection",
    file: HOSTS,
    from: "where not exists (select from public.calendly_connections k where k.user_id = u.id)",
    to: "where true",
    caughtBy: [
      pgtap("erase_member", "and is left out by the organization from then on"),
    ],
  },
  {
    breaks: "whoever was only taken over is kept from the organization that has them",
    file: HOSTS,
    from: "(u.connection_id = any (former_connections)",
    to: "(false",
    caughtBy: [
      pgtap(
        "former_members",
        "somebody whom no listing has named is given up to the organization whose listing does",
      ),
    ],
  },
  {
    breaks: "another organization takes a member whom a listing has named",
    file: HOSTS,
    from: "and u.calendly_user_uri = any (first_listed);\n  kept :=",
    to: "and false;\n  kept :=",
    caughtBy: [pgtap("former_members", "and keeps whom its listing has named")],
  },
  {
    breaks: "hosts that a listing names are not counted",
    file: HOSTS,
    from: "select run.id, h.calendly_user_uri from calendly.listed_hosts(events) h",
    to: "select run.id, h.calendly_user_uri from calendly.listed_hosts(events) h where false",
    caughtBy: [pgtap("organization", "the run counts the hosts without an account")],
  },

  // Invitees
  {
    breaks: "a no-show counts by updated_at",
    file: INVITEES,
    from: "if not incoming.content ? 'no_show' then",
    to: `if not incoming.content ? 'no_show'
      or incoming.updated_at <= stored.calendly_updated_at then`,
    caughtBy: [behaviour("webhooks", "a no-show counts although updated_at has not moved")],
  },
  {
    breaks: "only the canceled half of a reschedule links the meetings",
    file: INVITEES,
    from: "where v.old_invitee is not null\n    ) affected (uri)",
    to: "where false\n    ) affected (uri)",
    caughtBy: [
      pgtap(
        "link_reschedules",
        "the new invitee links an old meeting whose invitee does not tell of it",
      ),
    ],
  },
  {
    breaks: "a delivery does not look whether a new booking replaces its invitee",
    file: INVITEES,
    from: "or exists (select from public.calendly_invitees v where v.old_invitee = invitee.uri)",
    to: "or false",
    caughtBy: [
      pgtap(
        "link_reschedules",
        "a delivery links an old meeting whose invitee does not tell of the new one",
      ),
    ],
  },

  // Where a meeting takes place
  {
    breaks: "a link that the host typed is no join_url",
    file: MEETINGS_TABLE,
    from: "    join_url := calendly.link_of(typed);",
    to: "    join_url := null;",
    caughtBy: [pgtap("locations", "a link that the host typed is the link, and no location")],
  },
  {
    breaks: "a link that the invitee typed is behind the app's button",
    file: MEETINGS_TABLE,
    from: "(lower(location_type) in ('ask_invitee', 'outbound_call')) is not true",
    to: "true",
    caughtBy: [
      pgtap(
        "locations",
        "a link that the invitee typed is a location: the host has not chosen it",
      ),
    ],
  },
  {
    breaks: "a script is a link",
    file: MEETINGS_TABLE,
    from: "value ~* '^https?://[^/?#]'",
    to: "value ~* '^[a-z]+:'",
    caughtBy: [pgtap("locations", "a script is no conference's link either")],
  },

  // What Calendly leaves out
  {
    breaks: "an event without hosts in the person's own listing is nobody's",
    file: sql("630_sync_apply_events"),
    from: "      then array[run.subject] end);",
    to: "      then null::text[] end);",
    caughtBy: [
      pgtap(
        "missing_values",
        "an event is kept whichever value it lacks, except its name and its start",
      ),
    ],
  },
  {
    breaks: "an event without hosts that a person's subscription brings waits for a listing",
    file: sql("700_webhook_delivery"),
    from: "return case when own_uri is null or own_uri = any (event.hosts) then event",
    to: "return case when own_uri is null or true then event",
    caughtBy: [
      pgtap(
        "missing_values",
        "an event without hosts that a person's own subscription brings is theirs",
      ),
    ],
  },
  {
    breaks: "an event without hosts that a person's token fetched is nobody's",
    file: sql("630_sync_apply_events"),
    from: "when (context.connection).scope = 'user' then array[(context.run).subject] end;",
    to: "when false then array[(context.run).subject] end;",
    caughtBy: [
      pgtap("missing_values", "an event without hosts that a person's token fetched is theirs"),
    ],
  },
  {
    breaks: "an event that names no host any more is lost to those who have it",
    file: READ,
    from: "then coalesce(unnamed_hosts, calendly.users_with_meeting(e.uri))",
    to: "then coalesce(unnamed_hosts, '{}')",
    caughtBy: [
      pgtap(
        "missing_values",
        "a delivery of an event without hosts is for those who have the meeting",
      ),
    ],
  },
  {
    breaks: "an event or an invitee without a status is lost",
    file: READ,
    from: '    else sent || \'{"status": "active"}\'',
    to: "    else sent",
    caughtBy: [
      pgtap("read_event", "an event without a status is active"),
      pgtap("read_invitee", "an invitee without a status is active"),
    ],
  },
  {
    breaks: "an event without an end is lost",
    file: READ,
    from: "when e.end_time is null and sent.event ->> 'end_time' is not null",
    to: "when e.end_time is null",
    caughtBy: [
      pgtap(
        "missing_values",
        "an event is kept whichever value it lacks, except its name and its start",
      ),
    ],
  },

  // What may be stored
  {
    breaks: "a conference's password is stored",
    file: READ,
    from: "when 'object' then event #- '{location,data,password}'",
    to: "when 'object' then event",
    caughtBy: [behaviour("syncs", "a conference's password is not stored")],
  },
  {
    breaks: "an erased invitee comes back with the next snapshot",
    file: READ,
    from: "calendly.redact_erased_invitee(sent.invitee - 'scheduled_event')",
    to: "sent.invitee - 'scheduled_event'",
    caughtBy: [behaviour("syncs", "an erased invitee is not stored again")],
  },
  {
    breaks: "an invitee without an e-mail is taken for one who was erased",
    file: ERASURE,
    from: "invitee.raw -> 'erased' = 'true'",
    to: "invitee.raw -> 'email' = 'null'",
    caughtBy: [pgtap("erase_everywhere", "it stays when it is fetched again")],
  },
  {
    breaks: "an erased person's e-mail stays in what others have written",
    file: ERASURE,
    from: "when calendly.names_erased(invitee) then calendly.redact_erased_json(invitee)",
    to: "when false then invitee",
    caughtBy: [pgtap("erase_everywhere", "from an answer the e-mail alone is removed")],
  },
  {
    breaks: "deliveries of an unknown shape still tell of an erased person",
    file: ERASURE,
    from: "when calendly.is_erased(value ->> 'email') then calendly.redacted_invitee(value)",
    to: "when false then value",
    caughtBy: [pgtap("erase_everywhere", "the person is stored nowhere")],
  },
  {
    breaks: "full-width letters make another e-mail",
    file: MEETINGS_TABLE,
    from: "else normalize(translate(content, without_width, ''), nfkc) end;",
    to: "else normalize(translate(content, without_width, ''), nfc) end;",
    caughtBy: [pgtap("erase_everywhere", "the person is stored nowhere")],
  },
  {
    breaks: "an e-mail beside a mark of another script is not found",
    file: MEETINGS_TABLE,
    from: "(?:@|%%40)[%1$s-]+(?:\\.[%1$s-]+)*', letters), 'g')",
    to: "(?:@|%%40)[%1$s-]+(?:\\.[%1$s-]+)*', letters), 'g') where false",
    caughtBy: [pgtap("erase_everywhere", "an e-mail is found whatever stands next to it")],
  },
  {
    breaks: "an e-mail behind an underscore is not found",
    file: MEETINGS_TABLE,
    from: "(substring(found.words[1] from format('[%s][^/?&=#!]*$', letters)))) form (word)",
    to: "(found.words[1])) form (word)",
    caughtBy: [pgtap("erase_everywhere", "an e-mail is found whatever stands next to it")],
  },
  {
    breaks: "a delivery's error names a person",
    file: sql("700_webhook_delivery"),
    from: "calendly.without_emails(sqlerrm)",
    to: "sqlerrm",
    caughtBy: [pgtap("erase_everywhere", "its error has no e-mail")],
  },
  {
    breaks: "a failure of an own table names a person",
    file: sql("850_own_tables"),
    from: "coalesce(calendly.without_emails(calendly_record_own_table_failure.error), '')",
    to: "coalesce(calendly_record_own_table_failure.error, '')",
    caughtBy: [pgtap("own_tables", "a failure keeps no e-mail")],
  },
  {
    breaks: "a rejection names a person",
    file: sql("610_sync_lease_and_progress"),
    from: "'uri', calendly.without_emails(p ->> 'uri')",
    to: "'uri', p ->> 'uri'",
    caughtBy: [pgtap("erase_everywhere", "a rejection has no e-mail")],
  },
  {
    breaks: "erasing an invitee does not wait for those who write",
    file: ERASURE,
    from: "perform calendly.lock_for_erasure();",
    to: "perform calendly.lock_against_erasure();",
    caughtBy: [pgtap("lock_order", "erasing an invitee waits for everybody who writes")],
  },
];
