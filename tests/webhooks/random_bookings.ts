/**
 * Stories: what can happen to bookings at Calendly, made up at random and acted out in the sandbox, and
 * what comes of it: deliveries, and states of the account as a sync could have read it.
 */
import fc from "fast-check";
import type { Invitee, Sandbox, ScheduledEvent } from "../../sandbox/mod.ts";

/** One thing that happens; numbers choose among what there is at that moment. */
export type Operation =
  & { after: number }
  & (
    | { do: "book"; type: "solo" | "group" | "collective"; whose: number; touch: boolean }
    | { do: "join"; which: number; touch: boolean }
    | { do: "cancel seat"; which: number; by: "host" | "invitee"; touch: boolean; lags: boolean }
    | { do: "cancel event"; which: number }
    | { do: "reschedule"; which: number; by: "host" | "invitee"; to: number }
    | { do: "mark"; which: number }
    | { do: "undo"; which: number }
    | { do: "look" }
  );

/** Weighted so that bookings live long enough for something to happen to them. */
export function operations({ lags = false }: { lags?: boolean } = {}): fc.Arbitrary<Operation[]> {
  const after = fc.oneof(fc.constant(0), fc.constantFrom(1, 2, 60));
  const which = fc.nat({ max: 99 });
  const by = fc.constantFrom("host" as const, "invitee" as const);
  const touch = fc.boolean();
  const operation = fc.oneof(
    {
      weight: 5,
      arbitrary: fc.record({
        do: fc.constant("book" as const),
        after,
        type: fc.constantFrom("solo" as const, "group" as const, "collective" as const),
        whose: which,
        touch,
      }),
    },
    { weight: 4, arbitrary: fc.record({ do: fc.constant("join" as const), after, which, touch }) },
    {
      weight: 3,
      arbitrary: fc.record({
        do: fc.constant("cancel seat" as const),
        after,
        which,
        by,
        touch,
        lags: lags ? fc.boolean() : fc.constant(false),
      }),
    },
    { weight: 1, arbitrary: fc.record({ do: fc.constant("cancel event" as const), after, which }) },
    {
      weight: 3,
      arbitrary: fc.record({ do: fc.constant("reschedule" as const), after, which, by, to: which }),
    },
    { weight: 4, arbitrary: fc.record({ do: fc.constant("mark" as const), after, which }) },
    { weight: 3, arbitrary: fc.record({ do: fc.constant("undo" as const), after, which }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constant("look" as const), after }) },
  );
  return fc.array(operation, { minLength: 2, maxLength: 14, size: "max" });
}

/** An account as a sync could have read it at one moment. */
export interface State {
  events: { event: ScheduledEvent; invitees: Invitee[] }[];
  observed_at: string;
}

export interface Outcome {
  /** In the order in which Calendly made them; `state`: the first one that shows what it tells. */
  deliveries: { body: string; state: number }[];
  /** The account at each `look`, and at the end. */
  states: State[];
}

/** Who hosts, and what of theirs can be booked. */
export interface Cast {
  hosts: string[];
  solo: string[];
  group: string;
  collective: string;
}

/** Acts the operations out; those that are impossible at their moment do not happen. */
export async function act(sandbox: Sandbox, cast: Cast, operations: Operation[]): Promise<Outcome> {
  const { control } = sandbox;
  for (const { event } of sandbox.truth().scheduled_events) {
    control.erase_event({ event: event.uri });
  }
  await control.deliver("due", { drop: true });
  const story = new Story(sandbox, cast);
  const outcome: Outcome = { deliveries: [], states: [] };
  const look = async () => {
    const made = await control.deliver("due", { drop: true });
    const state = outcome.states.push(story.look()) - 1;
    outcome.deliveries.push(...made.map(({ body }) => ({ body, state })));
  };
  for (const operation of operations) {
    if (operation.after) control.advance({ by: operation.after });
    if (operation.do === "look") await look();
    else story.happen(operation);
  }
  await look();
  return outcome;
}

class Story {
  readonly #sandbox: Sandbox;
  readonly #cast: Cast;
  /** When each invitee was last marked or unmarked: Calendly's envelope tells whole seconds. */
  readonly #judged = new Map<string, bigint>();
  #booked = 0;

  constructor(sandbox: Sandbox, cast: Cast) {
    this.#sandbox = sandbox;
    this.#cast = cast;
  }

  happen(operation: Operation): void {
    const { control } = this.#sandbox;
    switch (operation.do) {
      case "book": {
        const event_type = operation.type === "solo"
          ? pick(this.#cast.solo, operation.whose)!
          : this.#cast[operation.type];
        control.book({
          event_type,
          invitee: this.#guest(),
          start_time: this.#slot(),
        });
        return;
      }
      case "join": {
        const event = pick(
          this.#events((event) => event.invitees_counter.limit > event.invitees_counter.active),
          operation.which,
        );
        if (event) control.book({ event, invitee: this.#guest(), touch: operation.touch });
        return;
      }
      case "cancel seat": {
        const invitee = pick(this.#invitees(), operation.which);
        const reason = operation.by === "invitee" ? "Überraschung" : null;
        if (invitee) {
          control.cancel({
            invitee: invitee.uri,
            by: operation.by,
            reason,
            touch: operation.touch,
            event_lags: operation.lags,
          });
        }
        return;
      }
      case "cancel event": {
        const event = pick(this.#events(() => true), operation.which);
        if (event) control.cancel({ event });
        return;
      }
      case "reschedule": {
        const invitee = pick(this.#invitees(), operation.which);
        if (!invitee) return;
        const { event } = this.#sandbox.truth().scheduled_events.find(({ event }) =>
          event.uri === invitee.event
        )!;
        // a round robin may choose another host for the new time
        const user = event.event_memberships.length === 1
          ? pick(this.#cast.hosts, operation.to)
          : undefined;
        control.reschedule({
          invitee: invitee.uri,
          by: operation.by,
          user,
          start_time: this.#slot(),
        });
        return;
      }
      case "mark":
      case "undo": {
        const fitting = this.#invitees().filter(({ no_show }) =>
          (no_show === null) === (operation.do === "mark")
        );
        const invitee = pick(fitting, operation.which);
        if (!invitee) return;
        const before = this.#judged.get(invitee.uri);
        if (before !== undefined && this.#sandbox.clock.now() - before < 1_000_000n) {
          control.advance({ by: 1 });
        }
        if (operation.do === "mark") control.mark_no_show({ invitee: invitee.uri });
        else control.undo_no_show({ invitee: invitee.uri });
        this.#judged.set(invitee.uri, this.#sandbox.clock.now());
      }
    }
  }

  look(): State {
    const { scheduled_events, now } = this.#sandbox.truth();
    return {
      events: scheduled_events.map(({ event, invitees }) => ({ event, invitees })),
      // of the response's Date header
      observed_at: now.replace(/\.\d+Z$/, ".000Z"),
    };
  }

  #events(fits: (event: ScheduledEvent) => boolean): string[] {
    return this.#sandbox.truth().scheduled_events.map(({ event }) => event)
      .filter((event) => event.status === "active" && fits(event)).map(({ uri }) => uri);
  }

  #invitees(): Invitee[] {
    return this.#sandbox.truth().scheduled_events.flatMap(({ invitees }) => invitees)
      .filter(({ status }) => status === "active")
      .sort((a, b) => a.created_at < b.created_at ? -1 : 1);
  }

  #guest() {
    const number = ++this.#booked;
    return { name: `Guest ${number}`, email: `guest.${number}@example.com` };
  }

  /** A time of its own, so that no group event is joined by accident. */
  #slot(): string {
    return new Date(Date.parse("2026-04-01T08:00:00Z") + ++this.#booked * 3_600_000).toISOString();
  }
}

function pick<T>(among: T[], number: number): T | undefined {
  return among[number % among.length];
}
