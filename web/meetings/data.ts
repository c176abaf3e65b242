/** What My meetings reads from PostgREST, with the person's rights: row level security decides. */
import type { PostgrestSingleResponse } from "@supabase/postgrest-js";
import type { Database } from "../../supabase/functions/_shared/calendly/database.types.ts";
import { counted, rows } from "../data/operator.ts";
import { person } from "../data/person.ts";
import { databaseTime, setDatabaseTime } from "../ui/clock.ts";
import { intervalSeconds, toDate } from "../ui/time.tsx";
import { pattern } from "./search.ts";

type Tables = Database["public"]["Tables"];
export type User = Pick<
  Tables["calendly_users"]["Row"],
  | "id"
  | "auth_user_id"
  | "name"
  | "email"
  | "connection_id"
  | "last_calendly_sync"
  | "calendly_initial_sync_complete"
>;
export type Connection = Tables["calendly_connections"]["Row"];
export type Run = Tables["calendly_sync_runs"]["Row"];
export type Health = Database["public"]["Views"]["calendly_sync_health"]["Row"];
type MeetingRow = Tables["calendly_meetings"]["Row"];
type InviteeRow = Tables["calendly_invitees"]["Row"];

/** What the list shows of an invitee. */
export type ListedInvitee = Pick<
  InviteeRow,
  "id" | "name" | "email" | "status" | "timezone" | "no_show_at"
>;

/** What the list shows of a meeting. */
export interface Meeting extends
  Pick<
    MeetingRow,
    | "id"
    | "user_id"
    | "calendly_event_uri"
    | "name"
    | "start_time"
    | "end_time"
    | "location_type"
    | "location"
    | "join_url"
    | "is_deleted"
    | "deleted_at"
    | "deleted_reason"
    | "rescheduled_from"
    | "rescheduled_to"
    | "synced_via_webhook"
    | "calendly_created_at"
    | "calendly_updated_at"
    | "updated_at"
  > {
  counter: { total?: number; active?: number; limit?: number } | null;
  calendly_invitees: ListedInvitee[];
}

/** A meeting with all that is known of it. */
export interface MeetingDetails extends MeetingRow {
  calendly_invitees: InviteeRow[];
}

const COLUMNS = "id,user_id,calendly_event_uri,name,start_time,end_time,location_type,location," +
  "join_url,is_deleted,deleted_at,deleted_reason,rescheduled_from,rescheduled_to," +
  "synced_via_webhook,calendly_created_at,calendly_updated_at,updated_at," +
  "counter:raw->invitees_counter";
const INVITEES = "(id,name,email,status,timezone,no_show_at)";

/** Invitees of a group event that the list reads; the counter has how many there are. */
const LISTED_INVITEES = 3;

export type Tab = "upcoming" | "past" | "canceled" | "gone";
export const TABS: readonly Tab[] = ["upcoming", "past", "canceled", "gone"];

export interface Filter {
  tab: Tab;
  search: string;
  /** A row of calendly_users; undefined: everybody's whom the person may read. */
  host?: number;
  /** In milliseconds: what divides upcoming from past. */
  now: number;
}

/** A place in a list: after this meeting. */
export interface Cursor {
  start: string;
  id: number;
}

/** Rows that are asked for at first, and at once after that. The Data API may return fewer: the end is an empty page. */
const FIRST_PAGE = 100;
const PAGE = 500;

/** So many changes are told one by one; of more, all is read again. */
const MAX_CHANGES = 100;

/** Calls PostgREST: its builder's types do not reach as far as these queries. */
// deno-lint-ignore no-explicit-any -- see above
type Query = any;

function withFilter(query: Query, { tab, host, now }: Filter): Query {
  const at = new Date(now).toISOString();
  query = query.not("calendly_event_uri", "is", null);
  if (host !== undefined) query = query.eq("user_id", host);
  switch (tab) {
    case "upcoming":
      return query.is("is_deleted", false).gte("end_time", at);
    case "past":
      return query.is("is_deleted", false).lt("end_time", at);
    case "canceled":
      return query.eq("deleted_reason", "canceled");
    case "gone":
      return query.in("deleted_reason", ["gone", "reassigned"]);
  }
}

/** Upcoming meetings begin with the next one, all others with the latest. */
export function ascending(tab: Tab): boolean {
  return tab === "upcoming";
}

/**
 * One page. `any`: of these conditions one must hold. They and the place go into one `or`: the second of two
 * is not heard by every Data API.
 */
async function page(
  query: Query,
  filter: Filter,
  after: Cursor | undefined,
  any?: string,
): Promise<Meeting[]> {
  const up = ascending(filter.tab);
  const beyond = up ? "gt" : "lt";
  const place = after &&
    `start_time.${beyond}.${after.start},and(start_time.eq.${after.start},id.${beyond}.${after.id})`;
  let filtered = withFilter(query, filter);
  if (any && place) filtered = filtered.or(`and(or(${any}),or(${place}))`);
  else if (any ?? place) filtered = filtered.or(any ?? place);
  return await rows<Meeting[]>(
    filtered.order("start_time", { ascending: up }).order("id", { ascending: up })
      .limit(LISTED_INVITEES, { referencedTable: "calendly_invitees" })
      .limit(after ? PAGE : FIRST_PAGE),
  );
}

/**
 * The pages after a place, unmerged: one without a search. With one there are two lists in the same order:
 * what its name or place matches, and what an invitee matches.
 */
export async function fetchPages(filter: Filter, after?: Cursor): Promise<Meeting[][]> {
  const meetings = person().from("calendly_meetings");
  const like = pattern(filter.search);
  const listed = meetings.select(`${COLUMNS},calendly_invitees${INVITEES}`);
  if (like === undefined) return [await page(listed, filter, after)];
  return await Promise.all([
    page(listed, filter, after, `name.ilike.${like},location.ilike.${like}`),
    page(
      meetings.select(`${COLUMNS},calendly_invitees!inner${INVITEES}`)
        .or(`name.ilike.${like},email.ilike.${like}`, { referencedTable: "calendly_invitees" }),
      filter,
      after,
    ),
  ]);
}

/** The meetings of these ids which the person may read, of whatever tab. */
export async function fetchMeetings(ids: number[]): Promise<Meeting[]> {
  if (ids.length === 0) return [];
  return await rows<Meeting[]>(
    (person().from("calendly_meetings").select(`${COLUMNS},calendly_invitees${INVITEES}`) as Query)
      .in("id", ids).limit(LISTED_INVITEES, { referencedTable: "calendly_invitees" }),
  );
}

/** So many meetings' invitees are asked for at once: their ids are in the address. */
const BATCH = 100;

/** All invitees of these meetings, by meeting: those that the list has left out, too. */
export async function fetchInvitees(ids: number[]): Promise<Map<number, ListedInvitee[]>> {
  const byMeeting = new Map<number, ListedInvitee[]>();
  for (let from = 0; from < ids.length; from += BATCH) {
    for (let after = 0;;) {
      const page = await rows<(ListedInvitee & { meeting_id: number })[]>(
        person().from("calendly_invitees")
          .select("id,name,email,status,timezone,no_show_at,meeting_id")
          .in("meeting_id", ids.slice(from, from + BATCH)).gt("id", after).order("id").limit(1000),
      );
      if (page.length === 0) break;
      for (const { meeting_id, ...invitee } of page) {
        byMeeting.set(meeting_id, [...byMeeting.get(meeting_id) ?? [], invitee]);
      }
      after = page.at(-1)!.id;
    }
  }
  return byMeeting;
}

/** How many meetings each tab has. */
export async function countTabs(host: number | undefined, now: number): Promise<
  Record<Tab, number>
> {
  const counts = await Promise.all(TABS.map(async (tab) => {
    const query = person().from("calendly_meetings").select("id", { count: "exact", head: true });
    const { count } = await counted(withFilter(query, { tab, search: "", host, now }));
    return [tab, count ?? 0] as const;
  }));
  return Object.fromEntries(counts) as Record<Tab, number>;
}

/** A meeting that was written here, or an invitee of which was. */
export interface Change {
  id: number;
  updated_at: string;
}

/** Until when changes were read. */
export interface Seen {
  latest: string;
  /** Which changes of the last moments have been told. */
  told: ReadonlySet<string>;
}

/** In milliseconds: a transaction that ends so much later than another may have begun, and written, before it. */
const OVERLAP = 10_000;

/** From when on to read: while transactions of then may still end, a little before what was read. */
export function readFrom({ latest }: Seen, now: number): string {
  const time = toDate(latest).getTime();
  return isRecent(latest, now) ? new Date(time - OVERLAP).toISOString() : latest;
}

/** Whether what was written at about this time may not all be there yet. */
export function isRecent(latest: string, now: number): boolean {
  return now - toDate(latest).getTime() < 2 * OVERLAP;
}

/** The meetings among these changes that were not told yet. */
export function takeNews(seen: Seen, changes: Change[]): { ids: number[]; seen: Seen } {
  const mark = ({ id, updated_at }: Change) => `${id} ${updated_at}`;
  const news = changes.filter((change) => !seen.told.has(mark(change)));
  return {
    ids: [...new Set(news.map(({ id }) => id))],
    seen: {
      latest: [seen.latest, ...changes.map(last)].reduce(later),
      told: new Set(changes.map(mark)),
    },
  };
}

/** Ids of the meetings that were written, or an invitee of which was, since then; null where they are many. */
export async function fetchChangedSince(
  seen: Seen,
  now: number,
): Promise<{ ids: number[] | null; seen: Seen }> {
  const from = readFrom(seen, now);
  const [meetings, invitees] = await Promise.all([
    rows<Change[]>(
      (person().from("calendly_meetings").select("id,updated_at") as Query)
        .gt("updated_at", from).order("updated_at").limit(MAX_CHANGES),
    ),
    rows<Change[]>(
      (person().from("calendly_invitees").select("id:meeting_id,updated_at") as Query)
        .gt("updated_at", from).order("updated_at").limit(MAX_CHANGES),
    ),
  ]);
  if (Math.max(meetings.length, invitees.length) >= MAX_CHANGES) {
    return { ids: null, seen: { latest: await fetchLatestChange(), told: new Set() } };
  }
  return takeNews(seen, [...meetings, ...invitees]);
}

const last = ({ updated_at }: { updated_at: string }) => updated_at;

function later(one: string, other: string): string {
  return toDate(other) > toDate(one) ? other : one;
}

/** When a meeting or invitee was last written here, for everybody whom the person may read. */
export async function fetchLatestChange(): Promise<string> {
  const [meeting] = await rows<{ updated_at: string }[]>(
    (person().from("calendly_meetings").select("updated_at") as Query)
      .order("updated_at", { ascending: false }).limit(1),
  );
  const [invitee] = await rows<{ updated_at: string }[]>(
    (person().from("calendly_invitees").select("updated_at") as Query)
      .order("updated_at", { ascending: false }).limit(1),
  );
  return [meeting, invitee].filter((row) => row !== undefined).map(last)
    .reduce(later, "1970-01-01T00:00:00Z");
}

export async function fetchDetails(id: number): Promise<MeetingDetails | undefined> {
  if (!Number.isSafeInteger(id)) return;
  const [meeting] = await rows<MeetingDetails[]>(
    person().from("calendly_meetings").select("*,calendly_invitees(*)")
      .eq("id", id) as PromiseLike<PostgrestSingleResponse<unknown>> as PromiseLike<
        PostgrestSingleResponse<MeetingDetails[]>
      >,
  );
  return meeting;
}

/** A step of a reschedule chain. */
export type Link = Pick<
  MeetingRow,
  "id" | "calendly_event_uri" | "start_time" | "is_deleted" | "rescheduled_from" | "rescheduled_to"
>;

/** A person's meetings by the events' URIs. */
export async function fetchLinks(user_id: number, uris: string[]): Promise<Link[]> {
  return await rows(
    person().from("calendly_meetings")
      .select("id,calendly_event_uri,start_time,is_deleted,rescheduled_from,rescheduled_to")
      .eq("user_id", user_id).in("calendly_event_uri", uris),
  );
}

/** Everything around the list: whom the person may read, how they are connected, their last runs. */
export interface Situation {
  /** The person's own row; undefined for who has never connected. */
  self?: User;
  /** All whom the person may read, by name. */
  users: User[];
  /** The person's own connection, unless it has ended. */
  connection?: Connection;
  /** Somebody else's connection brings the meetings. */
  byOrganization: boolean;
  health?: Health;
  /** When all was compared with Calendly, in milliseconds. */
  comparedAt?: number;
  /** The person's last run of each kind, the latest first. */
  runs: Run[];
}

export async function fetchSituation(authUserId: string): Promise<Situation> {
  const users = await rows<User[]>(
    person().from("calendly_users").select(
      "id,auth_user_id,name,email,connection_id,last_calendly_sync,calendly_initial_sync_complete",
    ).order("name").order("id"),
  );
  const self = users.find(({ auth_user_id }) => auth_user_id === authUserId);
  if (!self) return { users, byOrganization: false, runs: [] };
  const [connections, health, runs] = await Promise.all([
    rows(person().from("calendly_connections").select().eq("user_id", self.id)),
    rows(person().from("calendly_sync_health").select().eq("user_id", self.id)),
    fetchLastRuns(self.id),
  ]);
  const own = connections.find(({ state }) => state !== "disconnected");
  const staleness = health[0]?.staleness ? intervalSeconds(health[0].staleness) * 1000 : undefined;
  if (own?.current_as_of && staleness !== undefined) {
    setDatabaseTime(toDate(own.current_as_of).getTime() + staleness);
  }
  return {
    self,
    users,
    connection: own,
    byOrganization: !own && self.connection_id !== null,
    health: health[0],
    comparedAt: staleness === undefined ? undefined : databaseTime() - staleness,
    runs,
  };
}

/** The latest run, and the latest complete one of each kind: they say what range each kind reads. */
async function fetchLastRuns(user_id: number): Promise<Run[]> {
  const runs = person().from("calendly_sync_runs");
  const [latest, full, incremental] = await Promise.all([
    rows(runs.select().eq("user_id", user_id).order("started_at", { ascending: false }).limit(1)),
    ...["FULL", "INCREMENTAL"].map((type) =>
      rows(
        runs.select().eq("user_id", user_id).eq("sync_type", type)
          .order("started_at", { ascending: false }).limit(1),
      )
    ),
  ]);
  const all = [...latest, ...full, ...incremental];
  return all.filter((run, index) => all.findIndex(({ id }) => id === run.id) === index);
}

export async function fetchRun(id: string): Promise<Run | undefined> {
  return (await rows(person().from("calendly_sync_runs").select().eq("id", id)))[0];
}
