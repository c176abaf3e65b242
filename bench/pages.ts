/** Pages of 100 events through the RPCs of a sync: new, unchanged and changed, beside plain writes. */
import { Database } from "./harness/server.ts";
import { Grid, quantile } from "./harness/measure.ts";
import { type Benchmark, tableOf } from "./harness/result.ts";
import { type Listing, PAGE_SIZE, pageOf, Run, type Step } from "./harness/run.ts";
import type { Session } from "./harness/session.ts";

/** A table as somebody would write it who keeps events and no more. */
const PLAIN = `
  create table bench.plain (
    id bigint generated always as identity primary key, user_id integer not null, uri text not null,
    name text, status text, start_time timestamptz, end_time timestamptz, updated_at timestamptz,
    raw jsonb, unique (user_id, uri));
  create index on bench.plain (user_id, start_time);
  grant all on bench.plain to public;`;

const COLUMNS = "user_id, uri, name, status, start_time, end_time, updated_at, raw";

const SELECT_FROM_JSON = `
  select $1::integer, e ->> 'uri', e ->> 'name', e ->> 'status', (e ->> 'start_time')::timestamptz,
    (e ->> 'end_time')::timestamptz, (e ->> 'updated_at')::timestamptz, e
  from jsonb_array_elements($2::jsonb) e`;

/** Skips what has not changed. */
const UPSERT = `
  on conflict (user_id, uri) do update set (name, status, start_time, end_time, updated_at, raw) =
    (excluded.name, excluded.status, excluded.start_time, excluded.end_time, excluded.updated_at,
     excluded.raw)
  where excluded.updated_at >= plain.updated_at and plain.raw is distinct from excluded.raw`;

const BARE_INSERT = "bare insert … select from jsonb";
const UPSERT_100 = "plain upsert by a driver, 100 rows a statement";
const UPSERT_1 = "plain upsert by a driver, a statement a row";
const EMPTY = "an RPC that does nothing";

export const pages: Benchmark = {
  name: "pages",
  about: "Pages of 100 events through calendly_begin_sync and calendly_apply_step, one person",
  async run({ small, rounds }) {
    const events = small ? 1_000 : 20_000;
    const grid = new Grid();
    await using database = await Database.create();
    await database.admin.script(PLAIN);
    await using session = await database.session();
    const listingOf = (round: number, edition: number): Listing => ({
      events,
      from: round * events,
      hosts: [`https://api.calendly.com/users/person${round}`],
      edition,
    });
    await addPerson(database, "person0");
    await apply(database, session, "person0", listingOf(0, 0), new Grid(), "new");

    for (let round = 1; round <= rounds; round++) {
      const person = `person${round}`;
      await addPerson(database, person);
      await database.settle();
      const original = listingOf(round, 0);
      const changed = listingOf(round, 1);
      await apply(database, session, person, original, grid, "new");
      await plain(database, session, round, original, grid, "new");
      await database.settle();
      await apply(database, session, person, original, grid, "unchanged");
      await plain(database, session, round, original, grid, "unchanged");
      await database.settle();
      await apply(database, session, person, changed, grid, "changed");
      await plain(database, session, round, changed, grid, "changed");
    }
    const floors = Object.fromEntries(
      ["new", "unchanged", "changed"].map((what) => [`${what}: product`, `${what}: ${UPSERT_100}`]),
    );
    return {
      sizes: { events, "events in a page": PAGE_SIZE },
      tables: [
        tableOf(`${events.toLocaleString("en")} events in pages of ${PAGE_SIZE}`, grid, {
          column: "rows/s",
          floors,
        }),
      ],
    };
  },
};

async function addPerson({ admin }: Database, person: string): Promise<void> {
  await admin.run("select tests.add_person($1)", [person]);
}

/** Lists all events once, and ends the run before the invitees. */
async function apply(
  database: Database,
  session: Session,
  person: string,
  listing: Listing,
  grid: Grid,
  what: string,
): Promise<void> {
  const { admin } = database;
  const { rows: [{ id }] } = await admin.run("select tests.id_of($1) as id", [person]);
  const run = new Run(session, admin, { user_id: id, trigger: "service", full: false }, listing);
  const steps: Step[] = [];
  const before = await database.walBytes();
  for await (const step of run.steps()) {
    if (step.kind === "page" || step.kind === "last page") steps.push(step);
    if (step.kind === "last page") break;
  }
  const wal = await database.walBytes() - before;
  await run.expect(what === "new" ? "created" : what === "changed" ? "updated" : "unchanged");
  await run.abandon();
  record(grid, `${what}: product`, listing.events, steps.map(({ ms }) => ms), wal);
}

async function plain(
  database: Database,
  session: Session,
  round: number,
  listing: Listing,
  grid: Grid,
  what: string,
): Promise<void> {
  const { admin } = database;
  const numberOfPages = Math.ceil(listing.events / PAGE_SIZE);
  const all: string[] = [];
  for (let place = 0; place < numberOfPages; place++) all.push(await pageOf(admin, listing, place));

  const floor = async (
    name: string,
    pages: string[],
    apply: (page: string) => Promise<{ ms: number }>,
  ) => {
    const before = await database.walBytes();
    const milliseconds: number[] = [];
    for (const page of pages) milliseconds.push((await apply(page)).ms);
    const events = Math.min(listing.events, pages.length * PAGE_SIZE);
    record(grid, `${what}: ${name}`, events, milliseconds, await database.walBytes() - before);
  };
  // Each floor of each round has a user of its own.
  if (what === "new") {
    await floor(
      BARE_INSERT,
      all,
      (page) =>
        session.run(`insert into bench.plain (${COLUMNS}) ${SELECT_FROM_JSON}`, [
          round * 10,
          page,
        ]),
    );
  }
  await floor(UPSERT_100, all, (page) => upsert(session, round * 10 + 1, JSON.parse(page)));
  await floor(UPSERT_1, all.slice(0, 20), async (page) => {
    let ms = 0;
    for (const event of JSON.parse(page)) ms += (await upsert(session, round * 10 + 2, [event])).ms;
    return { ms };
  });
  await floor(
    EMPTY,
    all,
    (page) => session.run("select bench.empty($1::jsonb)", [`{"page": {"collection": ${page}}}`]),
  );
}

/** Rows as a driver sends them: each value a parameter. */
async function upsert(
  session: Session,
  userId: number,
  events: Record<string, string>[],
): Promise<{ ms: number }> {
  const rows = events.map((event) => [
    userId,
    event.uri,
    event.name,
    event.status,
    event.start_time,
    event.end_time,
    event.updated_at,
    JSON.stringify(event),
  ]);
  const columns = rows[0].length;
  const values = rows.map((row, place) =>
    `(${row.map((_, column) => `$${place * columns + column + 1}`).join(", ")})`
  );
  return await session.run(
    `insert into bench.plain (${COLUMNS}) values ${values.join(", ")} ${UPSERT}`,
    rows.flat(),
  );
}

function record(grid: Grid, row: string, events: number, pages: number[], wal: number): void {
  const edge = Math.max(1, Math.min(10, Math.floor(pages.length / 4)));
  const seconds = pages.reduce((total, ms) => total + ms, 0) / 1000;
  grid.add(row, {
    "rows/s": events / seconds,
    "ms a page, the first ten": quantile(pages.slice(0, edge), 0.5),
    "ms a page, the last ten": quantile(pages.slice(-edge - 1, -1), 0.5),
    "WAL, kB per 1,000 rows": wal / events,
  });
}
