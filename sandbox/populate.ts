/**
 * A lived-in account: years of meetings of every kind, with what made earlier sync tools stumble:
 * nulls, emoji, several hosts, several seats, reschedules, no-shows, old ids. No webhooks are sent.
 */
import { z } from "zod";
import type { InviteeInput } from "./booking_inputs.ts";
import { Bookings } from "./bookings.ts";
import { Clock, duration, formatTime, Micros, time } from "./clock.ts";
import { SandboxError } from "./errors.ts";
import { createEventType } from "./event_types.ts";
import { LOCATION_KINDS } from "./locations.ts";
import { Random } from "./random.ts";
import { Answer, Uri, uri } from "./resources.ts";
import { Count, Reference, Time } from "./values.ts";
import { EventTypeRecord, World } from "./world.ts";

export const PopulateInput = z.strictObject({
  user: Reference.describe("the demo user unless given"),
  events: Count.describe("how many more events the user has afterwards (250)"),
  from: Time.describe("when the first one may start: two years ago unless given"),
  to: Time.describe("when all have started: in a year unless given"),
  variety: z.enum(["varied", "plain"])
    .describe("plain: each with one active invitee and one host"),
  with_invitees: Count.describe("only so many of the events get invitees"),
}).partial();
export type PopulateInput = z.input<typeof PopulateInput>;

const QUARTER = duration("15m");
const DAY = duration("1d");
/** Quarters of an hour, in each direction, among which a free slot for a group event is looked for. */
const SLOTS_TRIED = 96n;

const PEOPLE: [name: string, first: string | null, last: string | null, email: string][] = [
  ["Jane Doe", null, null, "jane.doe@example.com"],
  ["José Ñúñez", "José", "Ñúñez", "jose@example.com"],
  ["王小明", null, null, "xiaoming@example.cn"],
  ["Zoë O’Connor 🎉", "Zoë", "O’Connor 🎉", "zoe+calendly@example.ie"],
  ["محمد علي", null, null, "mohamed.ali@example.com"],
  ["Anne-Sophie Müller-Lüdenscheidt", "Anne-Sophie", "Müller-Lüdenscheidt", "asml@example.de"],
  ["👩‍💻 Dev", null, null, "DEV@Example.org"],
  ["Nguyễn Thị Minh Khai", "Minh Khai", "Nguyễn Thị", "minhkhai@example.vn"],
  ["O", null, null, "o@example.com"],
  ["Robert'); DROP TABLE meetings;--", null, null, "bobby@example.com"],
];

const TIMEZONES = [
  "Europe/Madrid",
  "America/New_York",
  "Asia/Calcutta",
  "America/Argentina/Buenos_Aires",
  "Pacific/Auckland",
  null,
];

const ANSWERS: Answer[][] = [
  [],
  [],
  [{
    answer: "Test event create",
    position: 0,
    question: "Please share anything that will help prepare for our meeting.",
  }],
  [
    { answer: "Line one\nLine two", position: 1, question: "What would you like to discuss?" },
    { answer: "Answer 1\nAnswer 2", position: 3, question: "¿Qué temas? ✨" },
    { answer: "", position: 4, question: "Phone Number" },
  ],
];

export function populate(
  world: World,
  input: PopulateInput & { user: string },
): { events: number; invitees: number } {
  const { user, events = 250, variety = "varied" } = input;
  const now = world.clock.now();
  const today = now - now % DAY;
  const from = input.from === undefined ? today - 730n * DAY : time(input.from);
  const to = input.to === undefined ? today + 365n * DAY : time(input.to);
  if (to <= from) throw new SandboxError("bad_range", "`to` must be later than `from`.");
  const history = new History(world, user, catalogue(world, user, variety), { from, to });
  const step = (to - from) / BigInt(Math.max(events, 1));
  for (let made = 0; made < events;) {
    const start = roundUp(from + BigInt(made) * step);
    const withInvitees = made < (input.with_invitees ?? events);
    if (!withInvitees) made += history.meetingWithoutInvitees(start);
    else if (variety === "plain") made += history.plainMeeting(start);
    else made += history.anyMeeting(start, events - made);
  }
  return { events, invitees: history.invitees };
}

interface Catalogue {
  solo: EventTypeRecord[];
  /** Absent for a plain account. */
  varied?: { group: EventTypeRecord; collective: EventTypeRecord; roundRobin: EventTypeRecord };
}

/** The user's event types in the present organization. What is missing is made, with two colleagues. */
function catalogue(world: World, user: Uri, variety: PopulateInput["variety"]): Catalogue {
  const { current_organization } = world.user(user);
  const types = () =>
    [...world.eventTypes.values()].filter((type) =>
      type.hosts[0] === user && type.organization === current_organization
    );
  const solo = () =>
    types().filter(({ resource }) => resource.kind === "solo" && !resource.pooling_type);
  const group = () => types().find(({ resource }) => resource.kind === "group");
  const pooled = (pooling: string) =>
    types().find(({ resource }) => resource.pooling_type === pooling);
  if (solo().length === 0) createEventType(world, { user });
  if (variety === "plain") return { solo: solo() };

  let colleagues: Uri[] | undefined;
  const hosts = () => colleagues ??= makeColleagues(world, current_organization);
  if (!group()) {
    hosts();
    createEventType(world, { user, name: "Intro – ☕ chat", duration: 15, buffer_minutes: 5 });
    createEventType(world, { user, name: null, duration: 60, locations: null });
    createEventType(world, { user, name: "Workshop", kind: "group", duration: 90, seats: 8 });
  }
  for (
    const [name, pooling_type] of [
      ["Panel interview", "collective"],
      ["Support call", "round_robin"],
    ] as const
  ) {
    if (!pooled(pooling_type)) {
      createEventType(world, { user, hosts: hosts(), name, pooling_type });
    }
  }
  return {
    solo: solo(),
    varied: {
      group: group()!,
      collective: pooled("collective")!,
      roundRobin: pooled("round_robin")!,
    },
  };
}

function makeColleagues(world: World, organization: Uri): Uri[] {
  return ["Björn Åström", "Ana Lucía Peña"].map((name) => {
    const email = `${world.random.text(8, "abcdefghijklmnop")}@example.com`;
    const colleague = world.createUser({ name, email, timezone: "Europe/Madrid", locale: "en" });
    world.join(colleague, organization, "user");
    return colleague.uri;
  });
}

/** Writes bookings into the past (and the future), each change with a time of its own. */
class History {
  invitees = 0;
  readonly #random: Random;
  readonly #bookings: Bookings;
  readonly #world: World;
  readonly #clock: Clock;
  readonly #user: Uri;
  readonly #types: Catalogue;
  readonly #range: { from: Micros; to: Micros };
  /** The time of the next write. */
  #at: Micros = 0n;

  constructor(
    world: World,
    user: Uri,
    types: Catalogue,
    range: { from: Micros; to: Micros },
  ) {
    this.#random = world.random;
    this.#world = world;
    this.#clock = world.clock;
    this.#user = user;
    this.#types = types;
    this.#range = range;
    this.#bookings = new Bookings(world, () => {}, () => this.#stamp());
  }

  meetingWithoutInvitees(start: Micros): number {
    this.#book(this.#types.solo[0], start, { invitee: null, location: "physical" });
    return 1;
  }

  plainMeeting(start: Micros): number {
    this.#book(this.#types.solo[0], start, { location: "google_conference" });
    return 1;
  }

  /** One meeting of a kind left to chance; returns how many events it made (two for a reschedule). */
  anyMeeting(start: Micros, room: number): number {
    const chance = this.#random.int(1, 100);
    const { group, collective, roundRobin } = this.#types.varied!;
    if (chance <= 12) return this.#workshop(group, start);
    if (chance <= 20) return this.#book(collective, start, {}).events;
    if (chance <= 26) return this.#book(roundRobin, start, {}).events;
    const made = this.#book(this.#random.pick(this.#types.solo), start, {});
    if (chance <= 40) this.#cancel(made);
    else if (chance <= 48 && room >= 2) return this.#reschedule(made);
    else if (chance <= 56) this.#noShow(made);
    return made.events;
  }

  #workshop(type: EventTypeRecord, start: Micros): number {
    const first = this.#book(type, start, {});
    const seats = this.#world.event(first.event).resource.invitees_counter.limit;
    const others = Math.min(this.#random.int(0, 5), seats - 1);
    for (let i = 0; i < others; i++) {
      this.#advanceTowards(first.start);
      this.#bookings.book({ event: first.event, invitee: this.#person() }, this.#user);
      this.invitees += 1;
    }
    if (others > 0 && this.#random.chance(0.5)) this.#cancelSeat(first);
    return 1;
  }

  #book(
    wanted: EventTypeRecord,
    wantedStart: Micros,
    options: { invitee?: null; location?: string },
  ): { events: number; event: Uri; invitee: Uri | null; start: Micros } {
    const random = this.#random;
    const { type, start } = this.#freeSlot(wanted, wantedStart);
    const plain = options.location !== undefined;
    const booked = start - BigInt(random.int(1, 30)) * DAY - BigInt(random.int(0, 86_399_999_999));
    const latest = this.#clock.now() - BigInt(random.int(1, 30)) * DAY -
      BigInt(random.int(0, 999_999));
    this.#at = booked < latest ? booked : latest;
    const { event, invitee } = this.#bookings.book({
      event_type: type.resource.uri,
      start_time: formatTime(start),
      invitee: options.invitee === null ? null : plain ? this.#plainPerson() : this.#person(),
      location: options.location ?? this.#location(),
      conference: !plain && random.chance(0.05) ? random.pick(["failed", null]) : "pushed",
      guests: !plain && random.chance(0.1) ? ["guest@example.com", "guest+2@example.com"] : [],
      legacy_id: !plain && random.chance(0.05),
    }, this.#user);
    if (invitee) this.invitees += 1;
    if (!plain && random.chance(0.05)) {
      this.#bookings.edit({
        event: event.resource.uri,
        set: { meeting_notes_plain: "Bring the contract.\n– and cake 🎂" },
      });
    }
    return { events: 1, event: event.resource.uri, invitee: invitee?.uri ?? null, start };
  }

  /**
   * The slot that is wanted or, where the user has an event of this group's type then, the nearest free
   * one: a booking at the same time would join that event. A one-to-one meeting where there is none.
   */
  #freeSlot(type: EventTypeRecord, wanted: Micros): { type: EventTypeRecord; start: Micros } {
    if (type.resource.kind !== "group") return { type, start: wanted };
    for (let quarters = 0n; quarters <= SLOTS_TRIED; quarters++) {
      for (const start of [wanted + quarters * QUARTER, wanted - quarters * QUARTER]) {
        const inRange = start >= this.#range.from && start <= this.#range.to;
        if ((quarters === 0n || inRange) && !this.#isTaken(type, start)) return { type, start };
      }
    }
    return { type: this.#types.solo[0], start: wanted };
  }

  #isTaken({ resource: type }: EventTypeRecord, at: Micros): boolean {
    const start = formatTime(at);
    const list = this.#world.eventsOfHost(this.#user);
    for (let i = list.indexFrom(start); list.rows[i]?.resource.start_time === start; i++) {
      if (list.rows[i].resource.event_type === type.uri) return true;
    }
    return false;
  }

  #cancel(made: { event: Uri; invitee: Uri | null; start: Micros }): void {
    this.#advanceTowards(made.start);
    const byInvitee = this.#random.chance(0.6);
    this.#bookings.cancel({
      ...(byInvitee ? { invitee: made.invitee! } : { event: made.event }),
      by: byInvitee ? "invitee" : "host",
      reason: this.#random.pick([null, "Estoy enferma 🤒", "Conflict"]),
    });
  }

  #cancelSeat(made: { invitee: Uri | null; start: Micros }): void {
    this.#advanceTowards(made.start);
    this.#bookings.cancel({ invitee: made.invitee!, reason: "Meeting Conflict" });
  }

  #reschedule(made: { invitee: Uri | null; start: Micros }): number {
    this.#advanceTowards(made.start);
    const later = made.start + BigInt(this.#random.int(2, 6)) * duration("1h");
    const { new: moved } = this.#bookings.reschedule({
      invitee: made.invitee!,
      start_time: formatTime(later),
      by: this.#random.chance(0.8) ? "invitee" : "host",
      reason: this.#random.pick([null, "Something came up"]),
    });
    const { location, uri: event } = moved.event.resource;
    if (location?.status === "processing") {
      this.#bookings.edit({ event, conference: "pushed", touch: false });
    }
    this.invitees += 1;
    return 2;
  }

  /** Marked after the meeting; for a meeting to come there is nothing to mark. */
  #noShow(made: { invitee: Uri | null; start: Micros }): void {
    const marked = made.start + duration("2h");
    if (marked > this.#clock.now()) return;
    this.#at = marked;
    this.#bookings.markNoShow(made.invitee!);
  }

  #location(): string | null {
    return this.#random.chance(0.05) ? null : this.#random.pick(LOCATION_KINDS);
  }

  #plainPerson(): InviteeInput {
    const number = this.invitees + 1;
    return { name: `Invitee ${number}`, email: `invitee.${number}@example.com` };
  }

  #person(): InviteeInput {
    const random = this.#random;
    const [name, first_name, last_name, email] = random.pick(PEOPLE);
    const paid = random.chance(0.08);
    const at = formatTime(this.#at);
    return {
      name,
      first_name,
      last_name,
      email,
      timezone: random.pick(TIMEZONES),
      questions_and_answers: random.pick(ANSWERS),
      tracking: random.chance(0.2)
        ? { utm_campaign: "spring_sale", utm_source: "newsletter", utm_term: "ü&=?" }
        : {},
      payment: paid
        ? {
          amount: random.pick([1234.56, 20, 0.5]),
          currency: random.pick(["EUR", "USD", "GBP"]),
          external_id: `ch_${random.secret(24)}`,
          provider: random.pick(["stripe", "paypal"]),
          successful: random.chance(0.9),
          terms: random.pick([null, "Refundable until the day before."]),
        }
        : null,
      text_reminder_number: random.chance(0.1) ? "+33 6 12 34 56 78" : null,
      reconfirmation: random.chance(0.06)
        ? { confirmed_at: random.pick([null, at]), created_at: at }
        : null,
      routing_form_submission: random.chance(0.05)
        ? uri("routing_form_submissions", random.uuid())
        : null,
      scheduling_method: random.pick([null, null, null, "api", "instant_book"]),
      invitee_scheduled_by: random.chance(0.05) ? this.#user : null,
    };
  }

  /** Halfway from the last write to the meeting, or to now if that is earlier. */
  #advanceTowards(start: Micros): void {
    const now = this.#clock.now() - DAY / 2n;
    const limit = start < now ? start : now;
    if (limit > this.#at) this.#at += (limit - this.#at) / 2n;
  }

  /** The time of a write; the next one is some milliseconds later. */
  #stamp(): string {
    const at = formatTime(this.#at);
    this.#at += BigInt(this.#random.int(2_000, 30_000));
    return at;
  }
}

function roundUp(at: Micros): Micros {
  return ((at + QUARTER - 1n) / QUARTER) * QUARTER;
}
