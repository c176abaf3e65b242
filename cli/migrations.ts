/**
 * The product's SQL files: reads them, splits them into statements as the Supabase CLI does, and makes of
 * them the one script that installs or upgrades a database.
 */
import { readdir, readFile } from "node:fs/promises";

/** One file of supabase/migrations, named `<version>_<name>.sql`. */
export interface Migration {
  version: string;
  name: string;
  sql: string;
}

export const MIGRATIONS = new URL("../supabase/migrations/", import.meta.url);

/** The statements with which the Supabase CLI makes its record of applied migrations. */
export const HISTORY_TABLE = `create schema if not exists supabase_migrations;
create table if not exists supabase_migrations.schema_migrations (
  version text not null primary key,
  statements text[],
  name text
);`;

/** The migrations of a folder in the order in which they apply. */
export async function readMigrations(folder: URL = MIGRATIONS): Promise<Migration[]> {
  const migrations: Migration[] = [];
  for (const file of await readdir(folder)) {
    const named = file.match(/^(\d+)_(.*)\.sql$/);
    if (!named) continue;
    const sql = await readFile(new URL(file, folder), "utf8");
    migrations.push({ version: named[1], name: named[2], sql });
  }
  return migrations.sort((a, b) => a.version < b.version ? -1 : 1);
}

// A comment, a string, a quoted name, a dollar-quoted body, the end of a statement, or anything else.
const TOKEN =
  /--[^\n]*|\/\*[\s\S]*?\*\/|[eE]'(?:[^'\\]|\\.|'')*'|'[^']*'|"[^"]*"|(\$(?:[A-Za-z_]\w*)?\$)[\s\S]*?\1|[\s\S]/g;

/** The statements of a file, comments and all, without their semicolons: what the CLI records. */
export function splitStatements(sql: string): string[] {
  const statements = [""];
  for (const [token] of sql.matchAll(TOKEN)) {
    if (token === ";") statements.push("");
    else statements[statements.length - 1] += token;
  }
  return statements.map((statement) => statement.trim()).filter((statement) => statement !== "");
}

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

${REFUSE_CHANGED}

${APPLY_MISSING}
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

const REFUSE_CHANGED = `
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
end if;`.trim();

const APPLY_MISSING = `
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
end loop;`.trim();

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
