/** Webhook deliveries in Postgres: calendly_receive_webhook by several clients, beside bare inserts. */
import { load, LOAD_BY } from "./harness/load.ts";
import { Grid } from "./harness/measure.ts";
import { type Benchmark, tableOf } from "./harness/result.ts";
import { Database } from "./harness/server.ts";
import type { Counts } from "./harness/session.ts";

const CLIENTS = [1, 4, 8];
const MEETINGS_EACH = 200;

const RECEIVE = (kind: string) =>
  `select public.calendly_receive_webhook(d.delivery::jsonb)
   from bench.deliveries d where d.kind = '${kind}' and d.n = :n`.replaceAll("\n", " ");

const PLAIN = `
  create table bench.plain_events (id bigint generated always as identity primary key,
    event_id text unique, payload jsonb, created_at timestamptz default now());
  create table bench.plain_meetings (uri text primary key, status text, start_time timestamptz,
    updated_at timestamptz, raw jsonb);
  grant all on bench.plain_events, bench.plain_meetings to public;`;

const INSERT = `insert into bench.plain_events (event_id, payload)
  select ':kind ' || d.n || ' :round', d.delivery::jsonb -> 'body'
  from bench.deliveries d where d.kind = 'created' and d.n = :n`;

const STORED = `with stored as (${INSERT} returning payload #> '{payload,scheduled_event}' as e)
  insert into bench.plain_meetings select e ->> 'uri', e ->> 'status',
    (e ->> 'start_time')::timestamptz, (e ->> 'updated_at')::timestamptz, e from stored
  on conflict (uri) do update set (status, start_time, updated_at, raw) =
    (excluded.status, excluded.start_time, excluded.updated_at, excluded.raw)
  where excluded.updated_at >= plain_meetings.updated_at`;

export const deliveries: Benchmark = {
  name: "deliveries",
  about: `calendly_receive_webhook, by ${LOAD_BY}; text to jsonb is in it`,
  async run({ small, rounds }) {
    const calls = small ? 80 : 4_000;
    const people = small ? 20 : 500;
    const rate = small ? 20 : 1_000;
    const grid = new Grid();
    await using database = await Database.create();
    const { admin, url } = database;
    await admin.script(PLAIN);
    await admin.run("select bench.add_people($1, $2, 0, 0)", [people, MEETINGS_EACH]);
    const batches = rounds * CLIENTS.length + rounds + 1;
    await makeDeliveries(database, batches * calls, people);
    await database.settle();

    let from = 0;
    await load({ url, clients: 8, calls, from, statement: RECEIVE("created") }); // to warm up
    for (let round = 1; round <= rounds; round++) {
      for (const clients of CLIENTS) {
        from += calls;
        const measure = async (what: string, statement: string) => {
          const { perSecond, p50, p95, p99 } = await load({ url, clients, calls, from, statement });
          grid.add(`${what}, ${clients} client${clients > 1 ? "s" : ""}`, {
            "deliveries/s": perSecond,
            "p50 ms": p50,
            "p95 ms": p95,
            "p99 ms": p99,
          });
        };
        await measure("new booking", RECEIVE("created"));
        await measure("duplicate", RECEIVE("created"));
        await measure("cancellation", RECEIVE("canceled"));
        const plain = (statement: string, kind: string) =>
          statement.replace(":kind", kind).replace(":round", `${round} ${clients}`)
            .replaceAll(/\s+/g, " ");
        await measure("bare insert of the payload", plain(INSERT, "stored"));
        await measure("bare insert, and upsert of one row", plain(STORED, "applied"));
      }
      from += calls;
      const steady = await load({
        url,
        clients: 8,
        calls: Math.min(calls, rate * 4),
        from,
        rate,
        statement: RECEIVE("created"),
      });
      grid.add(`new booking, ${rate.toLocaleString("en")} a second come in, 8 clients`, {
        "deliveries/s": steady.perSecond,
        "p50 ms": steady.p50,
        "p95 ms": steady.p95,
        "p99 ms": steady.p99,
      });
    }
    await expectProcessed(database);
    const floors = Object.fromEntries(
      grid.rows.filter((row) => /^(new|cancel)/.test(row)).map((row) => [
        row,
        row.replace(/^[^,]*/, "bare insert, and upsert of one row"),
      ]),
    );
    return {
      sizes: { people, "meetings stored": people * MEETINGS_EACH, "calls a row": calls },
      tables: [
        tableOf(`Deliveries, by ${LOAD_BY}`, grid, { column: "deliveries/s", floors }),
      ],
    };
  },
};

/** Fails unless each delivery was applied: the figures would be of something else. */
async function expectProcessed({ admin }: Database): Promise<void> {
  const { rows } = await admin.run(
    "select status, count(*)::integer as count from public.calendly_webhook_events group by status",
  );
  if (rows.some(({ status }) => status !== "processed")) throw new Error(JSON.stringify(rows));
}

/** Bookings and their cancellations, as text, numbered from 0. */
export async function makeDeliveries(
  { admin }: Database,
  count: number,
  people: number,
): Promise<void> {
  await admin.run(
    `insert into bench.deliveries (kind, n, delivery)
     select kind, n, bench.delivery(n, bench.host(1 + n % $2), kind)::text
     from generate_series(0, $1 - 1) n, unnest('{created,canceled}'::text[]) kind`,
    [count, people],
  );
}

/** What deliveries read where so many people have ten meetings each. */
export async function countDeliveries(people: number): Promise<Record<string, Counts>> {
  await using database = await Database.create({ autovacuum: false });
  await using session = await database.session();
  await database.admin.run("select bench.add_people($1, 10, 0, 0)", [people]);
  await makeDeliveries(database, 10, people);
  await database.settle();
  const receive = (kind: string, n: number) => ({
    expression: `public.calendly_receive_webhook((select d.delivery::jsonb
      from bench.deliveries d where d.kind = $1 and d.n = $2::integer))`,
    parameters: [kind, n],
  });
  for (let n = 0; n < 6; n++) { // until the session keeps its plans
    await session.call(receive("created", n));
    await session.call(receive("canceled", n));
  }
  return {
    "new booking": await session.count(receive("created", 7)),
    "duplicate": await session.count(receive("created", 7)),
    "cancellation": await session.count(receive("canceled", 7)),
  };
}
