/** What is kept: bytes of a delivery, meeting, invitee and run with its indexes, and how it goes again. */
import { cleanBesideWebhooks } from "./retention.ts";
import { Database } from "./harness/server.ts";
import { type Benchmark, type Table } from "./harness/result.ts";
import { LOAD_BY } from "./harness/load.ts";
import { makeDeliveries } from "./deliveries.ts";
import { type Listing, PAGE_SIZE, prepareListing, Run } from "./harness/run.ts";

/** Deliveries are applied so many in one transaction: each locks its event until the end of it. */
const AT_ONCE = 500;
const PER = 100_000;
const TABLES = {
  deliveries: "public.calendly_webhook_events",
  meetings: "public.calendly_meetings",
  "meetings, what the sync remembers": "calendly.meeting_sync",
  invitees: "public.calendly_invitees",
  runs: "public.calendly_sync_runs",
};

interface Size {
  rows: number;
  table: number;
  indexes: number;
}

export const storage: Benchmark = {
  name: "storage",
  about: "Bytes of what is kept, with indexes, without what vacuum would take back",
  async run({ small }) {
    const deliveries = small ? 1_000 : 20_000;
    const repeats = small ? 10 : 200;
    const tables = await kept(deliveries, repeats);
    if (LOAD_BY === "pgbench") tables.push(await retention(small ? 2_000 : 1_000_000));
    return { sizes: { deliveries, runs: repeats }, tables };
  },
};

async function kept(deliveries: number, repeats: number): Promise<Table[]> {
  await using database = await Database.create();
  const { admin } = database;
  await admin.run("select bench.add_people(500, 0, 0, 0)");
  await makeDeliveries(database, deliveries, 500);
  for (let from = 0; from < deliveries; from += AT_ONCE) {
    await admin.run(
      `select count(public.calendly_receive_webhook(d.delivery::jsonb)) from bench.deliveries d
       where d.kind = 'created' and d.n >= $1 and d.n < $2`,
      [from, from + AT_ONCE],
    );
  }
  const rows: Table["rows"] = [];
  const add = async (what: string, table: string) => {
    const { rows: count, table: heap, indexes } = await sizeOf(database, table);
    rows.push({
      what,
      cells: [
        heap / count,
        indexes / count,
        (heap + indexes) / count,
        (heap + indexes) / count * PER / 1e6,
      ],
    });
  };
  await add("deliveries, as they came", TABLES.deliveries);
  for (const [what, table] of Object.entries(TABLES).slice(1, 4)) await add(what, table);
  await passDays(database, 8);
  await add("deliveries, after 8 days", TABLES.deliveries);
  const written = await repeatSyncs(database, repeats);
  await add("runs that found nothing new", TABLES.runs);
  await passDays(database, 8);
  await add("runs that found nothing new, after 8 days", TABLES.runs);
  return [{
    title: "Bytes a row",
    columns: ["table", "indexes", "together", `MB per ${PER.toLocaleString("en")}`],
    rows,
  }, {
    title: `A sync of ${PAGE_SIZE} events that finds nothing new`,
    columns: ["WAL, kB"],
    rows: [{ what: "begin, a page, finish", cells: [written / 1000] }],
  }];
}

async function sizeOf({ admin }: Database, table: string): Promise<Size> {
  await admin.script(`vacuum full ${table}`);
  const { rows: [size] } = await admin.run(
    `select (select count(*)::integer from ${table}) as rows, pg_table_size($1)::float as table,
       pg_indexes_size($1)::float as indexes`,
    [table],
  );
  return size;
}

/** Lets time pass, and the daily and hourly jobs do their work. */
async function passDays({ admin }: Database, days: number): Promise<void> {
  await admin.run("select calendly.set_clock(calendly.now() + make_interval(days => $1))", [days]);
  const { rows } = await admin.run(
    "select command from cron.job where jobname like 'calendly-clean-%' order by jobname",
  );
  for (const { command } of rows) await admin.script(command);
}

/** Syncs of somebody of whom nothing changes any more; how many bytes of WAL one of them writes. */
async function repeatSyncs(database: Database, repeats: number): Promise<number> {
  const { admin } = database;
  await using session = await database.session();
  await admin.run("select tests.add_person('idle')");
  const { rows: [{ id }] } = await admin.run("select tests.id_of('idle') as id");
  const listing: Listing = {
    events: PAGE_SIZE,
    from: 50_000_000,
    hosts: ["https://api.calendly.com/users/idle"],
  };
  await prepareListing(admin, listing);
  const sync = async (expected: "created" | "unchanged") => {
    const run = new Run(session, admin, { user_id: id, trigger: "scheduled" }, listing);
    for await (const _ of run.steps());
    await run.expect(expected);
  };
  await sync("created");
  await database.settle();
  const before = await database.walBytes();
  for (let repeat = 0; repeat < repeats; repeat++) await sync("unchanged");
  return (await database.walBytes() - before) / repeats;
}

async function retention(expired: number): Promise<Table> {
  const { left, seconds, deliveries } = await cleanBesideWebhooks(expired);
  return {
    title: `${expired.toLocaleString("en")} expired deliveries go beside 200 new ones a second`,
    columns: ["seconds", "left", "deliveries", "failed", "average ms", "slowest ms"],
    rows: [{
      what: "the hourly job",
      cells: [
        seconds,
        left,
        deliveries.made,
        deliveries.failed,
        deliveries.average,
        deliveries.slowest,
      ],
    }],
  };
}
