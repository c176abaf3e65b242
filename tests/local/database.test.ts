/** What the embedded Postgres must not do to the process that it runs in. */
import assert from "node:assert/strict";
import { databaseTest } from "../harness/databases.ts";

databaseTest("an error in SQL leaves the process's exit code alone", async (database) => {
  for (let round = 0; round < 3; round++) {
    await assert.rejects(database.query("select 1 / 0"), /division by zero/);
    await assert.rejects(database.script("select 1; select no_such_column"), /no_such_column/);
  }
  assert.equal(Deno.exitCode, 0);
}, { migrations: null });

databaseTest("a script is one transaction, and values have one shape", async (database) => {
  await assert.rejects(database.script("create table public.half (id integer); select 1 / 0"));
  assert.deepEqual(
    await database.query(
      `select to_regclass('public.half') as half, 1.5::numeric as n, 12345678901::bigint as b,
         '{"a": [1]}'::jsonb as j, array[1, 2] as list, $1::jsonb ->> 'x' as p,
         '2026-11-23T10:00:00.123456Z'::timestamptz as at`,
      [JSON.stringify({ x: "y" })],
    ),
    [{
      half: null,
      n: 1.5,
      b: 12345678901,
      j: { a: [1] },
      list: [1, 2],
      p: "y",
      at: "2026-11-23 10:00:00.123456+00",
    }],
  );
}, { migrations: null });
