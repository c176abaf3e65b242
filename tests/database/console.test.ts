/** What the console passes on with the secret key is there, and does not write, save for replays. */
import assert from "node:assert/strict";
import { RPCS, TABLES } from "../../cli/console/allowed.ts";
import { databaseTest } from "../harness/databases.ts";

databaseTest(
  "the tables and functions of the console's list exist, for servers",
  async (database) => {
    for (const name of TABLES) {
      const [{ readable }] = await database.query(
        "select has_table_privilege('service_role', to_regclass($1), 'select') as readable",
        [`public.${name}`],
      );
      assert.equal(readable, true, name);
    }
    const found = await database.query<{ name: string; callable: boolean; volatile: boolean }>(
      `select proname as name, provolatile = 'v' as volatile,
       has_function_privilege('service_role', oid, 'execute') as callable
     from pg_proc
     where pronamespace = 'public'::regnamespace and proname = any (string_to_array($1, ','))
     order by proname`,
      [[...RPCS].join(",")],
    );
    assert.deepEqual(found.map(({ name }) => name), [...RPCS].sort());
    for (const { name, callable } of found) assert.ok(callable, name);
    const writing = found.filter(({ volatile }) => volatile).map(({ name }) => name);
    assert.deepEqual(writing, ["calendly_replay_dead", "calendly_replay_webhook_event"]);
  },
  { on: "embedded" },
);
