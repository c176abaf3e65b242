/**
 * `deno task sql`: all migrations as one script for the SQL editor of a Supabase project, safe to run
 * twice. What it has applied, it records as the Supabase CLI does.
 */
import { HISTORY_TABLE, type Migration, readMigrations, splitStatements } from "./migrations.ts";

/** The script: one block per migration, which does nothing where that migration is on record. */
export function migrationScript(migrations: Migration[]): string {
  return [
    "-- Calendly Sync for Supabase: run this in the SQL editor. Running it again applies only what is new.",
    HISTORY_TABLE,
    ...migrations.map(block),
  ].join("\n\n") + "\n";
}

function block({ version, name, sql }: Migration): string {
  const statements = splitStatements(sql).map((statement) => quote(statement, sql));
  return `-- ${name}
do ${dollars("block", sql)}
begin
  if exists (select from supabase_migrations.schema_migrations where version = '${version}') then
    return;
  end if;
  execute ${quote(sql, sql)};
  insert into supabase_migrations.schema_migrations (version, name, statements)
    values ('${version}', '${name}', array[${statements.join(", ")}]);
end
${dollars("block", sql)};`;
}

/** A dollar-quoted literal, with a tag that `sql`, which holds the text, does not contain. */
function quote(text: string, sql: string): string {
  const tag = dollars("sql", sql);
  return `${tag}${text}${tag}`;
}

function dollars(name: string, sql: string): string {
  let tag = `$${name}$`;
  for (let n = 1; sql.includes(tag); n++) tag = `$${name}_${n}$`;
  return tag;
}

if (import.meta.main) console.log(migrationScript(await readMigrations()));
