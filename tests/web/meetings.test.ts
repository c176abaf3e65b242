/** What My meetings computes: lists from pages and changes, chains of reschedules, CSV, and its words. */
import assert from "node:assert/strict";
import { Shown } from "../../web/meetings/arrivals.ts";
import { chainOf, fetchChain, MAX_LINKS } from "../../web/meetings/chain.ts";
import { meetingsCsv, toCsv } from "../../web/meetings/csv.ts";
import { readFrom, takeNews } from "../../web/meetings/data.ts";
import type { Connection, Filter, Health, Link, Meeting, Run } from "../../web/meetings/data.ts";
import { append, applyChanges, EMPTY, Questions } from "../../web/meetings/list.ts";
import { joinLink } from "../../web/meetings/place.tsx";
import { pattern } from "../../web/meetings/search.ts";
import { dayOf, elsewhere, hoursOf } from "../../web/meetings/when.ts";
import {
  adviceFor,
  costWords,
  countWords,
  freshness,
  plannedSync,
  progressWords,
  webhookWords,
} from "../../web/meetings/words.ts";

const NOW = Date.parse("2026-11-26T12:00:00Z");
const HOUR = 3_600_000;

/** A meeting so many hours from now, of half an hour. */
function meeting(id: number, hours: number, change: Partial<Meeting> = {}): Meeting {
  const start = NOW + hours * HOUR;
  return {
    id,
    user_id: 1,
    calendly_event_uri: `https://api.calendly.com/scheduled_events/${id}`,
    name: `Meeting ${id}`,
    start_time: new Date(start).toISOString(),
    end_time: new Date(start + HOUR / 2).toISOString(),
    location_type: null,
    location: null,
    join_url: null,
    is_deleted: false,
    deleted_at: null,
    deleted_reason: null,
    rescheduled_from: null,
    rescheduled_to: null,
    synced_via_webhook: false,
    calendly_created_at: "2026-01-01T00:00:00Z",
    calendly_updated_at: "2026-01-01T00:00:00Z",
    updated_at: "2026-01-01T00:00:00Z",
    counter: null,
    calendly_invitees: [],
    ...change,
  };
}

const upcoming: Filter = { tab: "upcoming", search: "", now: NOW };
const ids = (list: { meetings: Meeting[] }) => list.meetings.map(({ id }) => id);

// Lists -------------------------------------------------------------------------------------------

Deno.test("a list is complete when an empty page has come, and not when a short one has", () => {
  const one = append(EMPTY, [[meeting(1, 1), meeting(2, 2)]], "upcoming");
  assert.deepEqual([ids(one), one.complete], [[1, 2], false]);
  const two = append(one, [[]], "upcoming");
  assert.deepEqual([ids(two), two.complete], [[1, 2], true]);
});

Deno.test("of two searched lists, what lies beyond the end of one waits for its next page", () => {
  const byName = [meeting(1, 1), meeting(4, 4)];
  const byInvitee = [meeting(2, 2), meeting(3, 3)];
  const one = append(EMPTY, [byName, byInvitee], "upcoming");
  assert.deepEqual(ids(one), [1, 2, 3]);
  assert.equal(one.cursor?.id, 3);
  const two = append(one, [[meeting(4, 4)], []], "upcoming");
  assert.deepEqual(ids(two), [1, 2, 3, 4]);
});

Deno.test("a meeting that both lists have is shown once", () => {
  const both = meeting(1, 1);
  assert.deepEqual(ids(append(EMPTY, [[both], [both]], "upcoming")), [1]);
});

Deno.test("past meetings begin with the latest", () => {
  const page = [meeting(2, -1), meeting(1, -2)];
  assert.deepEqual(ids(append(EMPTY, [page], "past")), [2, 1]);
});

Deno.test("a booking comes into the list at its place, and what is canceled leaves it", () => {
  const list = append(
    append(EMPTY, [[meeting(1, 1), meeting(3, 3)]], "upcoming"),
    [[]],
    "upcoming",
  );
  const booked = applyChanges(list, [2], [meeting(2, 2)], upcoming);
  assert.deepEqual(ids(booked), [1, 2, 3]);
  const canceled = meeting(1, 1, { is_deleted: true, deleted_reason: "canceled" });
  assert.deepEqual(ids(applyChanges(booked, [1], [canceled], upcoming)), [2, 3]);
  assert.deepEqual(ids(applyChanges(booked, [3], [], upcoming)), [1, 2], "erased");
});

Deno.test("a booking beyond what is loaded is left to its page", () => {
  const list = append(EMPTY, [[meeting(1, 1), meeting(2, 2)]], "upcoming");
  assert.deepEqual(ids(applyChanges(list, [9], [meeting(9, 9)], upcoming)), [1, 2]);
  assert.deepEqual(ids(append(list, [[meeting(9, 9)]], "upcoming")), [1, 2, 9]);
});

Deno.test("a booking comes into a searched list only if it matches, and of the chosen host only", () => {
  const list = { ...EMPTY, complete: true };
  const jane = {
    id: 1,
    name: "Jane",
    email: null,
    status: "active",
    timezone: null,
    no_show_at: null,
  };
  const booked = meeting(1, 1, { calendly_invitees: [jane] });
  const taken = (filter: Partial<Filter>) =>
    ids(applyChanges(list, [1], [booked], { ...upcoming, ...filter }));
  assert.deepEqual(taken({ search: "jan" }), [1]);
  assert.deepEqual(taken({ search: "john" }), []);
  assert.deepEqual(taken({ host: 1 }), [1]);
  assert.deepEqual(taken({ host: 2 }), []);
  assert.deepEqual(taken({ tab: "past" }), []);
});

Deno.test("a search has none of the letters that PostgREST reads as its own", () => {
  assert.equal(pattern("  "), undefined);
  assert.equal(pattern(" Jane "), "*Jane*");
  assert.equal(pattern('a.b,c:(d)"e\\f*g%'), "*a_b_c__d__e_f_g_*");
});

// Reschedules --------------------------------------------------------------------------------------

function linkOf(id: number, from: number | null, to: number | null): Link {
  const uri = (one: number | null) => one === null ? null : `event ${one}`;
  return {
    id,
    calendly_event_uri: `event ${id}`,
    start_time: null,
    is_deleted: to !== null,
    rescheduled_from: uri(from),
    rescheduled_to: uri(to),
  };
}

Deno.test("a reschedule chain is in order from whichever of its events it is asked for", () => {
  const links = [linkOf(1, null, 2), linkOf(2, 1, 3), linkOf(3, 2, null)];
  for (const link of links) {
    assert.deepEqual(chainOf(link, links.toReversed()).map(({ id }) => id), [1, 2, 3]);
  }
});

Deno.test("events that name each other in a ring end the chain", () => {
  const ring = [linkOf(1, 2, 2), linkOf(2, 1, 1)];
  assert.equal(chainOf(ring[0], ring).length, 2);
  assert.equal(chainOf(linkOf(1, 1, 1), []).length, 1);
});

Deno.test("a chain is fetched to both ends, each event once, and no further than the limit", async () => {
  const links = Array.from({ length: 40 }, (_, n) => linkOf(n, n === 0 ? null : n - 1, n + 1));
  const asked: string[] = [];
  const fetchLinks = (uris: string[]) => {
    asked.push(...uris);
    return Promise.resolve(links.filter((one) => uris.includes(one.calendly_event_uri!)));
  };
  const short = await fetchChain(links[2], fetchLinks);
  assert.equal(short[0].id, 0);
  assert.equal(new Set(asked).size, asked.length);
  const long = await fetchChain(links[20], fetchLinks);
  assert.equal(long.length, 2 * MAX_LINKS + 1);
});

// CSV ------------------------------------------------------------------------------------------------

Deno.test("CSV is that of RFC 4180", () => {
  assert.equal(
    toCsv(["a", "b"], [['say "hi"', "one\ntwo"], ["x,y", null], [7, "plain"]]),
    'a,b\r\n"say ""hi""","one\ntwo"\r\n"x,y",\r\n7,plain\r\n',
  );
});

Deno.test("no cell of the CSV is a formula", () => {
  for (const evil of ["=1+1", "+1", "-1", "@sum", "\t=1", " =1", "\u00a0=1", "\uff1d1", "\r=1"]) {
    const cell = toCsv(["x"], [[evil]]).slice("x\r\n".length).replace(/^"/, "");
    assert.equal(cell[0], "'", JSON.stringify(evil));
  }
});

Deno.test("the CSV names hosts, invitees and times in UTC", () => {
  const invitee = {
    id: 1,
    name: "José",
    email: "jose@example.com",
    status: "active",
    timezone: null,
    no_show_at: null,
  };
  const csv = meetingsCsv(
    [meeting(5, 1, { name: null, calendly_invitees: [invitee] })],
    new Map([[1, "Ana"]]),
  );
  const [header, line, end] = csv.split("\r\n");
  assert.match(header, /^\ufeffstart,end,name,host,invitees,emails,/);
  assert.match(
    line,
    /^2026-11-26T13:00:00.000Z,2026-11-26T13:30:00.000Z,,Ana,José,jose@example.com,/,
  );
  assert.equal(end, "");
});

// Times and places -----------------------------------------------------------------------------------

Deno.test("a meeting is in the viewer's zone, and beside it in the invitee's", () => {
  const start = "2026-11-26 13:00:00+00"; // as Postgres prints it
  assert.equal(dayOf(start, "Europe/Berlin", NOW), "Thu 26 Nov");
  assert.equal(dayOf("2027-01-05T13:00:00Z", "Europe/Berlin", NOW), "Tue 5 Jan 2027");
  assert.equal(hoursOf(start, "2026-11-26T13:30:00Z", "Europe/Berlin"), "14:00 – 14:30");
  assert.equal(elsewhere(start, "America/New_York", "Europe/Berlin"), "08:00 in New York");
  assert.equal(elsewhere(start, "Pacific/Auckland", "Europe/Berlin"), "Fri 02:00 in Auckland");
  assert.equal(elsewhere(start, "Europe/Madrid", "Europe/Berlin"), undefined);
  assert.equal(elsewhere(start, null, "Europe/Berlin"), undefined);
  assert.equal(elsewhere(start, "Mars/Olympus_Mons", "Europe/Berlin"), undefined);
});

Deno.test("only a link of http or https can be joined", () => {
  assert.equal(
    joinLink({ join_url: "https://zoom.us/j/1" }),
    "https://zoom.us/j/1",
  );
  for (const join_url of [null, "javascript:alert(1)", "zoommtg://x", "//evil.example"]) {
    assert.equal(joinLink({ join_url }), undefined);
  }
});

Deno.test("what has just happened at Calendly is told with its delay, and an import is not", () => {
  const just = new Date(NOW - 400).toISOString();
  const shown = new Shown(NOW - HOUR);
  const booked = meeting(1, 1, { calendly_created_at: just, calendly_updated_at: just });
  assert.deepEqual(shown.arrivalOf(booked, NOW), { kind: "booked", delay: 0.4, at: NOW });
  assert.equal(shown.arrivalOf({ ...booked, name: "Renamed" }, NOW)?.kind, "changed");
  assert.equal(shown.arrivalOf(meeting(2, 1), NOW), undefined);
  const canceled = meeting(3, 1, {
    is_deleted: true,
    deleted_reason: "canceled",
    deleted_at: just,
    calendly_updated_at: just,
  });
  assert.deepEqual(shown.arrivalOf(canceled, NOW), { kind: "canceled", delay: 0.4, at: NOW });
  const ahead = new Date(NOW + HOUR).toISOString();
  assert.equal(
    shown.arrivalOf(
      meeting(4, 1, { calendly_created_at: ahead, calendly_updated_at: ahead }),
      NOW,
    ),
    undefined,
    "a clock that differs says nothing",
  );
});

Deno.test("a booking is told once, whoever brings it first, and what is shown already is no change", () => {
  const at = (seconds: number) => new Date(NOW + seconds * 1000).toISOString();
  const created = (seconds: number) =>
    meeting(1, 1, { calendly_created_at: at(seconds), calendly_updated_at: at(seconds) });
  const kindsOf = (opened: number, booked: Meeting, listed: Meeting[]) => {
    const shown = new Shown(NOW + opened * 1000);
    shown.list(listed);
    return [shown.arrivalOf(booked, NOW)?.kind, shown.arrivalOf(booked, NOW)?.kind];
  };
  assert.deepEqual(kindsOf(-60, created(-1), []), ["booked", undefined]);
  assert.deepEqual(kindsOf(-60, created(-1), [created(-1)]), ["booked", undefined]);
  assert.deepEqual(kindsOf(-60, created(-90), [created(-90)]), [undefined, undefined]);
});

Deno.test("an answer that is late does not replace a newer one about the same meeting", () => {
  const questions = new Questions();
  const [first, second] = [questions.ask(), questions.ask()];
  assert.deepEqual(questions.takeAnswer(second, [1, 2]), [1, 2]);
  assert.deepEqual(questions.takeAnswer(first, [2, 3]), [3]);
  assert.deepEqual(questions.takeAnswer(questions.ask(), [2]), [2]);
});

Deno.test("a poll misses no transaction that ends after one which began later", () => {
  const at = (seconds: number) => new Date(NOW + seconds * 1000).toISOString();
  const first = takeNews({ latest: at(0), told: new Set() }, [{ id: 1, updated_at: at(2) }]);
  assert.deepEqual(first.ids, [1]);
  assert.equal(readFrom(first.seen, NOW + 5000), at(-8));
  // The second question has the first one's answer again, and what was written before it.
  const second = takeNews(first.seen, [
    { id: 2, updated_at: at(1) },
    { id: 1, updated_at: at(2) },
  ]);
  assert.deepEqual([second.ids, second.seen.latest], [[2], at(2)]);
  assert.deepEqual(takeNews(second.seen, [{ id: 1, updated_at: at(3) }]).ids, [1]);
  assert.equal(readFrom(second.seen, NOW + 60_000), at(2), "by then all have ended");
});

// Words ----------------------------------------------------------------------------------------------

function health(change: Partial<Health>): Health {
  return {
    user_id: 1,
    email: null,
    last_calendly_sync: null,
    calendly_initial_sync_complete: true,
    calendly_webhook_enabled: true,
    active_calendly_meetings: 1,
    deleted_calendly_meetings: 0,
    webhook_synced_meetings: 0,
    last_meeting_sync: null,
    webhook_events_received: 0,
    next_sync_at: null,
    staleness: null,
    connection_state: "active",
    last_error: null,
    ...change,
  };
}

function run(change: Partial<Run> = {}): Run {
  return {
    sync_type: "INCREMENTAL",
    status: "complete",
    started_at: "2026-11-26T12:00:00Z",
    finished_at: "2026-11-26T12:00:01.5Z",
    min_start_time: "2026-08-28T12:00:00Z",
    max_start_time: "2027-05-25T12:00:00Z",
    created: 0,
    updated: 0,
    deleted: 0,
    restored: 0,
    unchanged: 0,
    requests: 3,
    progress: {},
    ...change,
  } as Run;
}

const connection = (change: Partial<Connection> = {}) =>
  ({
    webhook_error: null,
    webhook_state: "active",
    webhooks_lost_at: null,
    ...change,
  }) as Connection;

Deno.test("the page says whether what it shows is what Calendly has", () => {
  type More = { runs?: Run[]; byOrganization?: boolean; comparedAt?: number };
  const freshnessOf = (change: Partial<Health>, more: More = {}) => {
    const { tone, title, action } = freshness({
      health: health(change),
      connection: connection(),
      byOrganization: false,
      runs: [],
      comparedAt: NOW - HOUR / 20,
      ...more,
    }, NOW);
    return [tone, title, action];
  };
  assert.deepEqual(freshnessOf({}), ["good", "As Calendly has it", undefined]);
  assert.deepEqual(freshnessOf({ calendly_webhook_enabled: false }), [
    "info",
    "As Calendly had it 3 min ago",
    "webhooks",
  ]);
  assert.deepEqual(freshnessOf({}, { comparedAt: NOW - 73 * HOUR }), [
    "warn",
    "Not compared with Calendly for 3 days",
    "sync",
  ]);
  assert.deepEqual(freshnessOf({}, { comparedAt: undefined }), ["warn", "Not synced yet", "sync"]);
  assert.deepEqual(freshnessOf({}, { comparedAt: undefined, runs: [run({ status: "running" })] }), [
    "busy",
    "The first sync is not complete yet",
    undefined,
  ]);
  const refused = { connection_state: "reconnect_required" };
  assert.deepEqual(freshnessOf(refused), ["bad", "Calendly refuses the token", "reconnect"]);
  assert.equal(freshnessOf(refused, { byOrganization: true })[2], undefined);
});

Deno.test("the page claims no more than it knows now", () => {
  const freshnessOf = (change: Partial<Parameters<typeof freshness>[0]>) => {
    const { tone, title, sentence } = freshness({
      health: health({}),
      connection: connection(),
      byOrganization: false,
      runs: [run()],
      comparedAt: NOW - HOUR / 20,
      ...change,
    }, NOW);
    return [tone, title, sentence] as const;
  };
  const good = freshnessOf({});
  assert.equal(good[1], "As Calendly has it");
  assert.match(good[2], /compared 3 min ago/);

  const unread = freshnessOf({ unreadSince: NOW - HOUR / 60 });
  assert.deepEqual(unread.slice(0, 2), ["warn", "Not known now: last read 1 min ago"]);
  assert.match(unread[2], /What has changed since then is not here/);

  const stopped = freshnessOf({ functionsAnswer: false });
  assert.deepEqual(stopped.slice(0, 2), ["warn", "As Calendly had it 3 min ago"]);
  assert.match(stopped[2], /functions of this project do not answer/);

  for (const status of ["paused", "failed"]) {
    const incomplete = freshnessOf({
      runs: [run({ status, error: { code: "calendly_unavailable" } })],
    });
    assert.deepEqual(incomplete.slice(0, 2), ["info", "As Calendly had it 3 min ago"]);
    assert.match(incomplete[2], /by webhook.*not completed/);
  }
  const replaced = run({ status: "failed", error: { code: "replaced", message: "" } });
  assert.equal(freshnessOf({ runs: [replaced] })[0], "good");

  const old = run({ status: "failed", started_at: "2026-11-26T11:00:00Z" });
  assert.equal(freshnessOf({ runs: [old] })[0], "good", "the organization's run came after it");

  const due = (minutes: number) =>
    freshnessOf({
      health: health({ next_sync_at: new Date(NOW - minutes * 60_000).toISOString() }),
    });
  assert.equal(due(5)[0], "good");
  assert.deepEqual(due(20).slice(0, 2), ["info", "As Calendly had it 3 min ago"]);
  assert.match(due(20)[2], /due 20 min ago has not run/);

  const missing = freshnessOf({ runs: [run({ missing: 40 })] });
  assert.deepEqual(missing.slice(0, 2), ["warn", "40 meetings missing from Calendly’s list"]);

  const rejected = freshnessOf({ runs: [run({ rejected: 2 })] });
  assert.deepEqual(rejected.slice(0, 2), ["warn", "As Calendly has it, except 2 rows"]);
});

Deno.test("a webhook is called working only if it is proven to be", () => {
  const words = (change: Partial<Connection>, enabled: boolean) =>
    webhookWords(connection(change), { calendly_webhook_enabled: enabled }).word;
  assert.equal(words({}, true), "working");
  assert.equal(words({}, false), "on, not proven yet");
  assert.equal(words({ webhooks_lost_at: "2026-11-26T12:00:00Z" }, true), "not delivering");
  assert.equal(words({ webhook_state: "none" }, false), "off");
  assert.equal(words({ webhook_state: "disabled" }, false), "disabled by Calendly");
});

Deno.test("the kind of sync is said before it runs, with the range that the last one had", () => {
  const self = (calendly_initial_sync_complete: boolean) => ({
    id: 1,
    auth_user_id: null,
    name: null,
    email: null,
    connection_id: null,
    last_calendly_sync: null,
    calendly_initial_sync_complete,
  });
  assert.match(plannedSync({ self: self(false), runs: [] }).sentence, /^A full sync: reads all/);
  assert.match(
    plannedSync({ self: self(true), runs: [run()] }).sentence,
    /^A quick sync of 90 days back and 180 days ahead:/,
  );
  const paused = plannedSync({ self: self(true), runs: [run({ status: "paused" })] });
  assert.deepEqual([paused.resumes, paused.type], [true, "INCREMENTAL"]);
  const replaced = plannedSync({ self: self(false), runs: [run({ status: "paused" })] });
  assert.deepEqual([replaced.resumes, replaced.type], [false, "FULL"]);
});

Deno.test("progress and result are those of the run's row", () => {
  assert.equal(
    progressWords(run({
      requests: 14,
      progress: { phase: "fetch_invitees", events: 250, invitees_read: 1, invitees_to_read: 120 },
    })),
    "Reading invitees · 250 events · invitees of 1 of 120 events · 14 requests",
  );
  assert.equal(
    countWords(run({ created: 3, updated: 24, deleted: 2, unchanged: 1200 })),
    "3 new, 24 changed, 2 canceled or gone, 1,200 unchanged",
  );
  assert.equal(countWords(run()), "Calendly has no meetings in this range");
  assert.equal(costWords(run()), "3 requests in 1.5 s");
});

Deno.test("a failure leads on to its next step, and an unknown one keeps its own words", () => {
  const next = (code: string, status = 0) =>
    adviceFor({ code, message: "It failed.", hint: "Do this.", status });
  assert.equal(next("reconnect_required").next, "reconnect");
  assert.equal(next("not_connected").next, "connect");
  assert.equal(next("another_calendly_user").next, "replace");
  assert.equal(next("invalid_jwt").next, "sign_in");
  assert.equal(next("unreachable").next, "retry");
  assert.equal(next("http_546", 546).title, "The functions do not answer");
  assert.deepEqual(next("never_seen"), { title: "It failed.", hint: "Do this.", next: "retry" });
});
