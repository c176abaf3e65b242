/**
 * Embedded databases that the tests of a file use one after the other: to open one takes most of a second,
 * to put its rows back a fraction of that. One whose objects, rights or settings a test has changed is
 * closed, and the next test opens another.
 */
import { type Database, openEmbedded, type Preparation } from "../../local/database.ts";
import { preparationHash, preparedImage } from "../../local/image.ts";

/** What a fresh database holds. */
interface Contents {
  objects: string;
  /** Every table: its rows as JSON (undefined: none), their versions, and the columns that can be written. */
  tables: { name: string; rows?: string; versions: string | null; columns: string }[];
  /** A statement that sets every sequence. */
  sequences: string;
}

interface Lent {
  key: string;
  database: Database;
  contents: Contents;
}

/** The one that was given back last. */
let idle: Lent | undefined;
const fresh = new Map<string, Contents>();

/** An embedded database as it is when it is fresh, on the wire if asked; `close` gives it back. */
export async function borrowEmbedded(
  preparation: Preparation,
  { onWire = false }: { onWire?: boolean } = {},
): Promise<Database> {
  // Without migrations it is for a test that makes objects of its own.
  if (preparation.migrations === null) return await open(preparation, onWire);
  const key = `${await preparationHash(preparation)}${onWire ? " on the wire" : ""}`;
  const last = idle;
  idle = undefined;
  if (last?.key === key && await isRestored(last)) return lend(last);
  await last?.database.close();

  const database = await open(preparation, onWire);
  if (!fresh.has(key)) fresh.set(key, await read(database));
  return lend({ key, database, contents: fresh.get(key)! });
}

async function open(preparation: Preparation, onWire: boolean): Promise<Database> {
  const image = await preparedImage(preparation);
  return await openEmbedded({ image, port: onWire ? 0 : undefined });
}

function lend(lent: Lent): Database {
  let isGivenBack = false;
  return {
    ...lent.database,
    async close() {
      if (isGivenBack) return;
      isGivenBack = true;
      const other = idle;
      idle = lent;
      await other?.database.close();
    },
  };
}

/** Puts the rows back. False: something else was changed, too, or the database is of no use any more. */
async function isRestored({ database, contents }: Lent): Promise<boolean> {
  try {
    await database.query("discard all");
    if (await catalogHash(database) !== contents.objects) return false;
    const found = await versions(database, contents.tables.map(({ name }) => name));
    const changed = contents.tables.filter((table, n) => found[n] !== table.versions);
    if (changed.length > 0) await restore(database, contents, changed.map(({ name }) => name));
    await database.query(contents.sequences);
    await database.query("discard all");
    return true;
  } catch {
    return false;
  }
}

/** Above this many bytes a table is truncated, which takes longer than to delete a few rows. */
const LARGE = 64 * 1024;

async function restore(database: Database, { tables }: Contents, changed: string[]): Promise<void> {
  await database.query("set session_replication_role = replica"); // no triggers, no foreign keys
  const large = await database.query<{ name: string }>(
    `select name from unnest($1::text[]) name where pg_relation_size(name::regclass) > ${LARGE}`,
    [changed],
  );
  const truncated = large.map(({ name }) => name);
  if (truncated.length > 0) await database.query(`truncate ${truncated.join(", ")} cascade`);
  for (const name of changed) {
    if (!truncated.includes(name)) await database.query(`delete from ${name}`);
  }
  for (const { name, rows, columns } of tables) {
    if (rows === undefined) continue;
    await database.query(
      `insert into ${name} (${columns}) overriding system value
       select ${columns} from jsonb_populate_recordset(null::${name}, $1::text::jsonb)
       where not exists (select from ${name})`,
      [rows],
    );
  }
}

async function read(database: Database): Promise<Contents> {
  const tables = await database.query<{ name: string; columns: string }>(
    `select c.oid::regclass::text as name,
       (select string_agg(quote_ident(a.attname), ', ' order by a.attnum) from pg_attribute a
        where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and a.attgenerated = '') as columns
     from pg_class c join pg_namespace n on n.oid = c.relnamespace
     where c.relkind = 'r' and n.nspname not in ('pg_catalog', 'information_schema', 'pg_toast')
     order by c.oid`,
  );
  const found = await versions(database, tables.map(({ name }) => name));
  const contents: Contents["tables"] = [];
  for (const [index, { name, columns }] of tables.entries()) {
    const [{ rows }] = found[index] === null
      ? [{ rows: undefined }]
      : await database.query<{ rows: string }>(
        `select jsonb_agg(to_jsonb(t))::text as rows from ${name} t`,
      );
    contents.push({ name, rows, versions: found[index], columns });
  }
  const sequences = await database.query<{ set: string }>(
    `select format('setval(%L::regclass, %s, %L)', c.oid::regclass,
       coalesce(s.last_value, s.start_value), s.last_value is not null) as set
     from pg_sequences s
     join pg_class c on c.relname = s.sequencename and c.relnamespace = s.schemaname::regnamespace`,
  );
  return {
    objects: await catalogHash(database),
    tables: contents,
    sequences: `select ${sequences.map(({ set }) => set).join(", ")}`,
  };
}

/** Of each table where its rows lie and who wrote them, which every change of a row changes; null: no row. */
async function versions(database: Database, tables: string[]): Promise<(string | null)[]> {
  const [row] = await database.query<Record<string, string | null>>(
    `select ${
      tables.map((name, n) =>
        `(select md5(string_agg(concat(ctid, xmin), ',')) from ${name}) as t${n}`
      )
    }`,
  );
  return tables.map((_, n) => row[`t${n}`]);
}

/** A hash of the catalog: objects, rights, settings. A table's rows do not change it, nor does truncate. */
export async function catalogHash(database: Database): Promise<string> {
  const catalogs = [
    "pg_attrdef",
    "pg_attribute",
    "pg_auth_members",
    "pg_authid",
    "pg_cast",
    "pg_constraint",
    "pg_db_role_setting",
    "pg_default_acl",
    "pg_description",
    "pg_event_trigger",
    "pg_extension",
    "pg_inherits",
    "pg_operator",
    "pg_policy",
    "pg_proc",
    "pg_publication",
    "pg_rewrite",
    "pg_sequence",
    "pg_trigger",
    "pg_type",
  ].map((catalog) =>
    `select '${catalog} ' || count(*) || ' ' || coalesce(max(c.xmin::text::bigint), 0) || ' ' ||
       coalesce(sum(c.xmin::text::bigint), 0) as line from pg_catalog.${catalog} c`
  );
  const [{ hash }] = await database.query<{ hash: string }>(
    `select md5(string_agg(line, ';' order by line)) as hash from (
       ${catalogs.join("\nunion all ")}
       union all select 'class ' || concat_ws(' ', c.oid, c.relname, c.relnamespace, c.relowner, c.relacl,
         c.relrowsecurity, c.relforcerowsecurity, c.reloptions, c.relreplident) from pg_class c
       union all select 'namespace ' || concat_ws(' ', n.oid, n.nspname, n.nspowner, n.nspacl)
       from pg_namespace n where n.nspname !~ '^pg_(toast_)?temp_') lines`,
  );
  return hash;
}
