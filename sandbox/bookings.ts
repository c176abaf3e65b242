/**
 * What happens to a booking: book, cancel, reschedule, no-show, edit, reassign, erase. Each changes
 * the world as Calendly would and tells `emit` about the changes for which Calendly has a webhook.
 */
import type {
  BookInput,
  CancelInput,
  EditInput,
  InviteeInput,
  ReassignInput,
  RescheduleInput,
} from "./booking_inputs.ts";
import { SandboxError } from "./errors.ts";
import { CONFERENCE_TAKES, isConference, makeLocation } from "./locations.ts";
import { duration, formatTime, time } from "./clock.ts";
import {
  BookingEvent,
  Cancellation,
  ConferenceStatus,
  EventMembership,
  Invitee,
  InviteeNoShow,
  Location,
  ScheduledEvent,
  Uri,
  uri,
} from "./resources.ts";
import { eventKey, EventRecord, EventTypeRecord, hostsOf, recount, World } from "./world.ts";

export interface Booking {
  event: EventRecord;
  invitee: Invitee | null;
}

/** The row as it was when the webhook's payload was made. */
export type Emit = (
  type: BookingEvent,
  booking: { event: EventRecord; invitee: Invitee },
  asOf?: ScheduledEvent,
) => void;

export class Bookings {
  readonly #world: World;
  readonly #emit: Emit;
  readonly #stamp: () => string;

  /** `stamp` gives each write its time; history is written with times of its own. */
  constructor(world: World, emit: Emit, stamp: () => string = () => world.stamp()) {
    this.#world = world;
    this.#emit = emit;
    this.#stamp = stamp;
  }

  book(input: BookInput, host: Uri): Booking {
    const booking = this.#place(input, host);
    if (booking.invitee) this.#tell("invitee.created", booking.event, booking.invitee);
    return booking;
  }

  cancel(input: CancelInput): Booking {
    if (input.invitee) return this.#cancelOne(input.invitee, input);
    const event = this.#world.event(input.event);
    if (event.resource.status === "canceled") throw alreadyCanceled("event");
    const cancellation = this.#cancellation(input, event, event.invitees[0] ?? null);
    const canceled = event.invitees.filter((invitee) => invitee.status === "active");
    for (const invitee of canceled) this.#cancelInvitee(invitee, cancellation);
    this.#cancelEvent(event, cancellation);
    for (const invitee of canceled) this.#tell("invitee.canceled", event, invitee);
    return { event, invitee: canceled[0] ?? null };
  }

  /**
   * Calendly's way: the old invitee (and event, unless others keep their seats in it) is canceled,
   * a new event with a new invitee is made, and the two invitees name each other.
   */
  reschedule(input: RescheduleInput): { old: Booking; new: Booking } {
    const reference = input.invitee ??
      this.#world.event(input.event).invitees.find((it) => it.status === "active")?.uri;
    if (!reference) throw new SandboxError("no_invitee", "This event has no active invitee.");
    const { event, invitee } = this.#world.invitee(reference);
    if (invitee.status === "canceled") throw alreadyCanceled("invitee");
    const host = input.user ? this.#world.user(input.user).uri : hostsOf(event)[0];
    const by = input.by ?? "invitee";
    const cancellation = this.#cancellation({ by, reason: input.reason ?? null }, event, invitee);
    invitee.rescheduled = true;
    this.#cancelInvitee(invitee, cancellation);
    this.#closeIfEmpty(event, cancellation, true);

    const length = time(event.resource.end_time) - time(event.resource.start_time);
    const start = input.start_time
      ? time(input.start_time)
      : time(event.resource.start_time) + duration("7d");
    const { location } = event.resource;
    const booking = this.#place({
      event_type: event.resource.event_type,
      user: input.user,
      start_time: formatTime(start),
      end_time: formatTime(start + length),
      invitee: {
        ...invitee,
        reconfirmation: null,
        payment: invitee.payment && { ...invitee.payment },
      },
      location: isConference(location) ? location!.type : location && { ...location },
      guests: event.resource.event_guests.map((guest) => guest.email),
    }, host);
    const moved = booking.invitee!;
    moved.old_invitee = invitee.uri;
    invitee.new_invitee = moved.uri;
    this.#tell("invitee.canceled", event, invitee);
    this.#tell("invitee.created", booking.event, moved);
    return { old: { event, invitee }, new: booking };
  }

  /** Marking moves no `updated_at`, neither the invitee's nor the event's. */
  markNoShow(reference: string): InviteeNoShow {
    const { event, invitee } = this.#world.invitee(reference);
    if (invitee.no_show) {
      throw new SandboxError("already_marked", "This invitee is marked as a no-show already.");
    }
    const noShow: InviteeNoShow = {
      created_at: this.#stamp(),
      invitee: invitee.uri,
      uri: uri("invitee_no_shows", this.#world.random.uuid()),
    };
    this.#world.noShows.set(noShow.uri, noShow);
    invitee.no_show = { created_at: noShow.created_at, uri: noShow.uri };
    this.#tell("invitee_no_show.created", event, invitee);
    return noShow;
  }

  undoNoShow(reference: string): Booking {
    const { event, invitee } = this.#world.invitee(
      this.#world.noShows.get(reference)?.invitee ?? reference,
    );
    if (!invitee.no_show) {
      throw new SandboxError("not_marked", "This invitee is not marked as a no-show.");
    }
    this.#world.noShows.delete(invitee.no_show.uri);
    invitee.no_show = null;
    this.#tell("invitee_no_show.deleted", event, invitee);
    return { event, invitee };
  }

  /** Gives the event to another host. Calendly has no webhook for it. */
  reassign(input: ReassignInput): EventRecord {
    const event = this.#world.event(input.event);
    const to = this.#world.user(input.to).uri;
    const from = input.from ? this.#world.user(input.from).uri : hostsOf(event)[0];
    if (!hostsOf(event).includes(from)) {
      throw new SandboxError("not_a_host", "The user in `from` is no host of this event.");
    }
    const type = this.#world.eventTypes.get(event.resource.event_type);
    const replacement = this.#memberships([to], event.resource, type);
    this.#world.reindexed(event, () => {
      event.resource.event_memberships = event.resource.event_memberships
        .flatMap((membership) => {
          if (membership.user === from) return replacement;
          return membership.user === to ? [] : [membership];
        });
    });
    if (input.touch !== false) event.resource.updated_at = this.#stamp();
    return event;
  }

  /** What Calendly has no webhook for: guests, notes, a settled link, a changed field. */
  edit(input: EditInput): Booking {
    const { event, invitee } = input.invitee
      ? this.#world.invitee(input.invitee)
      : { event: this.#world.event(input.event), invitee: null };
    const row = invitee ?? event.resource;
    const { set = {} } = input;
    const { start_time, end_time, location } = { ...event.resource, ...invitee ? {} : set };
    if (time(start_time) >= time(end_time)) {
      throw new SandboxError("bad_value", "The event would end before it starts.");
    }
    if (input.conference !== undefined) requireConference(location);
    const at = this.#stamp();
    const times = {
      start_time: formatTime(time(start_time)),
      end_time: formatTime(time(end_time)),
    };
    this.#world.reindexed(event, () => {
      Object.assign(row, structuredClone(set), invitee ? {} : times);
    });
    for (const email of input.guests ?? []) {
      event.resource.event_guests.push({ created_at: at, email, updated_at: at });
    }
    if (input.conference !== undefined) this.#settle(event, input.conference);
    if (input.touch !== false) row.updated_at = at;
    return { event, invitee };
  }

  /** As after a data deletion: the row answers 404 from now on, and no webhook tells. */
  eraseEvent(reference: string): void {
    this.#world.removeEvent(this.#world.event(reference));
  }

  eraseInvitee(reference: string): void {
    const { event, invitee } = this.#world.invitee(reference);
    this.#world.removeInvitee(event, invitee);
  }

  /** Finishes the conferences whose time has come. Without a webhook: only a re-read shows it. */
  settleReadyConferences(): void {
    for (const { event, readyAt } of this.#world.takeReadyConferences()) {
      if (event.resource.status === "canceled" || event.resource.location?.status === "pushed") {
        continue;
      }
      this.#settle(event, "pushed");
      event.resource.updated_at = formatTime(readyAt);
    }
  }

  #place(input: BookInput, host: Uri): Booking {
    const existing = input.event ? this.#world.event(input.event) : this.#openGroup(input, host);
    if (existing && input.event) this.#requireSeat(existing);
    const event = existing ?? this.#createEvent(input, host);
    const invitee = input.invitee === null
      ? null
      : this.#createInvitee(event, input.invitee ?? {}, input.legacy_id);
    if (existing && input.touch !== false) event.resource.updated_at = invitee!.created_at;
    return { event, invitee };
  }

  /** A group event of this type at this time with a seat left: the next invitee joins it. */
  #openGroup(input: BookInput, host: Uri): EventRecord | undefined {
    if (!input.event_type || !input.start_time || input.invitee === null) return undefined;
    const type = this.#world.eventType(input.event_type);
    if (type.resource.kind !== "group") return undefined;
    const start = formatTime(time(input.start_time));
    const list = this.#world.eventsOfHost(host);
    for (let i = list.indexFrom(start); list.rows[i]?.resource.start_time === start; i++) {
      const { resource } = list.rows[i];
      const seats = resource.invitees_counter;
      if (
        resource.event_type === type.resource.uri && resource.status === "active" &&
        seats.active < seats.limit
      ) return list.rows[i];
    }
  }

  #requireSeat(event: EventRecord): void {
    const { active, limit } = event.resource.invitees_counter;
    if (event.resource.status === "canceled") throw alreadyCanceled("event");
    if (active >= limit) {
      throw new SandboxError("full", `All ${limit} seats of this event are taken.`);
    }
  }

  #createEvent(input: BookInput, host: Uri): EventRecord {
    const world = this.#world;
    const type = this.#typeFor(input, host);
    const hosts = type.resource.pooling_type === "collective" ? type.hosts : [host];
    const start = input.start_time ? time(input.start_time) : this.#freeSlot(host);
    const end = input.end_time
      ? time(input.end_time)
      : start + duration(type.resource.duration * 60);
    const at = this.#stamp();
    const id = input.legacy_id ? world.random.legacyId() : world.random.uuid();
    const eventUri = uri("scheduled_events", id);
    const conference = input.conference === undefined ? "processing" : input.conference;
    const kind = input.location === undefined
      ? type.resource.locations?.[0]?.kind ?? null
      : input.location;
    const resource: ScheduledEvent = {
      calendar_event: null,
      created_at: at,
      end_time: formatTime(end),
      event_guests: (input.guests ?? []).map((email) => ({
        created_at: at,
        email,
        updated_at: at,
      })),
      event_memberships: [],
      event_type: type.resource.uri,
      invitees_counter: { active: 0, limit: type.seats, total: 0 },
      location: typeof kind === "string"
        ? makeLocation(locationType(kind), eventUri, world.random, conference)
        : kind,
      meeting_notes_html: null,
      meeting_notes_plain: null,
      name: type.resource.name,
      start_time: formatTime(start),
      status: "active",
      updated_at: at,
      uri: eventUri,
    };
    resource.event_memberships = this.#memberships(hosts, resource, type);
    const event: EventRecord = {
      key: eventKey(resource),
      resource,
      // Whoever has left an organization keeps their event types, and hands meetings to members of it.
      organization: type.hosts.length > 1
        ? type.organization
        : world.user(host).current_organization,
      invitees: [],
    };
    if (isConference(resource.location) && conference === "processing") {
      event.conference_ready_at = time(at) + duration(CONFERENCE_TAKES);
    }
    world.addEvent(event);
    return event;
  }

  #createInvitee(event: EventRecord, input: InviteeInput, legacyId = false): Invitee {
    const { random } = this.#world;
    const id = legacyId ? random.legacyId() : random.uuid();
    const at = this.#stamp();
    const name = input.name ?? "Jane Doe";
    const invitee: Invitee = {
      cancel_url: `https://calendly.com/cancellations/${id}`,
      created_at: at,
      email: input.email ?? "jane.doe@example.com",
      event: event.resource.uri,
      first_name: input.first_name ?? null,
      invitee_scheduled_by: input.invitee_scheduled_by ?? null,
      last_name: input.last_name ?? null,
      name,
      new_invitee: null,
      no_show: null,
      old_invitee: null,
      payment: input.payment ?? null,
      questions_and_answers: input.questions_and_answers?.map((answer) => ({ ...answer })) ?? [],
      reconfirmation: input.reconfirmation ?? null,
      reschedule_url: `https://calendly.com/reschedulings/${id}`,
      rescheduled: false,
      routing_form_submission: input.routing_form_submission ?? null,
      scheduling_method: input.scheduling_method ?? null,
      status: "active",
      text_reminder_number: input.text_reminder_number ?? null,
      timezone: input.timezone === undefined ? "Europe/Madrid" : input.timezone,
      tracking: {
        salesforce_uuid: null,
        utm_campaign: null,
        utm_content: null,
        utm_medium: null,
        utm_source: null,
        utm_term: null,
        ...input.tracking,
      },
      updated_at: at,
      uri: `${event.resource.uri}/invitees/${id}`,
    };
    this.#world.addInvitee(event, invitee);
    return invitee;
  }

  #cancelOne(reference: string, input: CancelInput): Booking {
    const { event, invitee } = this.#world.invitee(reference);
    if (invitee.status === "canceled") throw alreadyCanceled("invitee");
    const before = structuredClone(event.resource);
    const cancellation = this.#cancellation({ by: "invitee", ...input }, event, invitee);
    this.#cancelInvitee(invitee, cancellation);
    this.#closeIfEmpty(event, cancellation, input.touch !== false);
    before.invitees_counter = { ...event.resource.invitees_counter };
    this.#tell("invitee.canceled", event, invitee, input.event_lags ? before : undefined);
    return { event, invitee };
  }

  #closeIfEmpty(event: EventRecord, cancellation: Cancellation, touch: boolean): void {
    recount(event);
    if (event.resource.invitees_counter.active === 0) this.#cancelEvent(event, cancellation);
    else if (touch) event.resource.updated_at = this.#stamp();
  }

  #cancelInvitee(invitee: Invitee, cancellation: Cancellation): void {
    invitee.status = "canceled";
    invitee.cancellation = { ...cancellation };
    invitee.updated_at = this.#stamp();
  }

  #cancelEvent(event: EventRecord, cancellation: Cancellation): void {
    recount(event);
    event.resource.status = "canceled";
    event.resource.cancellation = { ...cancellation };
    event.resource.updated_at = this.#stamp();
  }

  #cancellation(
    input: Pick<CancelInput, "by" | "reason">,
    event: EventRecord,
    invitee: Invitee | null,
  ): Cancellation {
    const by = input.by === "invitee" && invitee ? "invitee" : "host";
    return {
      canceled_by: by === "invitee"
        ? invitee!.name
        : event.resource.event_memberships[0]?.user_name ?? "",
      canceler_type: by,
      created_at: this.#stamp(),
      // A host who writes no text sends an empty one.
      reason: input.reason ?? (by === "host" ? "" : null),
    };
  }

  #settle(event: EventRecord, status: ConferenceStatus): void {
    const { location, uri: eventUri } = event.resource;
    event.resource.location = makeLocation(location!.type, eventUri, this.#world.random, status);
  }

  #typeFor(input: BookInput, host: Uri): EventTypeRecord {
    if (input.event_type) return this.#world.eventType(input.event_type);
    const type = [...this.#world.eventTypes.values()].find(({ resource, hosts }) =>
      resource.active && resource.kind === "solo" && !resource.pooling_type &&
      hosts.includes(host)
    );
    if (type) return type;
    throw new SandboxError(
      "no_event_type",
      "This user has no active one-to-one event type.",
      "Make one with create_event_type, or name one with event_type.",
    );
  }

  /** The first half hour from this time tomorrow on at which the host is free. */
  #freeSlot(host: Uri): bigint {
    const half = duration("30m");
    let start = ((this.#world.clock.now() + duration("1d")) / half + 1n) * half;
    const list = this.#world.eventsOfHost(host);
    while (
      list.rows[list.indexFrom(formatTime(start))]?.resource.start_time === formatTime(start)
    ) {
      start += half;
    }
    return start;
  }

  #memberships(hosts: Uri[], event: ScheduledEvent, type?: EventTypeRecord): EventMembership[] {
    const buffer = duration((type?.buffer_minutes ?? 0) * 60);
    return hosts.map((host) => {
      const user = this.#world.user(host);
      return {
        buffered_end_time: formatTime(time(event.end_time) + buffer),
        buffered_start_time: formatTime(time(event.start_time) - buffer),
        user: user.uri,
        user_email: user.email,
        user_name: user.name,
      };
    });
  }

  #tell(type: BookingEvent, event: EventRecord, invitee: Invitee, asOf?: ScheduledEvent): void {
    this.#emit(type, { event, invitee }, asOf);
  }
}

/** Event types say `zoom_conference`, scheduled events `zoom`. */
function locationType(kind: string): string {
  if (kind === "zoom_conference") return "zoom";
  if (kind === "gotomeeting_conference") return "gotomeeting";
  return kind;
}

function requireConference(location: Location | null): void {
  if (isConference(location)) return;
  throw new SandboxError("no_conference", "This event has no conference to settle.");
}

function alreadyCanceled(what: string): SandboxError {
  return new SandboxError("already_canceled", `This ${what} is canceled already.`);
}
