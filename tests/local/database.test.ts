/** An open database: errors, value types, and lost connections. */
import assert from "node:assert/strict";
import type { PostgresConnection } from "@supabase/lite/postgres";
import { openPostgres } from "../../local/database.ts";
import { Cluster } from "../harness/cluster.ts";
import { databaseTest } from "../harness/databases.ts";
import { needing } from "../harness/requirements.ts";
import { eventually } from "../schedule/support.ts";

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
         '2026-11-23T10:00:00.123456Z'::timestamptz as moment`,
        [JSON.stringify({ x: "y" })],
      ),
      [{
        half: null,
        n: 1.5,
        b: 12345678901,
        j: { a: [1] },
        list: [1, 2],
        p: "y",
        moment: "2026-11-23T10:00:00.123456+00:00",
      }],
    );
  },
  { migrations: null },
);

Deno.test({
  ...needing("every query gets an answer or an error while Postgres crashes", "postgresServer"),
  async fn() {
    await using cluster = await Cluster.start();
    const database = await openPostgres(cluster.url);
    try {
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
    } finally {
      await database.close();
    }
  },
});

Deno.test({
  ...needing(
    "a query on a lost connection fails, and a query that waits for a connection is answered",
    "postgresServer",
  ),
  async fn() {
    await using cluster = await Cluster.start();
    const database = await openPostgres(cluster.url);
    const observer = cluster.connect();
    try {
      const { driver } = database.connection as PostgresConnection;
      // Between two statements, as in a transaction.
      const taken = await Promise.all(
        Array.from({ length: driver.options.max }, () => driver.reserve()),
      );
      const pids = await Promise.all(taken.map(async (session) => {
        const [{ pid }] = await session.unsafe("select pg_backend_pid() as pid");
        return pid;
      }));
      let answered = 0;
      const waiting = Promise.all(Array.from({ length: 4 }, async () => {
        await database.query("select 1");
        answered++;
      }));
      await observer`select pg_terminate_backend(pid) from unnest(${pids}::integer[]) pid`;
      await eventually("all are answered", () => Promise.resolve(answered === 4));
      await waiting;
      for (const session of taken) {
        await assert.rejects(async () => await session.unsafe("select 1"));
        session.release();
      }
      assert.deepEqual(await database.query("select 1 as n"), [{ n: 1 }]);
    } finally {
      await observer.end();
      await database.close();
    }
  },
});
