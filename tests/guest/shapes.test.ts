/**
 * In whatever project we are a guest: what is the app's stays as it is, before and after, and the app
 * works as it did. Our migrations come after the app's, or before them.
 */
import assert from "node:assert/strict";
import type { Transaction } from "../../local/database.ts";
import { HISTORY_TABLE } from "../../cli/migrations.ts";
import { type Kind, openTestDatabase, testOnEach } from "../harness/databases.ts";
import { catalogue, contents, lacking } from "./catalogue.ts";
import { asOwner, install, LEAVE, outcome, undone } from "./project.ts";
import { ACCOUNTS, PLATFORM_REST, projects, type Shape } from "./shapes.ts";

/** Objects that are ours alone, by their names. */
const OWN = new RegExp(
  "^(schema|relation|column|constraint|index|trigger|policy|function|type) " +
    String.raw`(calendly[.:]|public\."?(calendly_|clean_old_webhook_events\(\)))` +
    String.raw`|^job calendly-` +
    String.raw`|^policy realtime\.messages\.People receive their own Calendly updates:`,
);

/** Most shapes fit into the first projects; the others have names that are taken there. */
const [FIRST, OTHERS] = [projects().slice(0, 2), projects().slice(2)];

testOnEach(
  "a guest in new projects changes nothing that is the app's",
  "both",
  (kind, t) => testProjects(kind, t, FIRST, "none"),
);
testOnEach(
  "a guest in other new projects changes nothing that is the app's",
  "both",
  (kind, t) => testProjects(kind, t, OTHERS, "none"),
  { long: true },
);
// The rights of an old project matter to the rights alone: one of the databases tells.
testOnEach(
  "a guest in old projects changes nothing that is the app's",
  "real",
  (kind, t) => testProjects(kind, t, projects(), "all"),
);

async function testProjects(
  kind: Kind,
  t: Deno.TestContext,
  apps: Shape[][],
  defaultPrivileges: "none" | "all",
) {
  const unmigrated = { migrations: null, defaultPrivileges };
  await using database = await openTestDatabase(kind, unmigrated);
  await database.script(`${PLATFORM_REST} set local role postgres; ${HISTORY_TABLE}`);
  for (const shapes of apps) {
    const names = shapes.map(({ name }) => name).join("; ");
    const app = shapes.map(({ app }) => app).join("\n");
    let alone: State;
    let works: Record<string, string>;

    await t.step(`after: ${names}`, () =>
      undone(database, async (transaction) => {
        await asOwner(transaction, app);
        await fill(transaction, shapes);
        alone = await state(transaction);
        works = await useAll(transaction, shapes);

        await install(transaction);
        assertUntouched(await state(transaction), alone);
        assert.deepEqual(await useAll(transaction, shapes), works);
        const declared = shapes.filter(({ declared }) => declared).map(({ app }) => app).join("\n");
        await asOwner(transaction, declared);
        assertUntouched(await state(transaction), alone);

        await asOwner(transaction, LEAVE);
        assert.deepEqual(await state(transaction), alone);
        assert.deepEqual(await useAll(transaction, shapes), works);
      }));

    // What the original's migration 022 makes has our names: it can only come before us.
    if (app.includes("create table public.calendly_webhook_events")) continue;
    await t.step(`before: ${names}`, () =>
      undone(database, async (transaction) => {
        await install(transaction);
        await asOwner(transaction, app);
        await fill(transaction, shapes);
        assertUntouched(await state(transaction), alone);
        assert.deepEqual(await useAll(transaction, shapes), works);

        await asOwner(transaction, LEAVE);
        assert.deepEqual(await state(transaction), alone);
        assert.deepEqual(await useAll(transaction, shapes), works);
      }));
  }
}

interface State {
  objects: string[];
  rows: Record<string, string[]>;
}

async function state(transaction: Transaction): Promise<State> {
  const { "auth.users": _, ...rows } = await contents(transaction);
  // keys that a sequence or chance gave, and the moment
  for (const [table, found] of Object.entries(rows)) {
    rows[table] = found.map((row) =>
      row.replaceAll(/[0-9a-f]{8}-[0-9a-f-]{27}|\d{4}-\d\d-\d\dT[^"]+/g, "…")
    ).sort();
  }
  return { objects: await catalogue(transaction), rows };
}

async function fill(transaction: Transaction, shapes: Shape[]): Promise<void> {
  await transaction.exec(`set local role supabase_auth_admin; ${ACCOUNTS} reset role;`);
  for (const { rows } of shapes) if (rows) await asOwner(transaction, rows);
}

/** What each use of each app comes to. */
async function useAll(transaction: Transaction, shapes: Shape[]): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  for (const { name, uses } of shapes) {
    for (const [use, { as, sql, gives }] of Object.entries(uses)) {
      found[`${name}: ${use}`] = await outcome(transaction, { as, sql, gives });
    }
  }
  return found;
}

/** What was there is there still, as it was; what 022 made stands aside; what came is ours. */
function assertUntouched(installed: State, alone: State): void {
  const made = lacking(installed.objects, alone.objects);
  const aside = made.filter((line) => /^[\w ]+ public\.original_/.test(line));
  const named = (line: string) => line.replaceAll("original_", "");
  // what refers to what stands aside calls it by that name
  const gone = lacking(alone.objects, installed.objects.map(named));
  assert.deepEqual(gone, [], "objects of the app's that are gone or changed");
  const foreign = lacking(made.filter((line) => !OWN.test(line)).map(named), alone.objects);
  assert.deepEqual(foreign, [], "objects that are neither the app's nor by our names");
  for (const [table, rows] of Object.entries(alone.rows)) {
    assert.deepEqual(installed.rows[aside.length ? asideName(table) : table], rows, table);
  }
}

function asideName(table: string): string {
  return table.startsWith("calendly_") ? `original_${table}` : table;
}
