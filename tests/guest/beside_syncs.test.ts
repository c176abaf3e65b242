/**
 * The app and we at the same moment, on real Postgres: while a sync holds all that a sync ever locks,
 * the app's statements come to the same as without us, and wait for nobody; and while the app writes,
 * our migrations wait for nobody.
 */
import assert from "node:assert/strict";
import postgres from "postgres";
import { openPostgres, type Transaction } from "../../local/database.ts";
import { HISTORY_TABLE } from "../../cli/migrations.ts";
import { migrate } from "../../local/migrations.ts";
import { FIXTURES } from "../database/fixtures/fixtures.ts";
import { createDatabase } from "../harness/databases.ts";
import { needing } from "../harness/requirements.ts";
import { asOwner, install, OURS, outcome, undone } from "./project.ts";
import { ACCOUNTS, PLATFORM_REST, projects, type Shape } from "./shapes.ts";

/** Nobody of the app's may wait longer. */
const PATIENCE = "set local lock_timeout = '500ms';";

/** Ann of the app, whose account is a@example.com, is in the middle of each step of a sync. */
const STEPS = {
  "begins": "select tests.begin('a');",
  "applies a page":
    `select tests.bring('a', tests.page(array[tests.event('E1', tests.hosted_by('a'))]));`,
  "applies invitees": `select tests.bring('a', jsonb_build_object('invitees', jsonb_build_array(
      tests.invitees_of('E1', tests.invitee('E1', 'ines')))));`,
  "finishes": "select tests.finish('a');",
};

Deno.test({
  ...needing("while a sync holds its locks the app's statements wait for nothing", "realPostgres"),
  async fn(t) {
    for (const shapes of projects()) {
      // the original's migration 022 has our names: it is there before us
      const app = shapes.map(({ app }) => app.split("-- 022")[0]).join("\n");
      await t.step(shapes.map(({ name }) => name).join("; "), async () => {
        const { url, drop } = await createDatabase({ migrations: null });
        const database = await openPostgres(url);
        const worker = postgres(url, { max: 1, onnotice: () => {} });
        try {
          let alone: string[] = [];
          await database.script(
            `${PLATFORM_REST} set local role postgres; ${HISTORY_TABLE} ${app}`,
          );
          await database.script(`set local role supabase_auth_admin; ${ACCOUNTS}`);
          await undone(database, async (transaction) => alone = await useAll(transaction, shapes));

          await migrate(database, OURS);
          await worker.unsafe(`${FIXTURES} select tests.connect('a');`);
          for (const [step, sql] of Object.entries(STEPS)) {
            await worker.unsafe(`begin; ${sql}`);
            let beside: string[] = [];
            await undone(database, async (transaction) => {
              await transaction.exec(PATIENCE);
              beside = await useAll(transaction, shapes);
            });
            assert.deepEqual(beside, alone, `while a sync ${step}`);
            await worker.unsafe("commit");
          }
          const [{ status }] = await worker.unsafe("select (tests.run_of('a')).status");
          assert.equal(status, "complete");
        } finally {
          await Promise.all([worker.end(), database.close()]);
          await drop();
        }
      });
    }
  },
});

Deno.test({
  ...needing("while the app writes, our migrations wait for nothing", "realPostgres"),
  async fn() {
    const { url, drop } = await createDatabase({ migrations: null });
    const database = await openPostgres(url);
    const app = postgres(url, { max: 1, onnotice: () => {} });
    try {
      const shapes = projects()[0];
      await database.script(`${PLATFORM_REST} set local role postgres; ${HISTORY_TABLE}
        ${shapes.map(({ app }) => app).join("\n")}`);
      await database.script(`set local role supabase_auth_admin; ${ACCOUNTS}`);
      const tables = await database.query<{ name: string }>(`
        select c.oid::regclass::text as name from pg_class c
        where c.relkind = 'r' and c.relnamespace::regnamespace::text in ('public', 'auth', 'storage')`);
      assert.ok(tables.length > 10);
      await app.unsafe(`begin;
        lock table ${tables.map(({ name }) => name).join(", ")} in row exclusive mode;
        update auth.users set updated_at = now();`);
      await undone(database, async (transaction) => {
        await transaction.exec(PATIENCE);
        await install(transaction);
      });
      await app.unsafe("commit");
    } finally {
      await Promise.all([app.end(), database.close()]);
      await drop();
    }
  },
});

/** What each use of each app comes to. */
async function useAll(transaction: Transaction, shapes: Shape[]): Promise<string[]> {
  const found: string[] = [];
  for (const { name, rows = "", uses } of shapes) {
    if (rows && !rows.includes("calendly_webhook_events")) await asOwner(transaction, rows);
    for (const [use, statement] of Object.entries(uses)) {
      found.push(`${name}: ${use}: ${await outcome(transaction, statement)}`);
    }
  }
  return found;
}
