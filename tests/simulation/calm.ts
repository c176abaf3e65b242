/**
 * After the storm: nothing goes wrong any more, the schedule runs, and what is here must be what Calendly
 * has. What the rules say cannot be seen is excepted by name, and counted.
 */
import { deepEqual } from "node:assert/strict";
import type { Invitee, ScheduledEvent } from "../../sandbox/mod.ts";
import {
  expectedInvitee,
  expectedMeeting,
  storedInvitee,
  storedMeeting,
} from "../functions/mirror.ts";
import type { Random } from "../../sandbox/random.ts";
import type { Person } from "./project.ts";
import { type Booked, connect, dueDeliveries, type Team } from "./storm.ts";

/** Where the mirror is not what Calendly is. */
export interface Divergence {
  whose: string;
  /** A meeting, an invitee, or a promise. */
  what: string;
  stored: unknown;
  expected: unknown;
}

export interface Judgement {
  divergences: Divergence[];
  exceptions: Record<string, number>;
}

const MINUTE = 60;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
/**
 * Long enough for a weekly FULL sync, for the last look for no-shows a week after a meeting, and for what
 * either of them leaves to the next sync.
 */
const CALM = [2 * MINUTE, 16 * MINUTE, 7 * HOUR, DAY, 8 * DAY, 7 * HOUR];

/**
 * The trouble ends: what can still come comes or is lost, who must act acts, and time passes. Returns since
 * when all is calm.
 */
export async function calmDown(team: Team, draw: Random): Promise<string> {
  const { project } = team;
  const { control } = project.sandbox;
  control.clear_faults();
  project.losses = [];
  project.death = undefined;
  project.skew = 0;
  await project.setDatabaseClock();
  const isLost = draw.chance(0.4);
  for (const id of draw.shuffle(dueDeliveries(project))) {
    const options = isLost ? { drop: true } : { duplicate: draw.chance(0.3) };
    await project.runtime.until(control.deliver([id], options));
  }
  const since = project.sandbox.truth().now;
  for (const span of CALM) {
    await project.advance(span);
    await reconnect(team);
    await project.runtime.until(control.deliver("due"));
    for (let ticks = 0; await project.nudge() > 0; ticks++) {
      if (ticks > 20) throw new Error("the schedule comes to no end");
      await project.advance(MINUTE);
    }
  }
  return since;
}

/** Does what the connection's state asks of a person. */
async function reconnect(team: Team): Promise<void> {
  for (const person of team.people) {
    const [connection] = await team.project.sql(
      "select state from public.calendly_connections where user_id = $1",
      [person.id],
    );
    if (connection?.state === "reconnect_required") await connect(team, person, false);
  }
}

/** Compares everything with the sandbox's own truth, and what was spent since then with the rules. */
export async function judge(team: Team, calmSince: string): Promise<Judgement> {
  const judgement: Judgement = { divergences: [], exceptions: {} };
  const diverges = (divergence: Divergence) => judgement.divergences.push(divergence);
  const except = (name: string) =>
    judgement.exceptions[name] = (judgement.exceptions[name] ?? 0) + 1;

  for (const person of team.people) {
    const divergences = await compare(team, person);
    for (const { exception, ...divergence } of divergences) {
      if (exception) except(exception);
      else diverges(divergence);
    }
    if (divergences.length === 0) await countsAreTrue(team, person, diverges);
    await costsNothing(team, person, diverges);
  }
  await spendingIsBounded(team, calmSince, diverges);
  await nothingIsLeft(team, diverges);
  return judgement;
}

// The mirror ----------------------------------------------------------------------------------------------

type Found = Divergence & { exception?: string };
type Note = (what: string, stored: unknown, expected: unknown, exception?: string) => void;

// deno-lint-ignore no-explicit-any -- rows as they are in the database
type Row = any;

async function compare(team: Team, person: Person): Promise<Found[]> {
  const { project } = team;
  const meetings = await project.sql("select * from public.calendly_meetings where user_id = $1", [
    person.id,
  ]);
  const invitees = await project.sql(
    `select v.*, m.calendly_event_uri from public.calendly_invitees v
     join public.calendly_meetings m on m.id = v.meeting_id where v.user_id = $1`,
    [person.id],
  );
  const found: Found[] = [];
  const left = hasLeft(team, person) ? "left the organization" : undefined;
  const note: Note = (what, stored, expected, exception) => {
    found.push({ whose: person.email, what, stored, expected, exception: left ?? exception });
  };

  const bookings = new Map(
    project.sandbox.truth().scheduled_events.map((booking) => [booking.event.uri, booking]),
  );
  for (const booking of bookings.values()) {
    const { uri } = booking.event;
    if (!isHost(booking.event, person)) continue;
    const seats = invitees.filter((row) => row.calendly_event_uri === uri);
    compareMeeting(
      team,
      booking,
      meetings.find((row) => row.calendly_event_uri === uri),
      seats,
      note,
    );
  }
  for (const row of meetings.filter((row) => !row.is_deleted)) {
    const event = bookings.get(row.calendly_event_uri)?.event;
    if (event && isHost(event, person)) continue;
    const unseen = outside(team, event ?? row.raw);
    note(row.calendly_event_uri, "a row: active", event ? "reassigned" : "gone", unseen);
  }
  return found;
}

function compareMeeting(team: Team, booking: Booked, row: Row, seats: Row[], note: Note): void {
  const { event, invitees } = booking;
  const unseen = outside(team, event);
  if (!row) return note(event.uri, "no row", `a row: ${event.status}`, unseen);
  differences(storedMeeting(row), expectedMeeting(event, invitees), (stored, expected) => {
    const exception = unseen ?? erasedSeat(team, event, Object.keys(stored));
    note(event.uri, stored, expected, exception);
  });
  for (const invitee of invitees) {
    const seat = seats.find(({ uri }) => uri === invitee.uri);
    if (seat) {
      differences(storedInvitee(seat), expectedInvitee(invitee), (stored, expected) => {
        const exception = unseen ?? lateNoShow(team, event, invitee, Object.keys(stored));
        note(invitee.uri, stored, expected, exception);
      });
    } else {
      const isCounted = seats.length === event.invitees_counter.total;
      const exception = unseen ?? (isCounted ? erasedSeat(team, event) : undefined);
      note(invitee.uri, "no row", `a row: ${invitee.status}`, exception);
    }
  }
  for (const { uri, status } of seats) {
    if (invitees.some((invitee) => invitee.uri === uri)) continue;
    note(uri, `a row: ${status}`, "no row", unseen ?? erasedSeat(team, event));
  }
}

function isHost(event: ScheduledEvent, person: Person): boolean {
  return event.event_memberships.some(({ user }) => user === person.host.uri);
}

/** Whoever leaves is no longer the organization's to keep. */
function hasLeft({ project, scope, organization }: Team, person: Person): boolean {
  const member = project.sandbox.truth().users.find(({ uri }) => uri === person.host.uri)!;
  return scope === "organization" && member.current_organization !== organization;
}

/** A FULL sync does not see it, nor did any in these days. */
function outside({ project }: Team, event: ScheduledEvent): string | undefined {
  const days = (Date.parse(event.start_time) - project.now) / 1000 / DAY;
  return days < -730 || days > 365 - 10 ? "outside every window" : undefined;
}

/** Marked or undone after the last look for no-shows, a week after the meeting, and no webhook came. */
function lateNoShow(team: Team, event: ScheduledEvent, { uri }: Invitee, fields: string[]) {
  const last = Date.parse(event.end_time) + 7 * DAY * 1000;
  const follow = ["no_show_at", "no_show_uri", "raw.no_show"];
  if ((team.noShows.get(uri) ?? 0) <= last) return undefined;
  return fields.every((field) => follow.includes(field))
    ? "a no-show after its last check"
    : undefined;
}

/**
 * A seat that was erased moved no updated_at: where the last word on the event was a webhook's, its greater
 * count stands (rule 1), and nobody asks for the invitees before the event changes; nor where the seat was
 * taken again without moving it either.
 */
function erasedSeat({ erased }: Team, { uri }: ScheduledEvent, fields: string[] = []) {
  const follow = ["raw.invitees_counter", "rescheduled_from", "rescheduled_to"];
  if (!erased.has(uri) || !fields.every((field) => follow.includes(field))) return undefined;
  return "a seat erased without a trace";
}

/** Tells of the fields that differ, if any do, down to those of `raw`. */
function differences(
  stored: object,
  expected: object,
  tell: (stored: Record<string, unknown>, expected: Record<string, unknown>) => void,
): void {
  const [a, b] = [stored, expected].map((row) => {
    const { raw, ...fields } = row as Record<string, unknown>;
    const inRaw = Object.entries(raw as object).map(([key, value]) => [`raw.${key}`, value]);
    return { ...fields, ...Object.fromEntries(inRaw) } as Record<string, unknown>;
  });
  const fields = [...new Set([...Object.keys(a), ...Object.keys(b)])]
    .filter((field) => !isSame(a[field], b[field]));
  if (fields.length === 0) return;
  const only = (row: Record<string, unknown>) =>
    Object.fromEntries(fields.map((field) => [field, row[field]]));
  tell(only(a), only(b));
}

function isSame(a: unknown, b: unknown): boolean {
  try {
    deepEqual(a, b);
    return true;
  } catch {
    return false;
  }
}

// The promises --------------------------------------------------------------------------------------------

type Tell = (divergence: Divergence) => void;

/** The health view counts what is there. */
async function countsAreTrue({ project }: Team, person: Person, tell: Tell): Promise<void> {
  const [{ stored, expected }] = await project.sql(
    `select jsonb_build_array(h.active_calendly_meetings, h.deleted_calendly_meetings,
         h.webhook_synced_meetings, h.webhook_events_received) as stored,
       jsonb_build_array(
         (select count(*) from public.calendly_meetings m where m.user_id = h.user_id and not m.is_deleted),
         (select count(*) from public.calendly_meetings m where m.user_id = h.user_id and m.is_deleted),
         (select count(*) from public.calendly_meetings m where m.user_id = h.user_id and m.synced_via_webhook),
         (select count(*) from public.calendly_webhook_events e where e.user_id = h.user_id)) as expected
     from public.calendly_sync_health h where h.user_id = $1`,
    [person.id],
  );
  if (!isSame(stored, expected)) tell({ whose: person.email, what: "health", stored, expected });
}

/** A sync of what has not changed asks for the pages of its listing and nothing else, and writes nothing. */
async function costsNothing(team: Team, person: Person, tell: Tell): Promise<void> {
  const { project } = team;
  if (hasLeft(team, person)) return;
  const [{ page_size }] = await project.sql("select page_size from calendly.settings");
  await project.advance(MINUTE); // The rate limit's.
  const { status, body } = await project.runtime.until(
    project.ask(person, "POST", "calendly-sync"),
  );
  if (status !== 200) {
    const { code } = body?.error ?? {};
    const isMember = team.scope === "organization" && person !== team.people[0];
    if (isMember && code === "not_connected") return; // Nothing of theirs was ever listed.
    tell({ whose: person.email, what: "a last click", stored: body, expected: "a sync" });
    return;
  }
  const { created, updated, deleted, restored, fetched, requests } = body;
  const pages = Math.max(1, Math.ceil((fetched.active + fetched.canceled) / page_size));
  const stored = { status: body.status, changes: created + updated + deleted + restored, requests };
  const expected = { status: "complete", changes: 0, requests: pages };
  if (!isSame(stored, expected)) {
    tell({ whose: person.email, what: "a sync without news", stored, expected });
  }
}

/**
 * Without trouble, a sync asks for its pages, for what is missing from them or waits (25 at most), for the
 * invitees that are due, and once a day for the subscription.
 */
async function spendingIsBounded({ project, scope }: Team, since: string, tell: Tell) {
  const stored = await project.sql(
    `select r.sync_type, r.requests, r.progress,
       greatest(1, ceil((r.fetched_active + r.fetched_canceled)::numeric / s.page_size)) as pages
     from public.calendly_sync_runs r, calendly.settings s
     where r.started_at > $1 and r.status = 'complete'
       and r.requests > greatest(1, ceil((r.fetched_active + r.fetched_canceled)::numeric / s.page_size))
         + s.missing_event_lookups + (r.progress ->> 'invitees_read')::integer + 4`,
    [since],
  );
  if (stored.length > 0) tell({ whose: scope, what: "spending", stored, expected: "less" });
}

/** Nothing hangs, nothing waits, nobody need act. */
async function nothingIsLeft({ project, scope }: Team, tell: Tell): Promise<void> {
  const left: Record<string, string> = {
    "open runs":
      "select to_jsonb(r) from public.calendly_sync_runs r where r.status in ('running', 'paused')",
    "waiting deliveries":
      "select to_jsonb(e) from public.calendly_webhook_events e where e.status in ('deferred', 'dead')",
    "alerts": "select to_jsonb(a) from public.calendly_alerts a",
    "late turns": `select to_jsonb(c) from public.calendly_connections c, calendly.settings s
      where c.state = 'active' and coalesce(c.next_sync_at, 'infinity') > calendly.now() + (1 + s.schedule_jitter) *
        case c.webhook_state when 'active' then s.webhook_sync_interval else s.sync_interval end`,
    "trust in webhooks that do not come": `select to_jsonb(u) from public.calendly_users u
      join calendly.hosts h on h.user_id = u.id
      join public.calendly_connections c on c.id = h.connection_id
      where u.calendly_webhook_enabled and c.webhook_state <> 'active'`,
  };
  for (const [what, query] of Object.entries(left)) {
    const stored = await project.sql(query);
    if (stored.length > 0) tell({ whose: scope, what, stored, expected: "none" });
  }
  const broken = project.runtime.lines.filter((line) =>
    /Unexpected error|"code":"internal"/.test(line)
  );
  if (broken.length > 0) {
    tell({ whose: scope, what: "the log", stored: broken, expected: "no fault" });
  }
}
