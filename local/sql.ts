/**
 * `deno task sql`: all migrations as one script for the SQL editor of a Supabase project, or for psql.
 * It is one transaction, so that nothing is left half done whatever runs it, and it is safe to run
 * twice. What it has applied it records as the Supabase CLI does; a database whose record is of other
 * files it refuses, before anything is applied.
 *
 * --original-names  with the views `users` and `meetings`, by the names of the original system
 */
import { parseArgs } from "node:util";
import { HISTORY_TABLE, type Migration, readMigrations, splitStatements } from "./migrations.ts";

/** What is left out of an installation unless it is asked for. */
const ORIGINAL_NAMES = "original_names";

/** The migrations that an installation has. */
export function installedMigrations(
  migrations: Migration[],
  { originalNames = false } = {},
): Migration[] {
  return migrations.filter(({ name }) => originalNames || name !== ORIGINAL_NAMES);
}

/**
 * The script. Its work is one statement: where one of many fails, psql goes on and buries the message
 * under those that follow.
 */
export function migrationScript(migrations: Migration[]): string {
  const body = `
declare
  file record;
  statement text;
  changed text;
begin
${HISTORY_TABLE}

create temporary table calendly_files (version text, name text, statements text[]) on commit drop;
insert into calendly_files values
${migrations.map(row).join(",\n")};

-- Compared as \`deno task start\` does: splitting moves spaces and semicolons. A record without
-- statements tells nothing.
select string_agg(E'\\n  - ' || f.version || '_' || f.name, '' order by f.version) into changed
  from calendly_files f
  join supabase_migrations.schema_migrations applied using (version)
  where cardinality(applied.statements) > 0
    and regexp_replace(array_to_string(applied.statements, ''), '${IGNORED}', '', 'g')
      <> regexp_replace(array_to_string(f.statements, ''), '${IGNORED}', '', 'g');
if changed is not null then
  raise exception using
    message = 'migration_changed: this database was made from other files than these. '
      'Nothing has been changed.' || changed,
    hint = 'Released migrations never change: take the files of a release at least as new as the '
      'one that was applied, unedited.';
end if;

for file in
  select f.* from calendly_files f
  where not exists (
    select from supabase_migrations.schema_migrations m where m.version = f.version)
  order by f.version
loop
  foreach statement in array file.statements loop
    execute statement;
  end loop;
  insert into supabase_migrations.schema_migrations (version, name, statements)
    values (file.version, file.name, file.statements);
end loop;
end
`;
  return `-- Calendly Sync for Supabase: run this in the SQL editor. Running it again applies what is new.
begin;

do ${quote(body, "script")};

commit;
`;
}

/** What splitting moves; spelled out, because \s is not the same in Postgres. */
const IGNORED = "[ \\t\\r\\n\\f\\v;]";

function row({ version, name, sql }: Migration): string {
  const statements = splitStatements(sql).map((statement) => quote(statement, "sql"));
  return `('${version}', '${name}', array[\n${statements.join(",\n")}])`;
}

/** A dollar-quoted literal, with a tag that the text does not contain. */
function quote(text: string, name: string): string {
  let tag = `$${name}$`;
  for (let n = 1; text.includes(tag); n++) tag = `$${name}_${n}$`;
  return `${tag}${text}${tag}`;
}

if (import.meta.main) {
  try {
    const { values } = parseArgs({ options: { "original-names": { type: "boolean" } } });
    const originalNames = values["original-names"];
    console.log(migrationScript(installedMigrations(await readMigrations(), { originalNames })));
  } catch (error) {
    if ((error as { code?: string }).code !== "ERR_PARSE_ARGS_UNKNOWN_OPTION") throw error;
    console.error(`unknown_option: ${(error as Error).message}`);
    Deno.exit(1);
  }
}
