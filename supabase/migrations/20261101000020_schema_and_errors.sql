-- The private schema, and two things that every later file uses: how an error reaches its caller,
-- and how a new object stays closed until the last migration has decided who may use it.

comment on schema calendly is
  'Calendly sync: everything that is not for apps. The Data API does not expose it, and no role '
  'but the owner may use it.';

create function calendly.raise_error(code text, message text, hint text default null) returns void
language plpgsql set search_path = ''
as $$
begin
  raise exception using
    errcode = 'P0001', message = raise_error.message, detail = raise_error.code,
    hint = coalesce(raise_error.hint, '');
end
$$;
comment on function calendly.raise_error(text, text, text) is
  'Raises an error for a caller to act on: the code travels as the error''s detail, so that the '
  'Data API hands on all three.';

alter table calendly.public_names enable row level security;
comment on table calendly.public_names is
  'The tables, views and functions that this product has in public. What else an app has there, by '
  'whatever name, is the app''s.';

create view calendly.own_objects with (security_invoker = true) as
  select 'relation' as kind, format('%I.%I', n.nspname, c.relname) as name,
    case c.relkind when 'S' then 'sequence' else 'table' end as grant_kind
  from pg_catalog.pg_class c
  join pg_catalog.pg_namespace n on n.oid = c.relnamespace
  -- an identity column's sequence goes with its table, by whatever name
  left join pg_catalog.pg_depend d on c.relkind = 'S' and d.deptype = 'i' and d.objid = c.oid
    and d.classid = 'pg_class'::regclass and d.refclassid = 'pg_class'::regclass
  left join pg_catalog.pg_class identified on identified.oid = d.refobjid
  where c.relkind in ('r', 'v', 'S') and (n.nspname = 'calendly'
    or (n.nspname = 'public' and exists (
      select from calendly.public_names own
      where own.kind = 'table or view' and own.name = coalesce(identified.relname, c.relname)))
    -- the views of 995_original_names
    or (n.nspname = 'public' and c.relkind = 'v' and c.relname in ('users', 'meetings')
      and pg_catalog.obj_description(c.oid, 'pg_class')
        like 'calendly\_%, by the name of the original system.'))
  union all
  select 'function', p.oid::regprocedure::text, 'function'
  from pg_catalog.pg_proc p
  join pg_catalog.pg_namespace n on n.oid = p.pronamespace
  where n.nspname = 'calendly'
    or (n.nspname = 'public' and p.proname in (
      select own.name from calendly.public_names own where own.kind = 'function'));
comment on view calendly.own_objects is
  'Every table, view, sequence and function of this product, with the word that grant and revoke '
  'use.';

create function calendly.revoke_all() returns void
language plpgsql set search_path = ''
as $$
declare
  own record;
begin
  -- A project made before 2026 grants new objects of public to the API roles by default, a newer
  -- one does not. After this call both are the same.
  for own in select o.grant_kind, o.name from calendly.own_objects o loop
    execute format('revoke all on %s %s from public, anon, authenticated, service_role',
      own.grant_kind, own.name);
  end loop;
end
$$;
comment on function calendly.revoke_all() is
  'Takes every right on our objects from the API roles and from public. Each migration that '
  'creates something in public ends with it; the last migration grants what is meant to be '
  'granted.';

revoke all on schema calendly from public, anon, authenticated, service_role;
