/**
 * What Calendly has, and the two ways in which it comes here: a delivery for each change, or a FULL sync of
 * each person.
 */
import type { Database } from "../../local/database.ts";
import { FIXTURES } from "../database/fixtures/fixtures.ts";

// deno-lint-ignore no-explicit-any -- Calendly's JSON, and rows
type Json = any;

export type Way = "webhook" | "sync";

/** What became of an invitee. */
export type Change = "created" | "canceled" | "marked" | "unmarked";

const TYPES: Record<Change, string> = {
  created: "invitee.created",
  canceled: "invitee.canceled",
  marked: "invitee_no_show.created",
  unmarked: "invitee_no_show.deleted",
};

/** How the event and the invitee look then: what differs from tests.event and tests.invitee. */
export interface Snapshots {
  event?: Json;
  invitee?: Json;
}

/** cleo has no account: a server has connected her. */
const PEOPLE = ["ana", "ben", "cleo"];

export class World {
  #events = new Map<string, Json>();
  #invitees = new Map<string, Map<string, Json>>();
  #unlisted = new Set<string>();
  #refused = new Set<string>();

  private constructor(readonly database: Database, readonly way: Way) {}

  /** Connects the people. Whoever else hosts is a stranger. */
  static async make(database: Database): Promise<void> {
    const ways = await Deno.readTextFile(new URL("fixtures/ways.sql", import.meta.url));
    await database.script(`${FIXTURES}\n${ways}
      select tests.add_account(name || '@example.com') from unnest('{ana,ben}'::text[]) name;`);
  }

  /** Nothing is booked, and nothing stored. */
  static async empty(database: Database, way: Way): Promise<World> {
    await database.query("select tests.begin_anew($1)", [PEOPLE]);
    return new World(database, way);
  }

  /** Changes an invitee's booking, and brings that here by this way: what was answered. */
  async bring(
    change: Change,
    event: string,
    invitee: string,
    snapshots: Snapshots = {},
  ): Promise<Json> {
    const booking = await this.book(event, invitee, snapshots);
    return this.way === "webhook" ? await this.deliver(change, booking) : await this.sync();
  }

  /** Changes it at Calendly only. */
  async book(
    event: string,
    invitee: string,
    snapshots: Snapshots = {},
  ): Promise<Required<Snapshots>> {
    const [booking] = await this.database.query<Required<Snapshots>>(
      "select tests.event($1, $3) as event, tests.invitee($1, $2, $4) as invitee",
      [
        event,
        invitee,
        JSON.stringify(snapshots.event ?? {}),
        JSON.stringify(snapshots.invitee ?? {}),
      ],
    );
    this.#events.set(event, booking.event);
    const invitees = this.#invitees.get(event) ?? new Map();
    this.#invitees.set(event, invitees.set(invitee, booking.invitee));
    return booking;
  }

  async deliver(change: Change, { event, invitee }: Required<Snapshots>): Promise<Json> {
    const [{ now }] = await this.database.query(
      "select calendly.to_calendly(calendly.now()) as now",
    );
    const payload = { ...invitee, scheduled_event: event };
    const [{ outcome }] = await this.database.query("select tests.deliver($1) as outcome", [
      JSON.stringify({ event: TYPES[change], created_at: now, payload }),
    ]);
    return outcome;
  }

  /** A sync of everybody, as Calendly has it now; the results by name. */
  async sync({ pageSize = 100 } = {}): Promise<Json> {
    const results: Json = {};
    for (const name of PEOPLE) {
      const events = [...this.#events.values()];
      // the listing of each person also shows the strangers' events
      const others = events.filter(({ event_memberships: hosts }) =>
        !hosts.some(({ user }: Json) => user === host(name) || user === host("stranger"))
      );
      const invitees = [...this.#invitees].map(([event, all]) => [uri(event), [...all.values()]]);
      [{ result: results[name] }] = await this.database.query(
        "select tests.sync_listing($1, $2) as result",
        [
          name,
          JSON.stringify({
            events,
            invitees: Object.fromEntries(invitees),
            unlisted: [...[...this.#unlisted].map(uri), ...others.map((event) => event.uri)],
            refused: [...this.#refused].map(uri),
            page_size: pageSize,
          }),
        ],
      );
    }
    return results;
  }

  /** Calendly no longer has the event. */
  remove = (event: string) => void this.#events.delete(event);
  /** Its listing lacks the event. */
  unlist = (event: string) => void this.#unlisted.add(event);
  /** It refuses the event's invitees. */
  refuseInvitees = (event: string) => void this.#refused.add(event);

  async wait(span = "1 minute"): Promise<void> {
    await this.database.query("select tests.pass($1)", [span]);
  }

  async meeting(event: string, name = "ana"): Promise<Json> {
    const [row] = await this.database.query(
      `select m.* from public.calendly_meetings m
       where m.calendly_event_uri = $1 and m.user_id = tests.id_of($2)`,
      [uri(event), name],
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

  /** Another one for each meeting or invitee that is written. */
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

// Snapshots ------------------------------------------------------------------------------

/** When Calendly last changed it. */
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
export const canceled = (minute: number): Required<Snapshots> => ({
  event: { ...cancellation(minute), ...seats(1, 0, 1) },
  invitee: cancellation(minute),
});

export const noShow = (created_at: string) => ({
  no_show: { uri: "https://api.calendly.com/invitee_no_shows/N1", created_at },
});
