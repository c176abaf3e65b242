/** A sync driven by its RPCs, as calendly-sync drives it, with what Calendly would have answered. */
import type { Call, Counts, Session } from "./session.ts";

/** What the listing shows. */
export interface Listing {
  events: number;
  /** Number of the first event (0): other numbers are other events. */
  from?: number;
  /** URIs of the hosts, who take turns. */
  hosts: string[];
  /** A later edition of the same events has changed. */
  edition?: number;
  /** Invitees of each event. */
  seats?: number;
}

export const PAGE_SIZE = 100;

/** One call of a run: what it was for, its place among those, and what it took. */
export interface Step {
  kind: "begin" | "page" | "last page" | "events" | "invitees" | "finish";
  place: number;
  ms: number;
  /** Where it was counted. */
  counts?: Counts;
  /** Events in it: of a page, or whose invitees were brought. */
  events: number;
}

/** A run that goes on, call by call. Made with the superuser's session that makes the data. */
export class Run {
  #run?: { id: string; lease: string };
  // deno-lint-ignore no-explicit-any -- a step as SQL gives it out, see contract.ts
  #next: any;
  readonly #places: Record<string, number> = {};

  constructor(
    readonly session: Session,
    readonly admin: Session,
    readonly request: Record<string, unknown>,
    readonly listing: Listing,
    /** Which calls are counted in place of being timed. */
    readonly counted: (kind: Step["kind"], place: number) => boolean = () => false,
  ) {}

  /** The calls until the run has finished. */
  async *steps(): AsyncGenerator<Step> {
    yield await this.#begin();
    while (true) {
      switch (this.#next.do) {
        case "list_events":
          yield await this.#page();
          break;
        case "fetch_events":
          throw new Error("The run misses events that the listing has shown.");
        case "fetch_invitees":
          yield await this.#invitees();
          break;
        case "finish":
          yield await this.#call("finish", 0, {
            expression: "public.calendly_finish_sync($1, $2)",
            parameters: [this.#run!.id, this.#run!.lease],
          });
          return;
        case "stop": // The time of one worker is up.
          if (this.#next.result?.status !== "paused") throw new Error(JSON.stringify(this.#next));
          yield await this.#begin();
          break;
        default:
          throw new Error(JSON.stringify(this.#next));
      }
    }
  }

  /** Fails unless the run has found each meeting as expected: the figures would be of something else. */
  async expect(what: "created" | "updated" | "unchanged"): Promise<void> {
    const { rows: [run] } = await this.admin.run(
      `select created, updated, unchanged, deleted, restored, rejected
       from public.calendly_sync_runs where id = $1`,
      [this.#run!.id],
    );
    if (run[what] !== this.listing.events) {
      throw new Error(`${this.listing.events} ${what} meetings expected: ${JSON.stringify(run)}`);
    }
  }

  /** Ends the run where it is. */
  async abandon(): Promise<void> {
    await this.admin.run(
      `select calendly.end_run($1, 'failed', '{"code": "abandoned", "message": "by the benchmark"}')`,
      [this.#run!.id],
    );
  }

  async #begin(): Promise<Step> {
    const step = await this.#call("begin", 0, {
      expression: "public.calendly_begin_sync($1::jsonb)",
      parameters: [JSON.stringify(this.request)],
    });
    const begun = this.#next;
    if (begun.status !== "started") throw new Error(JSON.stringify(begun));
    this.#run = { id: begun.run_id, lease: begun.lease };
    this.#next = begun.next;
    return step;
  }

  async #page(): Promise<Step> {
    const token = this.#next.query.page_token;
    const place = token === undefined ? 0 : Number(token);
    const last = (place + 1) * PAGE_SIZE >= this.listing.events;
    const collection = await pageOf(this.admin, this.listing, place);
    const next = last ? "null" : `"${place + 1}"`;
    return await this.#apply(
      last ? "last page" : "page",
      `{"requests": 0, "page": {"collection": ${collection}, "next_page_token": ${next}}}`,
      Math.min(PAGE_SIZE, this.listing.events - place * PAGE_SIZE),
    );
  }

  async #invitees(): Promise<Step> {
    const uris = this.#next.event_uris;
    const { rows: [{ fetched }] } = await this.admin.run(
      "select bench.fetched($1::jsonb, $2)::text as fetched",
      [JSON.stringify(uris), this.listing.seats ?? 1],
    );
    return await this.#apply(
      "invitees",
      `{"requests": 0, "invitees": ${fetched}}`,
      uris.length,
    );
  }

  #apply(kind: Step["kind"], result: string, events: number): Promise<Step> {
    return this.#call(kind, events, {
      expression: "public.calendly_apply_step($1, $2, $3, $4::jsonb)",
      parameters: [this.#run!.id, this.#run!.lease, this.#next.step, result],
    });
  }

  async #call(kind: Step["kind"], events: number, call: Call): Promise<Step> {
    const place = this.#places[kind] = (this.#places[kind] ?? -1) + 1;
    const counted = this.counted(kind, place);
    const { answer, ...counts } = counted
      ? await this.session.count(call)
      : await this.session.call(call);
    this.#next = answer;
    return { kind, place, events, ms: counts.ms, counts: counted ? counts as Counts : undefined };
  }
}

/** A page of the listing, as JSON. */
export async function pageOf(admin: Session, listing: Listing, place: number): Promise<string> {
  const { rows: [{ page }] } = await admin.run(
    "select bench.page($1, $2, $3, $4, $5, $6)::text as page",
    [
      listing.from ?? 0,
      listing.events,
      place,
      listing.hosts,
      listing.edition ?? 0,
      listing.seats ?? 1,
    ],
  );
  return page;
}

/** Makes the events of a listing known by their URIs, so that their invitees can be brought. */
export async function prepareListing(
  admin: Session,
  { from = 0, events }: Listing,
): Promise<void> {
  await admin.run(
    `insert into bench.numbers (uri, n)
     select bench.event_uri(n), n from generate_series($1::integer, $1 + $2 - 1) n on conflict do nothing`,
    [from, events],
  );
  await admin.script("analyze bench.numbers");
}
