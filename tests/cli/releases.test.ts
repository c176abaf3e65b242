/**
 * What was released stays: no migration of a release changes, and a database that an earlier release made
 * becomes by this one's script what a new one is. Releases of which there are none yet are made up of the
 * first migrations of this version.
 */
import assert from "node:assert/strict";
import {
  installedMigrations,
  type Migration,
  migrationScript,
  readMigrations,
} from "../../cli/migrations.ts";
import { readPayload, readReleased } from "../../cli/payload.ts";
import { changedMigrations } from "../../cli/release.ts";
import { type Database } from "../../local/database.ts";
import { catalogue, contents } from "../guest/catalogue.ts";
import { openTestDatabase, testOnEach } from "../harness/databases.ts";

const ALL = await readMigrations();
const OURS = installedMigrations(ALL);
const released = await readReleased();

Deno.test("no migration of a release has changed", async () => {
  const files = Object.fromEntries((await readPayload()).map(({ path, hash }) => [path, hash]));
  assert.deepEqual(changedMigrations(released, files), []);
});

const EARLIER: Record<string, Migration[]> = {
  "half of the migrations": OURS.slice(0, OURS.length / 2),
  "all but the last migration": OURS.slice(0, -1),
};
for (const { version, files } of released) {
  const had = OURS.filter(({ version, name }) => files[`migrations/${version}_${name}.sql`]);
  if (had.length < OURS.length) EARLIER[`release ${version}`] = had;
}

for (const [name, migrations] of Object.entries(EARLIER)) {
  testOnEach(`a database of ${name} becomes like a new one`, "both", async (kind) => {
    await using fresh = await openTestDatabase(kind, { migrations: null });
    await apply(fresh, OURS);
    await using database = await openTestDatabase(kind, { migrations: null });
    await apply(database, migrations);
    await apply(database, OURS);
    assert.deepEqual(await catalogue(database), await catalogue(fresh));
    assert.deepEqual(await rowsOf(database), await rowsOf(fresh));
    assert.deepEqual(await record(database), await record(fresh));
  });
}

/** As `deploy` does it: by the one script. */
async function apply(database: Database, migrations: Migration[]): Promise<void> {
  await database.command("postgres", migrationScript(migrations));
}

/** All rows but the project's own random salt. */
async function rowsOf(database: Database) {
  const { "calendly.project": _, ...rows } = await contents(database);
  return rows;
}

async function record(database: Database): Promise<unknown[]> {
  return await database.query(
    "select * from supabase_migrations.schema_migrations order by version",
  );
}
