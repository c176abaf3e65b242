/** Rules of a sync: steps, leases, proofs, ends, the schedule. */
import { behaviour, type Mutation, pgtap, requests, sql, typescript } from "./mutation.ts";

const PLANNING = sql("600_sync_planning");
const LEASE = sql("610_sync_lease_and_progress");
const NEXT = sql("620_sync_next_step");
const APPLY = sql("630_sync_apply_events");
const FETCHED = sql("640_sync_apply_invitees");
const RPCS = sql("660_sync_rpcs");
const SCHEDULE = sql("830_schedule");

export const SYNCS: Mutation[] = [
  // Listing
  {
    breaks: "the last page of a listing is skipped",
    file: APPLY,
    from: "events constant jsonb := result_page -> 'collection';",
    to: `events constant jsonb := case when result_page ->> 'next_page_token' is null then '[]'
    else result_page -> 'collection' end;`,
    caughtBy: [
      behaviour("syncs", "all events and all invitees are stored, however many there are"),
    ],
  },
  {
    breaks: "the last page of invitees is skipped",
    file: typescript("_shared/calendly/api"),
    from: "rows.push(...page.collection);",
    to: "if (next !== null) rows.push(...page.collection);",
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
    file: NEXT,
    from: "    'min_start_time', calendly.to_calendly((context.state).list_after),\n",
    to: `    'min_start_time', case when (context.state).page_token is null
      then calendly.to_calendly((context.state).list_after) end,
`,
    caughtBy: [pgtap("listing", "the query of the next page repeats every filter")],
  },

  // Proof
  {
    breaks: "the listing alone deletes",
    file: APPLY,
    from: "  state.page_token := next_page_token;\n",
    to: `  state.page_token := next_page_token;
  update public.calendly_meetings m
    set is_deleted = true, deleted_reason = 'gone', deleted_at = calendly.now()
    from calendly.run_missing x
    where next_page_token is null and x.run_id = run.id
      and m.calendly_event_uri = x.event_uri and m.user_id = any (state.user_ids);
`,
    caughtBy: [
      behaviour("syncs", "a missing meeting is deleted only once its event is proven to be gone"),
    ],
  },
  {
    breaks: "any failure to fetch an event proves that it is gone",
    file: APPLY,
    from: "where (r ->> 'status')::integer in (403, 404));",
    to: "where (r ->> 'status')::integer <> 200);",
    caughtBy: [pgtap("missing_events", "an event that answers anything else is kept")],
  },
  {
    breaks: "any number of missing events is fetched in one run",
    file: NEXT,
    from: "    limit greatest(max_events, 0));",
    to: "    limit case when max_events > 0 then 1000 else 0 end);",
    caughtBy: [pgtap("missing_events", "at most 25 missing events are fetched in a run")],
  },
  {
    breaks: "a failed request for invitees erases the stored ones",
    file: FETCHED,
    from: "where r ? 'invitees' and not r ? 'problem' and m.user_id = any (user_ids)\n",
    to: "where m.user_id = any (user_ids)\n",
    caughtBy: [
      pgtap("interruptions", "invitees that cannot be fetched keep what is stored"),
    ],
  },
  {
    breaks: "an invitee whom a webhook brings during a step is taken for an old one",
    file: FETCHED,
    from: "step_began_at constant timestamptz := (context.state).step_began_at;",
    to: "step_began_at constant timestamptz := calendly.now();",
    caughtBy: [
      pgtap(
        "concurrent_news",
        "an invitee whom a webhook brings is kept though the event's counter agrees with the reading",
      ),
    ],
  },

  {
    breaks: "readings that began ahead of their step count as begun with it",
    file: RPCS,
    from: "  context.state.step_began_at := (context.state).ahead_began_at;\n",
    to: "  context.state.step_began_at := null;\n",
    caughtBy: [
      pgtap("read_ahead", "an invitee who came while they were read ahead is not taken for erased"),
    ],
  },
  {
    breaks: "a page passes over events without noting that they are missing",
    file: APPLY,
    from: "    coalesce(listed_from, run.min_start_time),\n",
    to: "    coalesce(state.listed_until, run.min_start_time),\n",
    caughtBy: [
      pgtap("read_pages", "what earlier pages have passed without showing it is missing"),
    ],
  },

  // Leases and steps
  {
    breaks: "a worker without the lease may write",
    file: LEASE,
    from: "if (context.state).lease = check_lease.lease is not true then",
    to: "if (context.state).lease is null then",
    caughtBy: [pgtap("apply_step", "a worker with another lease cannot apply a step")],
  },
  {
    breaks: "a step does not extend the lease",
    file: NEXT,
    from: "  state.lease_expires_at := record_step.lease_expires_at;\n",
    to: "",
    caughtBy: [pgtap("apply_step", "a step extends the lease")],
  },
  {
    breaks: "a step that is brought twice counts twice",
    file: RPCS,
    from: `if step = asked_step - 1 then
    return calendly.next_step(context);  -- applied before, and the answer was lost
  elsif step <> asked_step then`,
    to: "if step not in (asked_step, asked_step - 1) then",
    caughtBy: [pgtap("apply_step", "a step that is brought twice counts once")],
  },
  {
    breaks: "the number of a step is ignored",
    file: RPCS,
    from: "elsif step <> asked_step then",
    to: "elsif false then",
    caughtBy: [pgtap("apply_step", "a step that was not asked for is refused")],
  },
  {
    breaks: "a page is applied while people are being erased",
    file: LEASE,
    from: "  perform calendly.lock_against_erasure();\n",
    to: "",
    caughtBy: [pgtap("lock_order", "a page that is applied holds off erasures")],
  },

  // Ends
  {
    breaks: "an INCREMENTAL sync counts as the first FULL one",
    file: RPCS,
    from: "calendly_initial_sync_complete = u.calendly_initial_sync_complete or sync_type = 'FULL'",
    to: "calendly_initial_sync_complete = true",
    caughtBy: [
      pgtap(
        "finish_sync",
        "an INCREMENTAL sync does not set a flag that was cleared meanwhile",
      ),
    ],
  },
  {
    breaks: "functions that are too old fail the run",
    file: RPCS,
    from: "'token_unreadable', 'not_configured') then",
    to: "'token_unreadable', 'not_configured', 'functions_outdated') then",
    caughtBy: [pgtap("sync_errors", "a step that the functions do not know pauses the run")],
  },
  {
    breaks: "an account syncs another person",
    file: sql("100_users"),
    from: "if requested_id is not null and requested_id is distinct from own_id then",
    to: "if false then",
    caughtBy: [pgtap("begin_sync", "an account cannot sync another person")],
  },

  // Calendly
  {
    breaks: "text that jsonb refuses is sent to Postgres",
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
    breaks: "a URI goes into a path as it is",
    file: typescript("_shared/calendly/api"),
    from: "return encodeURIComponent(segment);",
    to: "return segment;",
    caughtBy: [
      requests("functions/calendly_requests", "a URI that names no resource is not asked for"),
    ],
  },
  {
    breaks: "what was read ahead and not asked for is used by a later step",
    file: typescript("_shared/calendly/step_reader"),
    from: "    this.#pageAhead = this.#inviteesAhead = undefined;\n",
    to: "",
    caughtBy: [
      requests("functions/reading_ahead", "what was dropped is not used by a later step"),
    ],
  },
  {
    breaks: "what is read ahead is left alone when the run ends",
    file: typescript("_shared/calendly/sync"),
    from: "    await reader.end();\n",
    to: "",
    caughtBy: [requests("functions/reading_ahead", "what is read ahead ends with the run")],
  },
  {
    breaks: "more is read ahead than Calendly's last answers left",
    file: typescript("_shared/calendly/step_reader"),
    from: "const remaining = usage.rate?.remaining ?? Infinity;",
    to: "const remaining = Infinity;",
    caughtBy: [
      requests(
        "functions/reading_ahead",
        "no more is read ahead than Calendly's last answers left",
      ),
    ],
  },
  {
    breaks: "a failure of what was read ahead is taken after the wait for it",
    file: typescript("_shared/calendly/ahead"),
    from: "        this.#begun.delete(name);\n",
    to: "",
    caughtBy: [
      requests(
        "functions/reading_ahead",
        "what failed ahead is read anew by the step that asks for it",
      ),
    ],
  },
  {
    breaks: "a rate limit that has reset is waited for again",
    file: typescript("_shared/calendly/api"),
    from: "return reset > 0 ? { limit, remaining, reset } : undefined;",
    to: "return { limit, remaining, reset };",
    caughtBy: [
      requests(
        "functions/reading_ahead",
        "a rate limit that has reset since it was told is not reported",
      ),
    ],
  },
  {
    breaks: "an answer that was overtaken tells the rate limit",
    file: typescript("_shared/calendly/api"),
    from: "    if (known && known.remaining < remaining) return;\n",
    to: "",
    caughtBy: [
      requests(
        "functions/reading_ahead",
        "of answers that overtake each other the lowest rate limit counts",
      ),
    ],
  },
  {
    breaks: "an unknown value of the database is taken for a missing key",
    file: typescript("_shared/calendly/contract"),
    from: "throw unknownWord ? functionsOutdated(place) : new ApiError(",
    to: "throw new ApiError(",
    caughtBy: [
      requests("functions/contract", "an unknown value is told apart from a missing key"),
    ],
  },

  // The schedule
  {
    breaks: "scheduled work takes the reserve too",
    file: NEXT,
    from: "case when (context.run).trigger = 'scheduled'",
    to: "case when (context.run).trigger = ''",
    caughtBy: [
      pgtap("rate_limit", "a scheduled run pauses when only the reserve is left"),
    ],
  },
  {
    breaks: "there are more workers than slots",
    file: SCHEDULE,
    from: "    if free_slot is not null then",
    to: "    if true then",
    caughtBy: [pgtap("schedule_claim", "no more runs are claimed than there are slots")],
  },
  {
    breaks: "clicks take the place of no scheduled run",
    file: SCHEDULE,
    from:
      "(select s.max_workers from calendly.settings s) - calendly.running_workers(now_at));\nend",
    to: "(select s.max_workers from calendly.settings s));\nend",
    caughtBy: [
      pgtap("schedule_claim", "a click takes a slot, whichever of them are taken"),
    ],
  },
  {
    breaks: "claims at once fill the same slot",
    file: SCHEDULE,
    from: "where pg_try_advisory_xact_lock(hashtext('calendly.slot'), free)",
    to: "where true",
    caughtBy: [{
      file: "tests/schedule/claims.test.ts",
      test:
        "a claim waits for no other, and slots of claims that are not committed yet are not free",
      real: true,
    }],
  },
  {
    breaks: "each nudge of a stranger writes",
    file: sql("050_project"),
    from:
      "if (project.unanswered_since is not null and found_at is null)\n      or project.moved_to is distinct from found_at then",
    to: "if true then",
    caughtBy: [{
      file: "tests/schedule/claims.test.ts",
      test: "where nothing is due, a claim only reads, and waits for no lock",
      real: true,
    }],
  },
  {
    breaks: "an isolate works on any number of nudges at once",
    file: typescript("calendly-sync/index"),
    from: "if (loops < MAX_LOOPS) {",
    to: "if (loops >= 0) {",
    caughtBy: [
      requests(
        "schedule/nudges_at_once",
        "of a hundred nudges at once two claim work, and all are answered",
      ),
    ],
  },
  {
    breaks: "regular syncs wait behind those of people whose flag was cleared",
    file: SCHEDULE,
    from: "where s.run_id is null and (",
    to: "where s.run_id is null or (",
    caughtBy: [
      pgtap(
        "schedule_claim",
        "a regular sync is claimed before those of people whose flag was cleared, however many",
      ),
    ],
  },
  {
    breaks: "a claim waits for a connection that somebody holds",
    file: SCHEDULE,
    from: "for no key update of c skip locked);",
    to: "for no key update of c);",
    caughtBy: [{
      file: "tests/schedule/claims.test.ts",
      test: "a claim passes over a connection that another transaction has locked",
      real: true,
    }],
  },
  {
    breaks: "a copy of the database under another address is synced",
    file: sql("050_project"),
    from: "elsif stored_url <> check_project.url then",
    to: "elsif false then",
    caughtBy: [pgtap("schedule_nudge", "another address is refused once one is stored")],
  },
  {
    breaks: "a member's paused click is never nudged for",
    file: SCHEDULE,
    from: "select count(*) from calendly.due_syncs(count_due.now_at, count_due.at_most)));",
    to: `select count(*) from calendly.due_syncs(count_due.now_at, count_due.at_most) s
    where s.run_id is null));`,
    caughtBy: [
      pgtap(
        "schedule_organization",
        "it goes on when its own time comes, although the organization has finished",
      ),
    ],
  },
  {
    breaks: "a banned member makes the organization due again and again",
    file: PLANNING,
    from: "      and calendly.account_is_open(u.auth_user_id, users_to_sync.now_at)\n",
    to: "",
    caughtBy: [
      pgtap("accounts", "a banned host does not, because no sync would do it"),
    ],
  },
  {
    breaks: "a long run writes all its steps again with each step",
    file: sql("610_sync_lease_and_progress"),
    from: "kept constant integer := 40;",
    to: "kept constant integer := 4000;",
    caughtBy: [pgtap("console", "forty steps stand by themselves, and one of each kind")],
  },
  {
    breaks: "one person's click proves a whole organization in the history of freshness",
    file: sql("880_console"),
    from: " and r.subject = c.subject",
    to: "",
    caughtBy: [pgtap("console", "half of the people are fresher than p50")],
  },
  {
    breaks: "an unanswered nudge is an alert for ever",
    file: SCHEDULE,
    from: `unanswered_since = case when p.url is not null and tick.due > 0
          then coalesce(p.unanswered_since, tick.ticked_at) end`,
    to: `unanswered_since = case when p.url is not null and tick.due > 0
          then coalesce(p.unanswered_since, tick.ticked_at) else p.unanswered_since end`,
    caughtBy: [
      pgtap("schedule_nudge", "a nudge that was not answered is no alert once nothing is due"),
    ],
  },
  {
    breaks: "a copy of the database nudges the original every minute",
    file: SCHEDULE,
    from: "    when date_bin(pause, now_at, origin) > project.ticked_at then",
    to: "    when true then",
    caughtBy: [pgtap("schedule_unanswered", "then one in a quarter of an hour")],
  },
  {
    breaks: "a worker of a copy counts as an answer of the original",
    file: sql("050_project"),
    from: "set unanswered_since = case when found_at is not null then p.unanswered_since end,",
    to: "set unanswered_since = null,",
    caughtBy: [pgtap("schedule_unanswered", "it is no answer")],
  },
  {
    breaks: "a failover makes everybody FULL",
    file: SCHEDULE,
    from: "calendly.cluster_identity() and silence >= interval '5 minutes')",
    to: "calendly.cluster_identity())",
    caughtBy: [pgtap("schedule_restored", "nor does a failover within minutes")],
  },
  {
    breaks: "a restored database is synced as if nothing had happened",
    file: SCHEDULE,
    from: "set next_sync_at = now_at, last_full_sync_at = null, webhooks_checked_at = null",
    to: "set next_sync_at = now_at",
    caughtBy: [
      pgtap(
        "schedule_restored",
        "after a recovery everybody who is scheduled is due, with a FULL sync",
      ),
    ],
  },
  {
    breaks: "webhook events that wait are deleted",
    file: sql("820_retention"),
    from: "when old.status = 'dead' then settings.dead_webhook_event_retention",
    to: "else settings.dead_webhook_event_retention",
    caughtBy: [pgtap("retention_events", "deferred events are kept, however old")],
  },
  {
    breaks: "health multiplies meetings by webhook events",
    file: sql("800_health"),
    from: `from public.calendly_meetings m
    where m.user_id = s.user_id`,
    to: `from public.calendly_meetings m
    left join public.calendly_webhook_events x on x.user_id = m.user_id
    where m.user_id = s.user_id`,
    caughtBy: [
      pgtap("health_view", "active_calendly_meetings counts meetings that are in the calendar"),
    ],
  },
  {
    breaks: "health multiplies the meetings of a signed-in user by webhook events",
    file: sql("800_health"),
    from: `from public.calendly_meetings m
  where m.calendly_event_uri is not null`,
    to: `from public.calendly_meetings m
  left join public.calendly_webhook_events x on x.user_id = m.user_id
  where m.calendly_event_uri is not null`,
    caughtBy: [
      pgtap("health_view", "a signed-in user sees the same numbers in their row as a server"),
    ],
  },
  {
    breaks: "a failing table of the app's own is no alert",
    file: sql("850_own_tables"),
    from: "  if not found then\n    insert into calendly.own_table_failures",
    to: "  if false then\n    insert into calendly.own_table_failures",
    caughtBy: [pgtap("own_tables", "the failure has the message of Postgres")],
  },

  // Moves, restores, silence
  {
    breaks: "after a move only those are synced anew whose functions were refused",
    file: sql("050_project"),
    from: "where p.url <> calendly_confirm_project.url;\n  -- What ended",
    to: `where p.url <> calendly_confirm_project.url and p.moved_to is not null;
  -- What ended`,
    caughtBy: [
      pgtap(
        "copy_of_project",
        "at another one everybody is synced anew, though no function was refused there",
      ),
    ],
  },
  {
    breaks: "a FULL sync from before a restore counts as the one after it",
    file: RPCS,
    from: ">= coalesce((select p.resynced_at from calendly.project p), '-infinity');",
    to: ">= '-infinity'::timestamptz;",
    caughtBy: [pgtap("schedule_restored", "and a FULL one follows it")],
  },
  {
    breaks: "each tick nudges for all that is due while nobody answers",
    file: SCHEDULE,
    from: "    when now_at >= unanswered_since then interval '1 minute'\n",
    to: "",
    caughtBy: [pgtap("schedule_unanswered", "and one in each of the next four")],
  },
  {
    breaks: "a nudge for which nothing is due asks twice",
    file: typescript("_shared/calendly/sync"),
    from: 'if (claimed.status === "idle" && claimed.revocations_due) await',
    to: 'if (claimed.status === "idle") await',
    caughtBy: [
      requests("schedule/nudges_at_once", "a nudge for which nothing is due costs one call"),
    ],
  },
  {
    breaks: "what has ended here goes on at Calendly",
    file: typescript("_shared/calendly/sync"),
    from: 'if (claimed.status === "idle" && claimed.revocations_due) await',
    to: "if (false) await",
    caughtBy: [
      requests("schedule/nudges_at_once", "a nudge ends at Calendly what has ended here"),
    ],
  },
  {
    breaks: "an address of a private network is given to Calendly",
    file: typescript("_shared/calendly/environment"),
    from: " || PRIVATE.test(hostname)",
    to: "",
    caughtBy: [
      requests(
        "functions/environment",
        "an address inside the network is refused where Calendly or a browser must reach it",
      ),
    ],
  },
  {
    breaks: "an inward address is given to Calendly",
    file: typescript("_shared/calendly/environment"),
    from: "  if (INWARD.test(hostname) || PRIVATE.test(hostname)) {",
    to: "  if (false) {",
    caughtBy: [
      requests(
        "functions/environment",
        "an address inside the network is refused where Calendly or a browser must reach it",
      ),
    ],
  },
  {
    breaks: "a member's sync puts off the organization that the schedule leaves out",
    file: sql("660_sync_rpcs"),
    from: "      where c.id = connection.id and c.next_sync_at is not null;",
    to: "      where c.id = connection.id and c.state = 'active';",
    caughtBy: [
      pgtap(
        "sync_accounts",
        "a member's sync does not put the next one of the organization off to its next pending work",
      ),
    ],
  },
  {
    breaks: "what falls due later takes up a connection that the schedule leaves out",
    file: sql("120_connections"),
    from: "        and c.next_sync_at > sync_sooner.due_at\n",
    to: "        and (c.next_sync_at > sync_sooner.due_at or c.next_sync_at is null)\n",
    caughtBy: [pgtap("sync_accounts", "nor does a delivery that makes something due later")],
  },
];
