/**
 * `calendly-sync sql`: all migrations as one script for the SQL editor of a Supabase project, or for psql.
 * It is one transaction, so that nothing is left half done whatever runs it, and it is safe to run
 * twice. What it has applied it records as the Supabase CLI does; a database whose record is of other
 * files it refuses, before anything is applied.
 */
import { defineCommand } from "../command.ts";
import { installedMigrations, migrationScript, readMigrations } from "../migrations.ts";

export const sql = defineCommand({
  name: "sql",
  summary: "print all migrations as one script",
  options: {
    "original-names": {
      type: "boolean",
      help: "with the views `users` and `meetings`, by the names of the original system",
    },
  },
  async run({ values, output, isJson, answer }) {
    const originalNames = values["original-names"];
    const migrations = installedMigrations(await readMigrations(), { originalNames });
    const script = migrationScript(migrations);
    if (isJson) answer({ script });
    else output.raw(script);
    return 0;
  },
});
