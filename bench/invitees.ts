/** Invitees through the RPCs of a sync: many events with one each, and a group of 300. */
import { Grid, sum } from "./harness/measure.ts";
import { type Benchmark, tableOf } from "./harness/result.ts";
import { type Listing, prepareListing, Run, type Step } from "./harness/run.ts";
import { Database } from "./harness/server.ts";
import type { Session } from "./harness/session.ts";

export const invitees: Benchmark = {
  name: "invitees",
  about: "Invitees that were fetched, by the steps of a FULL sync: new, then unchanged",
  async run({ small, rounds }) {
    const shapes = small
      ? [{ events: 50, seats: 1 }, { events: 2, seats: 30 }]
      : [{ events: 1_000, seats: 1 }, { events: 6, seats: 300 }];
    const grid = new Grid();
    await using database = await Database.create();
    await database.admin.script(`
      create table bench.plain (id bigint generated always as identity primary key,
        event_uri text, uri text unique, email text, status text, raw jsonb);
      grant all on bench.plain to public;`);
    await using session = await database.session();
    // The first round is to warm up.
    for (let round = 0; round <= rounds; round++) {
      const results = round === 0 ? new Grid() : grid;
      for (const [place, { events, seats }] of shapes.entries()) {
        const person = `person${round}x${place}`;
        const listing: Listing = {
          events,
          seats,
          from: (round * shapes.length + place) * 10_000,
          hosts: [`https://api.calendly.com/users/${person}`],
        };
        await database.admin.run("select tests.add_person($1)", [person]);
        await prepareListing(database.admin, listing);
        const shape = `${events.toLocaleString("en")} events with ${seats}`;
        await sync(database, session, person, listing, results, `${shape}, new`);
        await sync(database, session, person, listing, results, `${shape}, unchanged`);
        await plainInsert(database, session, listing, results, `${shape}, bare insert`);
      }
    }
    const floors = Object.fromEntries(
      grid.rows.filter((row) => !row.endsWith("bare insert")).map((row) => [
        row,
        row.replace(/, \w+$/, ", bare insert"),
      ]),
    );
    return {
      sizes: { "largest event": shapes[1].seats },
      tables: [
        tableOf("Invitees, by steps of a sync", grid, { column: "invitees/s", floors }),
      ],
    };
  },
};

/** A whole FULL sync, of which the steps that bring invitees count. */
async function sync(
  { admin }: Database,
  session: Session,
  person: string,
  listing: Listing,
  grid: Grid,
  what: string,
): Promise<void> {
  const { rows: [{ id }] } = await admin.run("select tests.id_of($1) as id", [person]);
  const run = new Run(session, admin, { user_id: id, trigger: "service", full: true }, listing);
  const steps: Step[] = [];
  for await (const step of run.steps()) if (step.kind === "invitees") steps.push(step);
  await run.expect(what.endsWith("new") ? "created" : "unchanged");
  record(grid, what, listing, steps.map(({ ms }) => ms));
}

async function plainInsert(
  { admin }: Database,
  session: Session,
  listing: Listing,
  grid: Grid,
  what: string,
): Promise<void> {
  const batch = Math.max(1, Math.floor(100 / listing.seats!));
  const milliseconds: number[] = [];
  for (let first = 0; first < listing.events; first += batch) {
    const { rows: [{ fetched }] } = await admin.run(
      `select bench.fetched((select jsonb_agg(bench.event_uri($1 + n))
         from generate_series(0, $2 - 1) n), $3)::text as fetched`,
      [listing.from! + first, Math.min(batch, listing.events - first), listing.seats],
    );
    milliseconds.push(
      (await session.run(
        `insert into bench.plain (event_uri, uri, email, status, raw)
         select e ->> 'event_uri', i ->> 'uri', i ->> 'email', i ->> 'status', i
         from jsonb_array_elements($1::jsonb) e, jsonb_array_elements(e -> 'invitees') i`,
        [fetched],
      )).ms,
    );
  }
  record(grid, what, listing, milliseconds);
}

function record(grid: Grid, what: string, { events, seats }: Listing, steps: number[]): void {
  grid.add(what, {
    "invitees/s": events * seats! / (sum(steps) / 1000),
    "steps": steps.length,
    "ms a step": sum(steps) / steps.length,
  });
}
