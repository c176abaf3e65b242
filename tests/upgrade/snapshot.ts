/** What a database is and what it holds, to compare before with after, and one way here with another. */
import type { Database } from "../../local/database.ts";

/** Every right of the API's roles in public and calendly, columns and sequences included. */
export const RIGHTS = `
  select c.oid::regclass::text as object, r.rolname as role, p.name as right
  from pg_class c cross join pg_roles r
  cross join unnest('{SELECT,INSERT,UPDATE,DELETE,TRUNCATE,REFERENCES,TRIGGER}'::text[]) p (name)
  where c.relnamespace in (to_regnamespace('public'), to_regnamespace('calendly')) and c.relkind in ('r', 'v')
    and r.rolname in ('anon', 'authenticated', 'service_role')
    and (has_table_privilege(r.oid, c.oid, p.name)
      or (p.name in ('SELECT', 'INSERT', 'UPDATE', 'REFERENCES') and has_any_column_privilege(r.oid, c.oid, p.name)))
  union all
  select c.oid::regclass::text, r.rolname, p.name
  from pg_class c cross join pg_roles r cross join unnest('{USAGE,SELECT,UPDATE}'::text[]) p (name)
  where c.relnamespace in (to_regnamespace('public'), to_regnamespace('calendly')) and c.relkind = 'S'
    and r.rolname in ('anon', 'authenticated', 'service_role') and has_sequence_privilege(r.oid, c.oid, p.name)
  union all
  select f.oid::regprocedure::text, r.rolname, 'EXECUTE'
  from pg_proc f cross join pg_roles r
  where f.pronamespace in (to_regnamespace('public'), to_regnamespace('calendly'))
    and r.rolname in ('anon', 'authenticated', 'service_role') and has_function_privilege(r.oid, f.oid, 'EXECUTE')
  order by 1, 2, 3`;

/** What each of our and an earlier app's objects is, in words that say nothing of when it was made. */
const DEFINITIONS = `
  with ours as (
    select n.oid from pg_namespace n where n.nspname in ('public', 'calendly')
  ), relation as (
    select c.* from pg_class c where c.relnamespace in (select oid from ours)
  )
  select * from (
    select 'relation' as kind, c.oid::regclass::text as name,
      concat_ws(' ', c.relkind, c.relrowsecurity, c.reloptions, pg_get_userbyid(c.relowner), obj_description(c.oid, 'pg_class')) as definition
      from relation c
    union all
    select 'view', c.oid::regclass::text, pg_get_viewdef(c.oid) from relation c where c.relkind = 'v'
    union all
    select 'column', a.attrelid::regclass || '.' || a.attname,
      concat_ws(' ', format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity, a.attgenerated,
        pg_get_expr(d.adbin, d.adrelid), col_description(a.attrelid, a.attnum))
      from pg_attribute a left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
      where a.attrelid in (select c.oid from relation c) and a.attnum > 0 and not a.attisdropped
    union all
    select 'constraint', k.conrelid::regclass || '.' || k.conname, pg_get_constraintdef(k.oid)
      from pg_constraint k where k.conrelid in (select c.oid from relation c)
    union all
    select 'index', i.indexrelid::regclass::text, pg_get_indexdef(i.indexrelid)
      from pg_index i where i.indrelid in (select c.oid from relation c)
    union all
    select 'trigger', t.tgrelid::regclass || '.' || t.tgname, pg_get_triggerdef(t.oid)
      from pg_trigger t where not t.tgisinternal and t.tgfoid in (select f.oid from pg_proc f where f.pronamespace in (select oid from ours))
    union all
    select 'policy', p.tablename || '.' || p.policyname, concat_ws(' ', p.permissive, p.roles, p.cmd, p.qual, p.with_check)
      from pg_policies p where p.schemaname in ('public', 'calendly')
    union all
    select 'function', f.oid::regprocedure::text,
      concat_ws(' ', pg_get_userbyid(f.proowner), obj_description(f.oid, 'pg_proc'), pg_get_functiondef(f.oid))
      from pg_proc f where f.pronamespace in (select oid from ours) and f.prokind in ('f', 'p')
    union all
    select 'job', jobname, schedule || ' ' || command from cron.job
  ) as found
  order by 1, 2, 3`;

/** Every definition and every right. */
export async function structure(database: Pick<Database, "query">): Promise<unknown[]> {
  return [...await database.query(DEFINITIONS), ...await database.query(RIGHTS)];
}

/** Every row of every table but what the platform keeps for itself, by table; as text, for comparison. */
export async function contents(
  database: Pick<Database, "query">,
): Promise<Record<string, string[]>> {
  const tables = await database.query<{ name: string }>(`
    select c.oid::regclass::text as name from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where c.relkind in ('r', 'p') and (n.nspname in ('public', 'calendly') or (n.nspname, c.relname) = ('auth', 'users'))
    order by 1`);
  const found: Record<string, string[]> = {};
  for (const { name } of tables) {
    const rows = await database.query<{ row: string }>(
      `select to_jsonb(t)::text as row from ${name} t order by 1`,
    );
    found[name] = rows.map(({ row }) => row);
  }
  return found;
}

/** How many rows each table has. */
export function counted(found: Record<string, string[]>): Record<string, number> {
  return Object.fromEntries(Object.entries(found).map(([name, rows]) => [name, rows.length]));
}
