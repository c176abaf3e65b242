/**
 * What Calendly has, and the two ways in which we are told of it. A story speaks of bookings, and is the same
 * whichever way the news take: a delivery each, or a FULL sync of each host who is a user.
 */
import type { Database } from "../../local/database.ts";
import { FIXTURES } from "../database/fixtures/fixtures.ts";

// deno-lint-ignore no-explicit-any -- Calendly's JSON, and rows
type Json = any;

export type Way = "webhook" | "sync";

/** What has happened, as deliveries call it. */
export type Happening = "created" | "canceled" | "marked" | "unmarked";

const TYPES: Record<Happening, string> = {
  created: "invitee.created",
  canceled: "invitee.canceled",
  marked: "invitee_no_show.created",
  unmarked: "invitee_no_show.deleted",
};

/** How the booking looks then: what differs from tests.event and tests.invitee. */
export interface Copies {
  event?: Json;
  invitee?: Json;
}

const PEOPLE = ["ana", "ben"];

export class World {
  #events = new Map<string, Json>();
  #invitees = new Map<string, Map<string, Json>>();
  #unlisted = new Set<string>();
  #unreadable = new Set<string>();

  private constructor(readonly database: Database, readonly way: Way) {}

  /** Two users, ana and ben; whoever else hosts is a stranger. */
  static async make(database: Database): Promise<void> {
    const account = await Deno.readTextFile(new URL("fixtures/account.sql", import.meta.url));
    await database.script(`${FIXTURES}\n${account}
      select calendly.set_clock('2026-06-01T12:00:00Z');
      select tests.add_person(name) from unnest('{${PEOPLE}}'::text[]) name;`);
  }

  /** An empty calendar, and nothing known of it. */
  static async empty(database: Database, way: Way): Promise<World> {
    await database.query("select tests.begin_anew()");
    return new World(database, way);
  }

  /** Something happens to an invitee's booking of an event, and we are told; what was answered. */
  async tell(what: Happening, event: string, invitee: string, copies: Copies = {}): Promise<Json> {
    const told = await this.book(event, invitee, copies);
    return this.way === "webhook" ? await this.deliver(what, told) : await this.sync();
  }

  /** It happens, and nobody tells. */
  async book(event: string, invitee: string, copies: Copies = {}): Promise<Required<Copies>> {
    const [told] = await this.database.query<Required<Copies>>(
      "select tests.event($1, $3) as event, tests.invitee($1, $2, $4) as invitee",
      [event, invitee, JSON.stringify(copies.event ?? {}), JSON.stringify(copies.invitee ?? {})],
    );
    this.#events.set(event, told.event);
    const invitees = this.#invitees.get(event) ?? new Map();
    this.#invitees.set(event, invitees.set(invitee, told.invitee));
    return told;
  }

  async deliver(what: Happening, { event, invitee }: Required<Copies>): Promise<Json> {
    const [{ now }] = await this.database.query(
      "select calendly.to_calendly(calendly.now()) as now",
    );
    const payload = { ...invitee, scheduled_event: event };
    const [{ outcome }] = await this.database.query("select tests.deliver($1) as outcome", [
      JSON.stringify({ event: TYPES[what], created_at: now, payload }),
    ]);
    return outcome;
  }

  /** A sync of everybody, as Calendly has it now; the results by name. */
  async sync({ pageSize = 100 } = {}): Promise<Json> {
    const results: Json = {};
    for (const name of PEOPLE) {
      const events = [...this.#events.values()];
      // a stranger's is listed by mistake
      const others = events.filter(({ event_memberships: hosts }) =>
        !hosts.some(({ user }: Json) => user === host(name) || user === host("stranger"))
      );
      const invitees = [...this.#invitees].map(([event, all]) => [uri(event), [...all.values()]]);
      [{ result: results[name] }] = await this.database.query(
        "select tests.sync_account($1, $2) as result",
        [
          name,
          JSON.stringify({
            events,
            invitees: Object.fromEntries(invitees),
            unlisted: [...[...this.#unlisted].map(uri), ...others.map((event) => event.uri)],
            unreadable: [...this.#unreadable].map(uri),
            page_size: pageSize,
          }),
        ],
      );
    }
    return results;
  }

  /** Calendly has the event no more, its listing lacks it, or its invitees cannot be read. */
  lose = (event: string) => void this.#events.delete(event);
  unlist = (event: string) => void this.#unlisted.add(event);
  lock = (event: string) => void this.#unreadable.add(event);

  async pass(span = "1 minute"): Promise<void> {
    await this.database.query("select tests.pass($1)", [span]);
  }

  async meeting(event: string, name = "ana"): Promise<Json> {
    const [row] = await this.database.query(
      `select m.* from public.calendly_meetings m join public.calendly_users u on u.id = m.user_id
       where m.calendly_event_uri = $1 and u.email = $2`,
      [uri(event), `${name}@example.com`],
    );
    return row;
  }

  /** An event's invitees in ana's meeting, by name. */
  async invitees(event: string): Promise<Record<string, Json>> {
    const rows = await this.database.query<{ uri: string }>(
      `select v.* from public.calendly_invitees v join public.calendly_meetings m on m.id = v.meeting_id
       where m.calendly_event_uri = $1 and m.user_id = tests.id_of('ana')`,
      [uri(event)],
    );
    return Object.fromEntries(rows.map((row) => [row.uri.split("/").at(-1)!, row]));
  }

  /** Another one whenever a meeting or an invitee is written. */
  async versions(): Promise<string[]> {
    const rows = await this.database.query<{ version: string }>(
      `select 'meeting ' || m.id || ' ' || m.xmin as version from public.calendly_meetings m
       union all select 'invitee ' || v.id || ' ' || v.xmin from public.calendly_invitees v order by 1`,
    );
    return rows.map(({ version }) => version);
  }
}

function uri(event: string): string {
  return `https://api.calendly.com/scheduled_events/${event}`;
}

function host(name: string): string {
  return `https://api.calendly.com/users/${name}`;
}

// What copies look like ------------------------------------------------------------------------------

/** Later and later: when Calendly last touched a copy. */
export const at = (minute: number) => `2026-05-25T08:${String(minute).padStart(2, "0")}:00.000001Z`;

export const hostedBy = (...names: string[]) => ({
  event_memberships: names.map((name) => ({ user: host(name) })),
});

export const seats = (total: number, active: number, limit = 5) => ({
  invitees_counter: { total, active, limit },
});

const cancellation = (minute: number) => ({
  status: "canceled",
  updated_at: at(minute),
  cancellation: {
    canceled_by: "Ines",
    reason: "ill",
    canceler_type: "invitee",
    created_at: at(minute),
  },
});

/** The only invitee cancels, and the event with them. */
export const canceled = (minute: number): Required<Copies> => ({
  event: { ...cancellation(minute), ...seats(1, 0, 1) },
  invitee: cancellation(minute),
});

export const noShow = (created_at: string) => ({
  no_show: { uri: "https://api.calendly.com/invitee_no_shows/N1", created_at },
});
