/**
 * Where stories are acted out, and how their deliveries reach the database: in any order, by SQL alone,
 * so that thousands of orders take the time of a few requests. See fixtures/orders.sql.
 */
import { createHash } from "node:crypto";
import fc from "fast-check";
import { act, type Cast, type Operation, type Outcome, type State } from "./random_bookings.ts";
import type { Person } from "../functions/support.ts";
import { asDelivered, type Hooks } from "./support.ts";

/** All that the mirror says. */
export interface Rows {
  // deno-lint-ignore no-explicit-any -- rows of a table
  meetings: any[];
  // deno-lint-ignore no-explicit-any -- rows of a table
  invitees: any[];
}

/** A delivery, or a FULL sync of some users that found the account in this state. */
export type Step = { delivery: unknown } | { sync: number[]; state: State };

/** How deliveries are shuffled: these first, some more than once, then the rest. */
export interface Order {
  picks: number[];
  backwards: boolean;
  /** These never arrive. */
  lost: number[];
  /** Syncs in between, of whom, after how many deliveries: each finds the account as at the next `look`. */
  syncs: { after: number; whose: number }[];
}

export function orders({ syncs = 0, losses = 0 } = {}): fc.Arbitrary<Order> {
  return fc.record({
    picks: fc.array(fc.nat({ max: 999 }), { maxLength: 30, size: "max" }),
    backwards: fc.boolean(),
    lost: fc.array(fc.nat({ max: 999 }), { maxLength: losses }),
    syncs: fc.array(fc.record({ after: fc.nat({ max: 40 }), whose: fc.nat({ max: 9 }) }), {
      maxLength: syncs,
    }),
  });
}

export class Stage {
  private constructor(
    readonly hooks: Hooks,
    readonly cast: Cast,
    /** Of the hosts, those who are users. */
    readonly people: Person[],
  ) {}

  get users(): number[] {
    return this.people.map(({ id }) => id);
  }

  /**
   * Two users and somebody who is none, with two subscriptions that cover some bookings both. With
   * conferences, which Calendly makes a while after a booking and no webhook tells of, or without.
   */
  static async prepare(hooks: Hooks, { conferences = false } = {}): Promise<Stage> {
    const { control, project } = hooks;
    await project.stack.sql(
      `do $do$ begin execute $file$${await fixture("orders.sql")}$file$; end $do$`,
    );
    const ana = await project.person();
    const ben = await project.person();
    const stranger = control.create_user({ email: "stranger@example.com" });
    const organization = ana.host.current_organization;
    for (const user of [ben.host.uri, stranger.uri]) control.join({ user, organization });
    await hooks.subscribe(ana, { scope: "organization" });
    await hooks.subscribe(ben);

    const hosts = [ana.host.uri, ben.host.uri, stranger.uri];
    const type = (input: Parameters<typeof control.create_event_type>[0]) =>
      control.create_event_type({ locations: ["physical"], ...input }).uri;
    return new Stage(hooks, {
      hosts,
      solo: hosts.map((user) =>
        type({ user, ...conferences && { locations: ["zoom_conference"] } })
      ),
      group: type({ user: hosts[0], kind: "group", seats: 3 }),
      collective: type({ user: hosts[1], hosts, pooling_type: "collective" }),
    }, [ana, ben]);
  }

  /** Acts a story out, from an empty calendar. */
  async act(operations: Operation[]): Promise<Outcome> {
    const { sandbox, stack } = this.hooks.project;
    // The embedded Postgres has no autovacuum, and thousands of orders leave as many mirrors behind.
    await stack.sql("vacuum");
    const outcome = await act(sandbox, this.cast, operations);
    await this.hooks.project.setClock(sandbox.truth().now);
    return outcome;
  }

  /** The deliveries (but those lost) and syncs of a story, in this order. */
  steps({ deliveries, states }: Outcome, order: Order): Step[] {
    const indexes = sequence(deliveries.length, order);
    const steps: Step[] = indexes.map((index) => ({ delivery: this.#delivery(deliveries[index]) }));
    const inTurn = order.syncs.toSorted((a, b) => a.after - b.after);
    for (const [turn, { after, whose }] of inTurn.entries()) {
      // It may have read before what has just come; but not before the sync that ended before it began.
      const before = indexes.slice(0, inTurn[turn - 1]?.after ?? 0);
      const seen = Math.max(turn, ...before.map((index) => deliveries[index].state));
      const state = states[Math.min(seen, states.length - 1)];
      steps.splice(after + turn, 0, { sync: [this.users[whose % this.users.length]], state });
    }
    return steps;
  }

  /** What a FULL sync of everybody gives, by itself or after other steps. */
  full({ states }: Outcome): Step {
    return { sync: this.users, state: states.at(-1)! };
  }

  /** The mirror after these steps and nothing else. */
  async after(steps: Step[]): Promise<Rows> {
    const [{ rows }] = await this.hooks.project.stack.sql<{ rows: Rows }>(
      "select proof.outcome($1) as rows",
      [JSON.stringify(steps)],
    );
    return rows;
  }

  /** The same by requests to the function, of a story's deliveries in this order. */
  async afterSending({ deliveries }: Outcome, order: Order): Promise<Rows> {
    const { stack } = this.hooks.project;
    await stack.sql("select proof.forget()");
    for (const index of sequence(deliveries.length, order)) {
      const { status } = await this.hooks.send(deliveries[index].body);
      if (status !== 200) throw new Error(`a delivery was answered with ${status}`);
    }
    const [{ rows }] = await stack.sql<{ rows: Rows }>("select proof.rows() as rows");
    return rows;
  }

  #delivery({ body }: Outcome["deliveries"][number]) {
    return {
      body: JSON.parse(body),
      digest: createHash("sha256").update(body).digest("hex"),
      signed_at: this.hooks.now(),
    };
  }
}

/** The picked ones, some of them more than once, and then the rest; but for the lost ones. */
function sequence(length: number, { picks, backwards, lost }: Order): number[] {
  if (length === 0) return [];
  const first = picks.map((pick) => pick % length);
  const rest = Array.from({ length }, (_, index) => index).filter((index) =>
    !first.includes(index)
  );
  return [...first, ...backwards ? rest.reverse() : rest]
    .filter((index) => !lost.some((number) => number % length === index));
}

/** The rows without what no webhook tells. */
export function asWebhooksTell({ meetings, invitees }: Rows): Rows {
  return { invitees, meetings: meetings.map((row) => ({ ...row, raw: asDelivered(row.raw) })) };
}

export function fixture(name: string): Promise<string> {
  return Deno.readTextFile(new URL(`fixtures/${name}`, import.meta.url));
}
