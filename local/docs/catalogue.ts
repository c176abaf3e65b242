/**
 * What the catalogue of a migrated database says of itself, for the pages of docs/reference and
 * docs/operate.md: names, types, rights, and the comments that the migrations make.
 */
import { openEmbedded } from "../database.ts";
import { preparedImage } from "../image.ts";

export interface Column {
  name: string;
  type: string;
  /** null where there is none; a test finds a missing one. */
  comment: string | null;
}

export interface Relation {
  name: string;
  kind: "table" | "view";
  comment: string | null;
  columns: Column[];
  /** Primary key and unique constraints, as lists of columns; the primary key first. */
  keys: string[][];
  /** Foreign keys, as Postgres writes them. */
  references: string[];
  readers: ("authenticated" | "service_role")[];
  /** Columns that a role of the API may update. */
  writable: string[];
}

export interface Routine {
  /** With its schema, unless that is public. */
  name: string;
  arguments: string;
  result: string;
  comment: string | null;
  body: string;
  callers: ("anon" | "authenticated" | "service_role")[];
}

export interface Setting extends Column {
  default: string | null;
  isNullable: boolean;
  /** The range, as Postgres writes the constraint, or in words where it has a comment. */
  check: string | null;
  checkComment: string | null;
}

export interface Alert {
  code: string;
  severity: "critical" | "warning";
  meaning: string;
  what_to_do: string;
}

export interface Job {
  name: string;
  schedule: string;
  command: string;
}

export interface Catalogue {
  relations: Relation[];
  privateTables: { name: string; comment: string | null }[];
  routines: Routine[];
  settings: Setting[];
  alerts: Alert[];
  jobs: Job[];
}

const RELATIONS = `
  select c.relname as name, case c.relkind when 'v' then 'view' else 'table' end as kind,
    obj_description(c.oid, 'pg_class') as comment,
    (select jsonb_agg(jsonb_build_object('name', a.attname,
        'type', format_type(a.atttypid, a.atttypmod),
        'comment', col_description(c.oid, a.attnum)) order by a.attnum)
      from pg_attribute a where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped) as columns,
    (select coalesce(jsonb_agg((
        select jsonb_agg(a.attname order by k.place)
        from unnest(x.conkey) with ordinality k (attnum, place)
        join pg_attribute a on a.attrelid = c.oid and a.attnum = k.attnum)
        order by x.contype, x.conname), '[]')
      from pg_constraint x where x.conrelid = c.oid and x.contype in ('p', 'u')) as keys,
    (select coalesce(jsonb_agg(pg_get_constraintdef(x.oid) order by x.conname), '[]')
      from pg_constraint x where x.conrelid = c.oid and x.contype = 'f') as references,
    (select coalesce(jsonb_agg(r.name), '[]')
      from unnest('{authenticated,service_role}'::text[]) r (name)
      where has_table_privilege(r.name, c.oid, 'select')) as readers,
    (select coalesce(jsonb_agg(a.attname order by a.attnum), '[]')
      from pg_attribute a
      where a.attrelid = c.oid and a.attacl is not null
        and has_column_privilege('service_role', c.oid, a.attnum, 'update')) as writable
  from pg_class c
  where c.relnamespace = 'public'::regnamespace and c.relname like 'calendly%'
    and c.relkind in ('r', 'v')
  order by c.relkind, c.relname`;

const PRIVATE_TABLES = `
  select c.relname as name, obj_description(c.oid, 'pg_class') as comment
  from pg_class c
  where c.relnamespace = 'calendly'::regnamespace and c.relkind = 'r'
  order by c.relname`;

const ROUTINES = `
  select case n.nspname when 'public' then '' else n.nspname || '.' end || p.proname as name,
    pg_get_function_arguments(p.oid) as arguments, pg_get_function_result(p.oid) as result,
    obj_description(p.oid, 'pg_proc') as comment, coalesce(p.prosrc, '') as body,
    (select coalesce(jsonb_agg(r.name), '[]')
      from unnest('{anon,authenticated,service_role}'::text[]) r (name)
      where has_function_privilege(r.name, p.oid, 'execute')) as callers
  from pg_proc p
  join pg_namespace n on n.oid = p.pronamespace
  where n.nspname = 'calendly'
    or (n.nspname = 'public' and p.proname ~ '^(calendly_|clean_old_webhook_events)')
  order by n.nspname desc, p.proname`;

const SETTINGS = `
  select a.attname as name, format_type(a.atttypid, a.atttypmod) as type,
    col_description(a.attrelid, a.attnum) as comment, not a.attnotnull as "isNullable",
    to_jsonb(s) ->> a.attname as default, x.definition as check, x.comment as "checkComment"
  from pg_attribute a
  cross join calendly.settings s
  left join lateral (
    select pg_get_constraintdef(c.oid) as definition,
      obj_description(c.oid, 'pg_constraint') as comment
    from pg_constraint c
    where c.conrelid = a.attrelid and c.contype = 'c' and c.conkey = array[a.attnum]
  ) x on true
  where a.attrelid = 'calendly.settings'::regclass and a.attnum > 0 and not a.attisdropped
    and a.attname <> 'only_row'
  order by a.attnum`;

const ALERTS = `
  select k.code, k.severity, k.what_to_do,
    obj_description(to_regclass('calendly.alert_' || k.code), 'pg_class') as meaning
  from calendly.alert_kinds k`;

export async function readCatalogue(): Promise<Catalogue> {
  const database = await openEmbedded({ image: await preparedImage({ seed: false }) });
  try {
    return {
      relations: await database.query<Relation>(RELATIONS),
      privateTables: await database.query(PRIVATE_TABLES),
      routines: await database.query<Routine>(ROUTINES),
      settings: await database.query<Setting>(SETTINGS),
      alerts: await database.query<Alert>(ALERTS),
      jobs: await database.query<Job>("select name, schedule, command from calendly.own_jobs"),
    };
  } finally {
    await database.close();
  }
}
