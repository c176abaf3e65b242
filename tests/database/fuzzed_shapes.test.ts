/**
 * Events and invitees as Calendly might send them one day: values left out, null, of another type,
 * doubled, enlarged, added, counters that lie, clocks that are far off. No sync and no delivery crashes, what can be kept is kept, the rest is
 * told on the run, and a person who is erased is nowhere.
 */
import assert from "node:assert/strict";
import fc from "fast-check";
import type { Database } from "../../local/database.ts";
import { databaseTest } from "../harness/databases.ts";
import { FIXTURES } from "./fixtures/fixtures.ts";

// deno-lint-ignore no-explicit-any -- JSON of any shape
type Json = any;
type Path = (string | number)[];
interface Change {
  kind: "remove" | "null" | "other" | "enlarge" | "double" | "add" | "count" | "clock";
  place: number;
  other: unknown;
}

const EVENTS = 4;
const RUNS = Deno.env.get("PROOF") === "full" ? 2_000 : 15;

const others = fc.constantFrom<unknown>(
  ...[0, -1, 1e300, true, "", " \u00a0", "x", [], {}, [null], { a: { b: [1] } }],
  ...["https://x.example", " https://x.example/1\n", "see https://x.example", "javascript:1"],
);
const COUNTERS = [
  ...[[0, 0, 0], [0, 1, 1], [1, 0, 1], [5, 5, 5], [-1, -1, -1], [1, 1e9, 1], [1e300, 1e300, 1]],
  ...[["1", "1", "1"], [1.5, 1.5, 2], [null, null, null], [100_000, 100_000, 1]],
].map(([total, active, limit]) => ({ total, active, limit }));
const CLOCKS = [
  ...["1970-01-01T00:00:00.000000Z", "0001-01-01T00:00:00Z", "2026-06-01T12:00:00.000001Z"],
  ...["2036-06-01T12:00:00.000000Z", "9999-12-31T23:59:59.999999Z", "2026-06-01T12:00:00+14:00"],
];
const change: fc.Arbitrary<Change> = fc.record({
  kind: fc.constantFrom("remove", "null", "other", "enlarge", "double", "add", "count", "clock"),
  place: fc.nat(),
  other: others,
});
const variants = fc.record({
  events: fc.array(fc.array(change, { maxLength: 2 }), { minLength: EVENTS, maxLength: EVENTS }),
  invitees: fc.array(fc.array(change, { maxLength: 2 }), { minLength: EVENTS, maxLength: EVENTS }),
  deliveredAt: fc.constantFrom("2026-06-01T12:00:00Z", ...CLOCKS),
});

databaseTest("whatever shape Calendly's data has, nothing is lost silently", async (database) => {
  await database.script(`${FIXTURES}
    select calendly.set_clock('2026-06-01T12:00:00Z');
    select tests.add_person('ana');`);
  let run = 0;
  await fc.assert(
    fc.asyncProperty(variants, async (changes) => {
      run++;
      const sent = await originals(database, run);
      const events = sent.map(({ event }, n) => changed(event, changes.events[n]));
      const invitees = sent.map(({ invitee }, n) => changed(invitee, changes.invitees[n]));
      await deliver(database, run, events, invitees, changes.deliveredAt);
      const { result } = await sync(database, run, events, invitees);
      assert.equal(result.status, "complete");
      await isComplete(database, sent, changes, result.rejections ?? []);
      await isErased(database, run);
      // The next run has Calendly's rate limit to itself.
      await database.script("delete from public.calendly_meetings; select tests.pass('1 hour');");
    }),
    { numRuns: RUNS, seed: 1 },
  );
}, { seed: false });

/** Events that each have one invitee, with an e-mail of this run's. */
async function originals(database: Database, run: number) {
  const [{ sent }] = await database.query<{ sent: { event: Json; invitee: Json }[] }>(
    `select jsonb_agg(jsonb_build_object(
      'event', tests.event($1::text || n, jsonb_build_object('location',
        case n % 2 when 0 then '{"type": "zoom", "join_url": "https://zoom.example/1"}'::jsonb
          else '{"type": "custom", "location": "https://meet.example/1"}'::jsonb end,
        'meeting_notes_plain', 'with ' || $2::text,
        'event_guests', jsonb_build_array(jsonb_build_object('email', upper($2::text))))),
      'invitee', tests.invitee($1::text || n, 'i', jsonb_build_object('email', $2::text,
        'questions_and_answers', jsonb_build_array(jsonb_build_object('answer', $2::text)),
        'tracking', jsonb_build_object('utm_source', 'mailto:' || $2::text))))) as sent
    from generate_series(1, ${EVENTS}) n`,
    [`R${run}-`, emailOf(run)],
  );
  return sent;
}

const emailOf = (run: number) => `person${run}@fuzz.example`;

async function deliver(
  database: Database,
  run: number,
  events: Json[],
  invitees: Json[],
  created_at: string,
) {
  for (const [n, event] of events.entries()) {
    const body = {
      event: "invitee.created",
      created_at,
      payload: { ...invitees[n], scheduled_event: event },
    };
    const [{ status }] = await database.query<{ status: string }>(
      `select public.calendly_receive_webhook(jsonb_build_object('body', $1::jsonb, 'digest', $2::text,
        'signed_at', extract(epoch from calendly.now()))) ->> 'status' as status`,
      [JSON.stringify(body), `${run}-${n}`],
    );
    assert.match(status, /^(processed|ignored|deferred|duplicate)$/);
  }
}

async function sync(database: Database, run: number, events: Json[], invitees: Json[]) {
  const [{ done }] = await database.query<{ done: Json }>(
    `select tests.sync('ana', array(select jsonb_array_elements($1::jsonb)), $2::jsonb,
      forced => true) as done`,
    [
      JSON.stringify(events),
      JSON.stringify(
        Object.fromEntries(invitees.map((invitee, n) => [`R${run}-${n + 1}`, [invitee]])),
      ),
    ],
  );
  return done;
}

/** What lacks a value only is stored; whatever is not stored is told. */
async function isComplete(
  database: Database,
  sent: { event: Json; invitee: Json }[],
  changes: { events: Change[][]; invitees: Change[][] },
  rejections: { uri: string | null }[],
) {
  const meetings = await database.query<{ uri: string; location: string; join_url: string }>(
    "select calendly_event_uri as uri, location, join_url from public.calendly_meetings",
  );
  const invitees = await database.query<{ uri: string }>(
    "select uri from public.calendly_invitees",
  );
  for (const { location, join_url } of meetings) {
    assert.ok(join_url === null || /^https:\/\/\S+$/.test(join_url), `join_url ${join_url}`);
    assert.ok(location === null || (location !== "" && location.trim() === location), location);
  }
  sent.forEach(({ event, invitee }, n) => {
    const isStored = meetings.some(({ uri }) => uri === event.uri);
    const lost = lacking(event, changes.events[n]);
    if (lost && !lost.some((key) => ["uri", "start_time"].includes(key))) {
      assert.ok(isStored, `an event that lacks ${lost} is stored`);
      const without = lacking(invitee, changes.invitees[n]);
      // Where nobody ever booked, says the counter, nobody is fetched.
      if (without && !without.includes("uri")) {
        assert.ok(
          invitees.some(({ uri }) => uri === invitee.uri),
          `an invitee who lacks ${without} is stored`,
        );
      }
    }
    const { uri = null } = changed(event, changes.events[n]);
    // Postgres writes other types than texts in its own way.
    const isTold = rejections.some((rejection) =>
      rejection.uri === uri || (typeof uri !== "string" && rejection.uri !== null)
    );
    assert.ok(isStored || isTold, `${event.uri} is neither stored nor told`);
  });
}

async function isErased(database: Database, run: number) {
  await database.query("select public.calendly_erase_invitee($1::text)", [
    emailOf(run).toUpperCase(),
  ]);
  const [{ stored }] = await database.query<{ stored: string | null }>(
    `select string_agg(row, E'\\n') as stored from (
      select m::text from public.calendly_meetings m
      union all select v::text from public.calendly_invitees v
      union all select e::text from public.calendly_webhook_events e
      union all select r::text from public.calendly_sync_runs r) everything (row)`,
  );
  assert.doesNotMatch(stored ?? "", new RegExp(`person${run}@`, "i"));
}

/** The top keys of what was only left out or made null; null where something else changed. */
function lacking(value: Json, changes: Change[]): string[] | null {
  const keys: string[] = [];
  let now = value;
  for (const change of changes) {
    const { kind, place } = change;
    if (kind === "remove" || kind === "null") {
      const path = pathOf(now, place);
      // Inside a value: what is left of it may be wrong, not missing.
      if (path.length > 1) return null;
      keys.push(String(path[0]));
    } else if (!["add", "count", "clock"].includes(kind)) {
      return null;
    }
    now = changed(now, [change]);
  }
  return keys;
}

function changed(value: Json, changes: Change[]): Json {
  return changes.reduce((now, change) => {
    if (change.kind === "count") return { ...now, ...counted(now, change.place) };
    if (change.kind === "clock") return { ...now, ...dated(change.place) };
    return apply(now, pathOf(now, change.place), change);
  }, value);
}

/** Another counter, where there is one. */
function counted({ invitees_counter }: Json, place: number): Json {
  return invitees_counter ? { invitees_counter: COUNTERS[place % COUNTERS.length] } : {};
}

function dated(place: number): Json {
  const key = place % 2 === 0 ? "created_at" : "updated_at";
  return { [key]: CLOCKS[Math.floor(place / 2) % CLOCKS.length] };
}

function pathOf(value: Json, place: number): Path {
  const paths = everyPath(value);
  return paths[place % paths.length];
}

function everyPath(value: Json, at: Path = []): Path[] {
  const inner = typeof value === "object" && value !== null
    ? Object.entries(value).flatMap(([key, part]) =>
      everyPath(part, [...at, Array.isArray(value) ? Number(key) : key])
    )
    : [];
  return at.length === 0 ? inner : [at, ...inner];
}

function apply(value: Json, [key, ...rest]: Path, change: Change): Json {
  const copy = Array.isArray(value) ? [...value] : { ...value };
  if (rest.length > 0) copy[key] = apply(copy[key], rest, change);
  else if (change.kind === "remove") Array.isArray(copy) ? copy.splice(+key, 1) : delete copy[key];
  else if (change.kind === "null") copy[key] = null;
  else if (change.kind === "other") copy[key] = change.other;
  else if (change.kind === "enlarge") copy[key] = enlarged(copy[key]);
  else if (change.kind === "double") copy[key] = [copy[key], copy[key]];
  else if (Array.isArray(copy)) copy.push(change.other);
  else copy[`${key} of tomorrow`] = change.other;
  return copy;
}

function enlarged(value: Json): Json {
  if (typeof value === "string") return `${value} `.repeat(500);
  if (Array.isArray(value)) return Array(200).fill(value).flat();
  return { ...value, more: "m".repeat(20_000) };
}
