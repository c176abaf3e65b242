/** A release has one version: what the database says is what the functions say. */
import assert from "node:assert/strict";
import { VERSION } from "../../supabase/functions/_shared/calendly/version.ts";
import { databaseTest } from "../harness/databases.ts";

databaseTest(
  "database and functions are of the same version, which health tells",
  async (database) => {
    const [{ version, told }] = await database.query(
      "select calendly.version() as version, public.calendly_health() ->> 'version' as told",
    );
    assert.equal(version, VERSION);
    assert.equal(told, VERSION);
    assert.match(version, /^\d+\.\d+\.\d+$/);
  },
  { seed: false },
);

Deno.test("the version is in one place of the SQL", async () => {
  const folder = new URL("../../supabase/migrations/", import.meta.url);
  const files = [...Deno.readDirSync(folder)].filter(({ name }) => name.endsWith(".sql"));
  const naming = [];
  for (const { name } of files) {
    const sql = await Deno.readTextFile(new URL(name, folder));
    if (sql.includes(`'${VERSION}'`)) naming.push(name);
  }
  assert.equal(naming.length, 1, naming.join(", "));
});
