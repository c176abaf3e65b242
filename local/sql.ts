/**
 * `deno task sql`: all migrations as one script for the SQL editor of a Supabase project, safe to run
 * twice. What it has applied, it records as the Supabase CLI does; a database whose record is of other
 * files it refuses, before anything is applied.
 */
import { createHash } from "node:crypto";
import { HISTORY_TABLE, type Migration, readMigrations, splitStatements } from "./migrations.ts";

/** The script: one block per migration, which does nothing where that migration is on record. */
export function migrationScript(migrations: Migration[]): string {
  return [
    "-- Calendly Sync for Supabase: run this in the SQL editor. Running it again applies only what is new.",
    HISTORY_TABLE,
    refusal(migrations),
    ...migrations.map(block),
  ].join("\n\n") + "\n";
}

/** Compares what is on record, by whomever it was split, with these files: as `migrate` does. */
function refusal(migrations: Migration[]): string {
  const files = migrations.map(({ version, name, sql }) =>
    `    ('${version}', '${name}', '${digest(sql)}')`
  );
  return `do $refusal$
declare
  changed text;
begin
  select string_agg(E'\\n  - ' || file.version || '_' || file.name, '' order by file.version) into changed
  from (values
${files.join(",\n")}
  ) file (version, name, digest)
  join supabase_migrations.schema_migrations applied using (version)
  -- a record without statements tells nothing
  where cardinality(applied.statements) > 0
    and md5(regexp_replace(array_to_string(applied.statements, ''), '${IGNORED}', '', 'g')) <> file.digest;
  if changed is not null then
    raise exception using
      message = 'migration_changed: this database was made from other files than these. Nothing has been changed.' || changed,
      hint = 'Released migrations never change: take the files of a release at least as new as the one that was applied, unedited.';
  end if;
end
$refusal$;`;
}

/** Splitting moves these; spelled out, because \s is not the same in Postgres. */
const IGNORED = "[ \\t\\r\\n\\f\\v;]";

function digest(sql: string): string {
  return createHash("md5").update(sql.replace(new RegExp(IGNORED, "g"), "")).digest("hex");
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
