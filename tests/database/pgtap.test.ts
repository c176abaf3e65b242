/**
 * Runs the pgTAP files beside it (`begin; … select * from finish(); rollback;`) on a migrated database
 * without the demo account: on the embedded Postgres, under the new default privileges and the old, and on
 * a real one by pg_prove. Under the old ones only the files about rights run by default; all of them with
 * REQUIRE_ALL=1. TEST_ONCE=1: where there is pg_prove, on the embedded one only those about rights. As on the platform, `extensions` is on the search path. Files named after `--` run
 * alone.
 */
import assert from "node:assert/strict";
import { type PgliteConnection } from "@supabase/lite/pglite";
import { splitStatements } from "../../cli/migrations.ts";
import { openTestDatabase, testOnEach } from "../harness/databases.ts";
import { wanted } from "../harness/parts.ts";
import { needing, REQUIREMENTS } from "../harness/requirements.ts";
import { readTap } from "../harness/tap.ts";
import { FIXTURES, sqlFiles } from "./fixtures/fixtures.ts";

const INSTALL = `create extension if not exists pgtap with schema extensions;\n${FIXTURES}`;
const files = wanted(sqlFiles(new URL("./", import.meta.url)));
const ABOUT_RIGHTS = ["privileges.sql", "row_level_security.sql"];

const isProved = Deno.env.get("TEST_ONCE") !== undefined && REQUIREMENTS.pgProve.met;
const aboutRights = files.filter((file) => ABOUT_RIGHTS.includes(file));
embeddedTest("pgTAP with the new default privileges", "none", isProved ? aboutRights : files);
embeddedTest("pgTAP about rights with the old default privileges", "all", aboutRights);
if (!isProved) {
  embeddedTest("pgTAP with the old default privileges", "all", files, { long: true });
}
realTest("pgTAP with the new default privileges", "none");
realTest("pgTAP with the old default privileges", "all");

function embeddedTest(
  name: string,
  defaultPrivileges: "none" | "all",
  files: string[],
  { long = false } = {},
): void {
  if (files.length === 0) return; // Only other files were named.
  testOnEach(name, "embedded", async (_kind, t) => {
    await using database = await openTestDatabase("embedded", { defaultPrivileges, seed: false });
    await database.script(INSTALL);
    const { driver } = database.connection as PgliteConnection;
    for (const file of files) {
      await driver.exec("rollback");
      await driver.exec("discard all");
      await driver.exec(`set search_path to "$user", public, extensions`);
      const output = await answers(driver, await Deno.readTextFile(new URL(file, import.meta.url)));
      for (const { name, passed, diagnostics } of readTap(output)) {
        await t.step(`${file}: ${name}`, () => assert.ok(passed, diagnostics));
      }
    }
  }, { long });
}

/** What the statements of a file answer, up to the one that fails. */
async function answers(driver: PgliteConnection["driver"], sql: string): Promise<string> {
  const lines: unknown[] = [];
  try {
    for (const statement of splitStatements(sql)) {
      for (const { rows } of await driver.exec(statement)) {
        lines.push(...rows.map((row) => Object.values(row)[0]));
      }
    }
  } catch (error) {
    lines.push(`the file stops: ${(error as Error).message}`);
  }
  return lines.join("\n");
}

function realTest(name: string, defaultPrivileges: "none" | "all"): void {
  Deno.test({
    ...needing(name, "pgProve"),
    async fn(t) {
      await using database = await openTestDatabase("real", { defaultPrivileges, seed: false });
      await database.script(INSTALL);
      for (const file of files) {
        await t.step(file, async () => {
          const { success, stdout, stderr } = await new Deno.Command("pg_prove", {
            args: ["--verbose", `--dbname=${database.url}`, file],
            cwd: new URL("./", import.meta.url),
          }).output();
          const decoder = new TextDecoder();
          assert.ok(success, decoder.decode(stdout) + decoder.decode(stderr));
        });
      }
    },
  });
}
