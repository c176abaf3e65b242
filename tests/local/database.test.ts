/** An open database: errors, value types, and lost connections. */
import assert from "node:assert/strict";
import { sql } from "kysely";
import type postgres from "postgres";
import { type Database, openPostgres } from "../../local/database.ts";
import { Cluster } from "../harness/cluster.ts";
import { databaseTest } from "../harness/databases.ts";
import { needing } from "../harness/requirements.ts";
import { eventually } from "../schedule/support.ts";

/** As many as one database has. */
const CONNECTIONS = 10;

const CRASHES = 8;

/** Registers a test with a server of its own, connections to it, and one more that is not of them. */
function serverTest(
  name: string,
  test: (
    context: { cluster: Cluster; database: Database; observer: postgres.Sql },
  ) => Promise<void>,
): void {
  Deno.test({
    ...needing(name, "postgresServer"),
    async fn() {
      await using cluster = await Cluster.start();
      const database = await openPostgres(cluster.url);
      const observer = cluster.connect();
      try {
        await test({ cluster, database, observer });
      } finally {
        await observer.end();
        await database.close();
      }
    },
  });
}

databaseTest("an error in SQL does not change the process's exit code", async (database) => {
  for (let round = 0; round < 3; round++) {
    await assert.rejects(database.query("select 1 / 0"), /division by zero/);
    await assert.rejects(database.script("select 1; select no_such_column"), /no_such_column/);
  }
  assert.equal(Deno.exitCode, 0);
}, { migrations: null });

databaseTest(
  "a script is one transaction, and values have the same types on both databases",
  async (database) => {
    await assert.rejects(database.script("create table public.half (id integer); select 1 / 0"));
    assert.deepEqual(
      await database.query(
        `select to_regclass('public.half') as half, 1.5::numeric as n, 12345678901::bigint as b,
         '{"a": [1]}'::jsonb as j, array[1, 2] as list, $1::jsonb ->> 'x' as p,
         '2026-11-23T10:00:00.123456Z'::timestamptz as moment,
         '2026-11-23'::date as day, interval '90 minutes' as span, 9007199254740993 as big,
         '1.50'::numeric as exact, 'NaN'::numeric as no_number, 0.5::real as r, true as so, array['a b', 'c,d'] as texts,
         array['2026-11-23T10:00:00Z'::timestamptz] as moments, array['{"a": [1]}'::jsonb] as js,
         $2::text[] as given`,
        [JSON.stringify({ x: "y" }), ["c,d", '"']],
      ),
      [{
        half: null,
        n: 1.5,
        b: 12345678901,
        j: { a: [1] },
        list: [1, 2],
        p: "y",
        moment: "2026-11-23T10:00:00.123456+00:00",
        day: "2026-11-23",
        span: "01:30:00",
        big: 9007199254740993n,
        exact: "1.50",
        no_number: "NaN",
        r: 0.5,
        so: true,
        texts: ["a b", "c,d"],
        moments: ["2026-11-23T10:00:00+00:00"],
        js: [{ a: [1] }],
        given: ["c,d", '"'],
      }],
    );
  },
  { migrations: null },
);

serverTest(
  "every query gets an answer or an error while Postgres crashes",
  async ({ cluster, database }) => {
    for (let crash = 0; crash < 3; crash++) {
      const inFlight = Promise.allSettled([
        ...Array.from({ length: 4 }, () => database.query("select pg_sleep(600)")),
        ...Array.from(
          { length: 4 },
          () => database.command("supabase_admin", "select pg_sleep(600)"),
        ),
      ]);
      const observer = cluster.connect();
      await eventually("all queries are running", async () => {
        const sleeping = await observer`
          select from pg_stat_activity where wait_event = 'PgSleep'`;
        return sleeping.length === 8;
      });
      await observer.end();
      await cluster.restart("immediate");
      for (const { status } of await inFlight) assert.equal(status, "rejected");
      const answers = await Promise.all(
        Array.from({ length: 20 }, () => database.query("select 1 as n")),
      );
      assert.deepEqual(answers, Array(20).fill([{ n: 1 }]));
    }
  },
);

serverTest(
  "whoever waits for a connection gets one that is not being ended",
  async ({ database, observer }) => {
    const taken = Array.from(
      { length: CONNECTIONS },
      () => assert.rejects(database.query("select pg_sleep(600)"), /terminating connection/),
    );
    const asleep = () => observer`select pid from pg_stat_activity where wait_event = 'PgSleep'`;
    await eventually("all are taken", async () => (await asleep()).length === CONNECTIONS);
    const waiting = Array.from({ length: 4 }, () => database.query("select 1 as n"));
    await observer`
      select pg_terminate_backend(pid) from pg_stat_activity where wait_event = 'PgSleep'`;
    await Promise.all(taken);
    assert.deepEqual(await Promise.all(waiting), Array(4).fill([{ n: 1 }]));
  },
);

serverTest(
  "a listener that is stopped while it connects again hears no more",
  async ({ database, observer }) => {
    const heard: string[] = [];
    const listen = (name: string) =>
      database.listen("heard", () => heard.push(name), () => heard.push(`${name} again`));
    const listeners = () => observer`select pid from pg_stat_activity where query ~ '^listen'`;
    const stop = await listen("stopped");
    await listen("other");
    await observer`
      select pg_terminate_backend(pid, 5000) from pg_stat_activity where query ~ '^listen'`;
    await stop();
    await eventually("the other one listens again", () => Promise.resolve(heard.length > 0));
    await database.query("notify heard");
    await eventually("the other one hears", () => Promise.resolve(heard.includes("other")));
    assert.deepEqual(heard, ["other again", "other"]);
    assert.equal((await listeners()).length, 1);
    await database.close();
    await eventually("nothing is left", async () => (await listeners()).length === 0);
  },
);

serverTest(
  "nobody waits for ever when Postgres crashes under load",
  async ({ cluster, database }) => {
    const payloads: string[] = [];
    let resumed = 0;
    await database.listen("heard", (payload) => payloads.push(payload), () => resumed++);
    const { connection: { kysely } } = database;
    const parameters = ["x".repeat(100_000)];
    const kinds: (() => Promise<unknown>)[] = [
      () => database.query("select 1"),
      () => database.query("select length($1::text)", parameters),
      () => database.script("select 1; select 2"),
      () => database.command("supabase_admin", "select 1; select 2"),
      () =>
        database.transaction(async ({ exec, query }) => {
          await exec("set local role supabase_admin");
          await query("select length($1::text)", parameters);
        }),
      () =>
        kysely.transaction().execute(async (transaction) => {
          await sql`select set_config('role', ${"supabase_admin"}, true)`.execute(transaction);
          await sql`select ${"x"}::text`.execute(transaction);
        }),
    ];
    let stopped = false;
    const callers = kinds.flatMap((ask) =>
      Array.from({ length: 4 }, async () => {
        while (!stopped) {
          await ask().catch(() => {});
          await new Promise((resolve) => setTimeout(resolve));
        }
      })
    );
    const isUp = () => database.query("select").then(() => true, () => false);
    for (let crash = 1; crash <= CRASHES; crash++) {
      await cluster.restart("immediate");
      await eventually("Postgres answers again", isUp);
      await eventually("the listener listens again", () => Promise.resolve(resumed === crash));
    }
    await database.query("select pg_notify('heard', 'again')");
    await eventually("it hears", () => Promise.resolve(payloads.includes("again")));
    stopped = true;
    let left = callers.length;
    for (const caller of callers) caller.then(() => left--);
    await eventually("every caller has its answer", () => Promise.resolve(left === 0));
  },
);

serverTest(
  "a query on a lost connection fails, and a query that waits for a connection is answered",
  async ({ database, observer }) => {
    const pids: number[] = [];
    const { promise: lost, resolve: lose } = Promise.withResolvers<void>();
    const taken = Promise.all(
      Array.from(
        { length: CONNECTIONS },
        () =>
          assert.rejects(database.transaction(async ({ query }) => {
            const [{ pid }] = await query<{ pid: number }>("select pg_backend_pid() as pid");
            pids.push(pid);
            await lost;
            await query("select 1");
          })),
      ),
    );
    await eventually("all are taken", () => Promise.resolve(pids.length === CONNECTIONS));
    let answered = 0;
    const waiting = Promise.all(Array.from({ length: 4 }, async () => {
      await database.query("select 1");
      answered++;
    }));
    await observer`select pg_terminate_backend(pid) from unnest(${pids}::integer[]) pid`;
    lose();
    await taken;
    await eventually("all are answered", () => Promise.resolve(answered === 4));
    await waiting;
    assert.deepEqual(await database.query("select 1 as n"), [{ n: 1 }]);
  },
);
