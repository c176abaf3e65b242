/** Rules of the mirror: what is kept of what Calendly shows. */
import { behaviour, type Mutation, pgtap, requests, sql, typescript } from "./mutation.ts";

const EVENTS = sql("000700_events");
const INVITEES = sql("000800_invitees");
const SYNC = sql("000900_sync");

export const MIRROR: Mutation[] = [
  // What becomes of two copies
  {
    breaks: "an older copy overwrites a newer one",
    file: EVENTS,
    from: "when incoming_at < stored_at then stored",
    to: "when incoming_at < stored_at then incoming",
    caughtBy: [behaviour("webhooks", "older never overwrites newer")],
  },
  {
    breaks: "canceled is not final",
    file: EVENTS,
    from: "if canceled is not null and merged ->> 'status' is distinct from 'canceled' then",
    to: "if false then",
    caughtBy: [behaviour("webhooks", "canceled is final")],
  },
  {
    breaks: "at equal times the last copy to come wins",
    file: EVENTS,
    from: "when not stored_by_webhook and not incoming_by_webhook then incoming",
    to: "when true then incoming",
    caughtBy: [pgtap("merge_order", "at equal time every order gives the same row")],
  },
  {
    breaks: "an event's clock is each row's own",
    file: EVENTS,
    from: "where m.calendly_event_uri = c.uri and m.raw is not null",
    to: "where m.calendly_event_uri = c.uri and m.raw is not null and m.user_id = c.user_id",
    caughtBy: [behaviour("webhooks", "an older copy makes no row for a former host")],
  },
  {
    breaks: "a conference's password is kept",
    file: EVENTS,
    from: "event #- '{location,data,password}'",
    to: "event",
    caughtBy: [behaviour("syncs", "a conference's password is not kept")],
  },
  {
    breaks: "an unchanged event is written again",
    file: EVENTS,
    from: `where c.written
    on conflict (user_id, calendly_event_uri) do update`,
    to: `where true
    on conflict (user_id, calendly_event_uri) do update`,
    caughtBy: [behaviour("syncs", "an unchanged event writes nothing")],
  },
  {
    breaks: "a foreign host gets a row",
    file: EVENTS,
    from: `copy.hosts := array(
    select`,
    to: `copy.hosts := array(
    select h.calendly_user_uri from calendly.hosts h union
    select`,
    caughtBy: [behaviour("webhooks", "a foreign host gets nothing")],
  },
  {
    breaks: "a no-show counts by updated_at",
    file: INVITEES,
    from: "when not k.tells then (k.own).no_show_at",
    to:
      "when not k.tells or (k.incoming).updated_at <= (k.own).calendly_updated_at then (k.own).no_show_at",
    caughtBy: [behaviour("webhooks", "a no-show has a clock of its own")],
  },
  {
    breaks: "a reschedule is told by its second half only",
    file: INVITEES,
    from: "where listed.calendly_event_uri = any (event_uris) and known.old_invitee is not null)",
    to: "where false)",
    caughtBy: [
      pgtap(
        "link_reschedules",
        "the new half links an old one that does not know of it",
      ),
    ],
  },
  {
    breaks: "who was forgotten comes back with the next copy",
    file: EVENTS,
    from: "calendly.redact_erased_invitee(invitee - 'scheduled_event')",
    to: "invitee - 'scheduled_event'",
    caughtBy: [behaviour("syncs", "who was forgotten stays forgotten")],
  },

  // Syncs
  {
    breaks: "the last page of a listing is skipped",
    file: SYNC,
    from: "array(select calendly.read_event(e) from jsonb_array_elements(page -> 'collection') e);",
    to: `array(select calendly.read_event(e) from jsonb_array_elements(page -> 'collection') e
    where page ->> 'next_page_token' is not null);`,
    caughtBy: [behaviour("syncs", "nothing is truncated")],
  },
  {
    breaks: "the last page of invitees is skipped",
    file: typescript("_shared/calendly/api"),
    from: "invitees.push(...body.collection);",
    to: "if (body.pagination.next_page_token || !pageToken) invitees.push(...body.collection);",
    caughtBy: [
      requests(
        "functions/large",
        "A large event",
        "300 invitees of one event are read, page by page",
      ),
    ],
  },
  {
    breaks: "a page is asked for by its token without the filters",
    file: SYNC,
    from: "'query', calendly.listed_subject(run) || jsonb_build_object(",
    to: `'query', case when state.page_token is null then calendly.listed_subject(run) else '{}' end
      || jsonb_build_object(`,
    caughtBy: [pgtap("listing", "with every filter repeated")],
  },
  {
    breaks: "a bad row fails its page",
    file: EVENTS,
    from: "when copy.start_time is null then 'start_time is no time'",
    to: "when copy.start_time is null then (1 / 0)::text",
    caughtBy: [behaviour("syncs", "one that cannot be understood holds up no other")],
  },
  {
    breaks: "the listing alone deletes",
    file: SYNC,
    from: "set absent = (select count(*) from calendly.missing_meetings(r)) where r.id = run.id;",
    to: `set absent = (select count(*) from calendly.missing_meetings(r)) where r.id = run.id;
    update public.calendly_meetings m set is_deleted = true, deleted_reason = 'gone', deleted_at = calendly.now()
      from calendly.missing_meetings(run) a where m.user_id = a.user_id and m.calendly_event_uri = a.event_uri;`,
    caughtBy: [behaviour("syncs", "missing is deleted only on proof")],
  },
  {
    breaks: "any failure to read an event proves that it is gone",
    file: SYNC,
    from: "where (r ->> 'status')::integer in (403, 404));",
    to: "where (r ->> 'status')::integer <> 200);",
    caughtBy: [pgtap("absence", "and proves nothing")],
  },
  {
    breaks: "a mass absence is asked for all at once",
    file: SYNC,
    from: "limit greatest(settings.missing_event_lookups - state.missing_event_lookups, 0));",
    to: ");",
    caughtBy: [pgtap("absence", "of a mass absence at most 25 are asked for in a run")],
  },
  {
    breaks: "a failed detail erases what is known",
    file: SYNC,
    from:
      "where r ? 'invitees' and m.calendly_event_uri = r ->> 'event_uri' and m.user_id = any (state.scope) and v.meeting_id = m.id",
    to:
      "where m.calendly_event_uri = r ->> 'event_uri' and m.user_id = any (state.scope) and v.meeting_id = m.id",
    caughtBy: [pgtap("interruptions", "a failed detail request never erases what is known")],
  },
  {
    breaks: "what came in while a step was under way is taken for old",
    file: SYNC,
    from: "asked_at constant timestamptz := run.heartbeat_at;",
    to: "asked_at constant timestamptz := calendly.now();",
    caughtBy: [
      pgtap("under_way", "whoever came since the step was given out is not erased by it"),
    ],
  },
  {
    breaks: "the lease's token is ignored",
    file: SYNC,
    from: "where o.run_id = check_lease.run_id and o.lease = check_lease.lease;",
    to: "where o.run_id = check_lease.run_id;",
    caughtBy: [pgtap("apply_step", "only the holder of the lease brings anything")],
  },
  {
    breaks: "the lease is not extended",
    file: SYNC,
    from:
      "set doing = state.doing, lease_expires_at = at + make_interval(secs => wait_seconds) + settings.lease_duration,",
    to: "set doing = state.doing,",
    caughtBy: [pgtap("apply_step", "from the last step on")],
  },
  {
    breaks: "an answer that is brought twice counts twice",
    file: SYNC,
    from: `if step = state.step - 1 then
    return calendly.next_step(state.run_id);  -- applied before; the answer was lost
  elsif step <> state.step then`,
    to: "if step not in (state.step, state.step - 1) then",
    caughtBy: [
      requests(
        "functions/resumption",
        "Resumption",
        "an answer of Postgres that is lost counts once",
        "of a page or of invitees",
      ),
    ],
  },
  {
    breaks: "a step's number is ignored",
    file: SYNC,
    from: "elsif step <> state.step then",
    to: "elsif false then",
    caughtBy: [pgtap("apply_step", "a step that was not asked for is refused")],
  },
  {
    breaks: "an INCREMENTAL sync counts as the first FULL one",
    file: SYNC,
    from: "u.calendly_initial_sync_complete or run.sync_type = 'FULL'",
    to: "true",
    caughtBy: [pgtap("finish_sync", "is not set by it")],
  },
  {
    breaks: "a person syncs somebody else",
    file: SYNC,
    from: "if (request ->> 'user_id')::integer <> person.id then",
    to: "if false then",
    caughtBy: [pgtap("begin_sync", "an account cannot sync somebody else")],
  },
  {
    breaks: "what jsonb refuses is sent to it",
    file: typescript("_shared/calendly/json"),
    from: String.raw`text.toWellFormed().replace(/\u0000/g, "\uFFFD")`,
    to: "text",
    caughtBy: [
      requests(
        "functions/bad_data",
        "Bad data",
        "text that Postgres refuses",
        "NUL and lone surrogates become U+FFFD, everywhere",
      ),
    ],
  },
  {
    breaks: "a URI goes into an address as it is",
    file: typescript("_shared/calendly/api"),
    from: 'return encodeURIComponent(uri.slice(uri.lastIndexOf("/") + 1));',
    to: 'return uri.slice(uri.lastIndexOf("/") + 1);',
    caughtBy: [
      requests(
        "functions/bad_data",
        "Bad data",
        "a URI is a name: no address, and no part of one but the last",
      ),
    ],
  },
  {
    breaks: "a redirect is followed with the token",
    file: typescript("_shared/calendly/api"),
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
];
