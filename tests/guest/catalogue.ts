/** What a database is and what it holds, to compare before with after, and one way here with another. */

/** What answers a query: a database, or a transaction of one. */
export interface Queryable {
  query<T = Record<string, unknown>>(sql: string, parameters?: unknown[]): Promise<T[]>;
}

/**
 * Every object that is not Postgres's own, in any schema, with its owner, rights, comment and
 * definition, in words that say nothing of when it was made.
 */
const OBJECTS = `
  with own_schema as (
    select n.oid, n.nspname from pg_namespace n
    where n.nspname <> 'information_schema' and n.nspname !~ '^pg_'
  ), relation as (
    select c.*, format('%I.%I', n.nspname, c.relname) as name
    from pg_class c join own_schema n on n.oid = c.relnamespace
  ), function as (
    select f.*,
      format('%I.%I(%s)', n.nspname, f.proname, pg_get_function_identity_arguments(f.oid)) as name
    from pg_proc f join own_schema n on n.oid = f.pronamespace
  )
  select kind || ' ' || name || ': ' || concat_ws(' | ', variadic definition) as object from (
    select 'schema' as kind, n.nspname::text as name, array[pg_get_userbyid(n.nspowner)::text,
        n.nspacl::text, obj_description(n.oid, 'pg_namespace')] as definition
      from pg_namespace n join own_schema using (oid)
    union all
    select 'relation', c.name, array[c.relkind::text, pg_get_userbyid(c.relowner)::text, c.relacl::text,
        c.relrowsecurity::text, c.relforcerowsecurity::text, c.relreplident::text,
        c.reloptions::text, obj_description(c.oid, 'pg_class'),
        case when c.relkind in ('v', 'm') then pg_get_viewdef(c.oid) end]
      from relation c where c.relkind not in ('i', 'I', 'c')
    union all
    select 'column', c.name || '.' || a.attname, array[format_type(a.atttypid, a.atttypmod),
        a.attnotnull::text, a.attidentity::text, a.attgenerated::text, a.attacl::text,
        pg_get_expr(d.adbin, d.adrelid), col_description(c.oid, a.attnum)]
      from relation c
      join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
      left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
      where c.relkind not in ('i', 'I')
    union all
    select 'constraint', c.name || '.' || k.conname,
        array[pg_get_constraintdef(k.oid), obj_description(k.oid, 'pg_constraint')]
      from relation c join pg_constraint k on k.conrelid = c.oid
    union all
    select 'index', c.name, array[pg_get_indexdef(c.oid), obj_description(c.oid, 'pg_class')]
      from relation c where c.relkind in ('i', 'I')
    union all
    -- those of keys too: a key that refers to a table hangs a trigger on it
    select 'trigger', c.name || '.' || case when t.tgisinternal
          then k.conname || ' ' || t.tgfoid::regproc else t.tgname end,
        array[case when not t.tgisinternal then pg_get_triggerdef(t.oid) end, t.tgenabled::text,
          obj_description(t.oid, 'pg_trigger')]
      from relation c join pg_trigger t on t.tgrelid = c.oid
      left join pg_constraint k on k.oid = t.tgconstraint
    union all
    select 'rule', c.name || '.' || r.rulename, array[pg_get_ruledef(r.oid)]
      from relation c join pg_rewrite r on r.ev_class = c.oid where r.rulename <> '_RETURN'
    union all
    select 'policy', p.schemaname || '.' || p.tablename || '.' || p.policyname,
        array[p.permissive, p.roles::text, p.cmd, p.qual, p.with_check]
      from pg_policies p
    union all
    select 'function', f.name, array[pg_get_userbyid(f.proowner)::text, f.proacl::text,
        case when f.prokind in ('f', 'p') then pg_get_functiondef(f.oid) else f.prokind::text end,
        obj_description(f.oid, 'pg_proc')]
      from function f
    union all
    select 'type', format('%I.%I', n.nspname, t.typname), array[t.typtype::text, t.typacl::text,
        pg_get_userbyid(t.typowner)::text, format_type(t.typbasetype, t.typtypmod),
        (select string_agg(e.enumlabel, ', ' order by e.enumsortorder) from pg_enum e
          where e.enumtypid = t.oid),
        obj_description(t.oid, 'pg_type')]
      from pg_type t join own_schema n on n.oid = t.typnamespace
      left join pg_class c on c.oid = t.typrelid
      where t.typcategory <> 'A' and coalesce(c.relkind, 'c') = 'c'
    union all
    select 'extension', e.extname, array[e.extversion, e.extnamespace::regnamespace::text]
      from pg_extension e
    union all
    select 'default rights', pg_get_userbyid(d.defaclrole)::text || ' ' || d.defaclobjtype::text || ' '
        || coalesce(n.nspname, ''), array[d.defaclacl::text]
      from pg_default_acl d left join pg_namespace n on n.oid = d.defaclnamespace
    union all
    select 'event trigger', e.evtname,
        array[e.evtevent, e.evtfoid::regproc::text, e.evtenabled::text, e.evttags::text]
      from pg_event_trigger e
    union all
    select 'publication', p.pubname, array[p.puballtables::text,
        (select string_agg(t.schemaname || '.' || t.tablename, ', '
            order by t.schemaname, t.tablename)
          from pg_publication_tables t where t.pubname = p.pubname)]
      from pg_publication p
    union all
    select 'settings of the database', coalesce(s.setrole::regrole::text, ''),
        array[s.setconfig::text]
      from pg_db_role_setting s
      where s.setdatabase = (select d.oid from pg_database d where d.datname = current_database())
    union all
    select 'job', j.jobname, array[j.schedule, j.command] from cron.job j
  ) found (kind, name, definition)
  order by 1`;

/** Every object of the database as one line of text. */
export async function catalogue(database: Queryable): Promise<string[]> {
  return (await database.query<{ object: string }>(OBJECTS)).map(({ object }) => object);
}

/** The lines of one catalogue that the other does not have. */
export function lacking(catalogue: string[], other: string[]): string[] {
  const others = new Set(other);
  return catalogue.filter((line) => !others.has(line));
}

/** Every row of every table in public and calendly, and every account, by table; as text, for comparison. */
export async function contents(database: Queryable): Promise<Record<string, string[]>> {
  const tables = await database.query<{ name: string }>(`
    select c.oid::regclass::text as name
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where c.relkind in ('r', 'p')
      and (n.nspname in ('public', 'calendly') or (n.nspname, c.relname) = ('auth', 'users'))
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
