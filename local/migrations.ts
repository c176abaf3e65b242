/**
 * Applies the migrations that a database lacks, and records them as the Supabase CLI does, so that
 * `supabase migration up --remote=…` and this stack agree about what has been applied.
 */
import { HISTORY_TABLE, type Migration, splitStatements } from "../cli/migrations.ts";
import type { Database } from "./database.ts";

export const SEED = new URL("../supabase/seed.sql", import.meta.url);
export const PLATFORM = new URL("./platform.sql", import.meta.url);
export const REALTIME = new URL("./realtime.sql", import.meta.url);

/** As on the platform, what a project's SQL makes belongs to `postgres`, which is no superuser. */
export const AS_OWNER = "set local role postgres;\n";

/**
 * Applies the migrations that the database does not have, each in a transaction of its own.
 * Throws `MigrationChanged` when an applied one reads differently now, `MigrationFailed` when one fails.
 * Returns the versions that were applied.
 */
export async function migrate(
  database: Pick<Database, "query" | "script" | "transaction">,
  migrations: Migration[],
  onApply: (migration: Migration) => void = () => {},
): Promise<string[]> {
  await database.script(AS_OWNER + HISTORY_TABLE);
  const rows = await database.query<{ version: string; statements: string[] | null }>(
    "select version, statements from supabase_migrations.schema_migrations",
  );
  const applied = new Map(rows.map((row) => [row.version, row.statements]));
  const versions: string[] = [];
  for (const migration of migrations) {
    const before = applied.get(migration.version);
    if (before !== undefined) {
      if (!isSame(before ?? [], migration.sql)) throw new MigrationChanged(migration);
      continue;
    }
    onApply(migration);
    try {
      await database.transaction(async ({ exec, query }) => {
        await exec(AS_OWNER + migration.sql);
        await query(
          `insert into supabase_migrations.schema_migrations (version, statements, name)
           values ($1, (select array_agg(value order by ordinality)
             from jsonb_array_elements_text($2::jsonb) with ordinality), $3)`,
          [
            migration.version,
            JSON.stringify(splitStatements(migration.sql)),
            migration.name,
          ],
        );
      });
    } catch (error) {
      throw new MigrationFailed(migration, error);
    }
    versions.push(migration.version);
  }
  return versions;
}

/** Whether the recorded statements, whoever split them, are those of this file. */
function isSame(statements: string[], sql: string): boolean {
  const bare = (text: string) => text.replace(/[\s;]/g, "");
  return bare(statements.join("")) === bare(sql);
}

/** The recorded statements of a version are not those of its file: the database was made from other files. */
export class MigrationChanged extends Error {
  override name = "MigrationChanged";
  constructor(migration: Migration) {
    super(`${migration.version}_${migration.name}.sql is not what this database was made from.`);
  }
}

/** A migration could not be applied; nothing of it was. `cause` is the error of Postgres. */
export class MigrationFailed extends Error {
  override name = "MigrationFailed";
  constructor(migration: Migration, override readonly cause: unknown) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    super(`${migration.version}_${migration.name}.sql failed: ${reason}`);
  }
}
