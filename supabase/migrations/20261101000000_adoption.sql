-- Before anything is made: may this database take us in? An empty project passes at once. Where an
-- earlier app already has `users` or `meetings`, its tables are adopted by the next migrations, and
-- whatever would make that unsafe or impossible is listed here, all of it, before the first change.

do $$
declare
  problems text[];
begin
  with ours (relation, attribute, accepted) as (
    values
      ('users', 'id', '{integer}'::text[]),
      ('users', 'auth_user_id', '{uuid}'),
      ('users', 'auth_user_linked_at', '{timestamp with time zone}'),
      ('users', 'email', '{text,character varying}'),
      ('users', 'last_calendly_sync', '{timestamp with time zone}'),
      ('users', 'calendly_initial_sync_complete', '{boolean}'),
      ('users', 'calendly_webhook_enabled', '{boolean}'),
      ('meetings', 'id', '{integer,bigint,uuid}'),
      ('meetings', 'user_id', '{integer}'),
      ('meetings', 'calendly_event_uri', '{text}'),
      ('meetings', 'name', '{text}'),
      ('meetings', 'status', '{text}'),
      ('meetings', 'start_time', '{timestamp with time zone}'),
      ('meetings', 'end_time', '{timestamp with time zone}'),
      ('meetings', 'event_type_uri', '{text}'),
      ('meetings', 'location_type', '{text}'),
      ('meetings', 'join_url', '{text}'),
      ('meetings', 'cancellation', '{jsonb}'),
      ('meetings', 'rescheduled_from', '{text}'),
      ('meetings', 'rescheduled_to', '{text}'),
      ('meetings', 'is_deleted', '{boolean}'),
      ('meetings', 'deleted_at', '{timestamp with time zone}'),
      ('meetings', 'deleted_reason', '{text}'),
      ('meetings', 'synced_via_webhook', '{boolean}'),
      ('meetings', 'calendly_created_at', '{timestamp with time zone}'),
      ('meetings', 'calendly_updated_at', '{timestamp with time zone}'),
      ('meetings', 'created_at', '{timestamp with time zone}'),
      ('meetings', 'updated_at', '{timestamp with time zone}'),
      ('meetings', 'raw', '{jsonb}')
  ),
  adopted as (
    select c.oid, c.relname::text as relation, c.relkind, c.relowner,
      case c.relname when 'users' then 'a new account' else 'what Calendly sends' end as incoming
    from pg_catalog.pg_class c
    where c.relnamespace = 'public'::regnamespace and c.relname in ('users', 'meetings')
  ),
  present as (
    select a.oid, a.relation, t.attname::text as attribute, t.attnum, t.attidentity, t.attgenerated,
      t.attnotnull or y.typnotnull as required,  -- by a domain as well
      coalesce(pg_catalog.pg_get_expr(d.adbin, d.adrelid), y.typdefault) as default_value,
      pg_catalog.format_type(t.atttypid, null) as data_type,
      pg_catalog.format_type(t.atttypid, t.atttypmod) as declared_type,
      -- Rounded, a clock would never equal Calendly's; and no e-mail of an account is longer than 255.
      t.atttypmod >= 0 and t.atttypmod < case t.atttypid when 'timestamptz'::regtype then 6 when 'varchar'::regtype then 4 + 255 end as is_narrow
    from adopted a
    join pg_catalog.pg_attribute t on t.attrelid = a.oid and t.attnum > 0 and not t.attisdropped
    join pg_catalog.pg_type y on y.oid = t.atttypid
    left join pg_catalog.pg_attrdef d on d.adrelid = a.oid and d.adnum = t.attnum
  )
  select array_agg(problem order by problem) into problems
  from (
    select format('public.%s is not a plain table', a.relation) as problem
    from adopted a
    where a.relkind <> 'r' or exists (select from pg_catalog.pg_inherits i where a.oid in (i.inhrelid, i.inhparent))
    union all
    select format('public.%1$s belongs to %2$s: alter table public.%1$s owner to %3$s', a.relation, a.relowner::regrole, current_user)
    from adopted a where not pg_catalog.pg_has_role(a.relowner, 'USAGE')
    union all
    select format('public.%s has a rule (%s) that may change what we write: drop it', a.relation, r.rulename)
    from adopted a join pg_catalog.pg_rewrite r on r.ev_class = a.oid
    where a.relkind = 'r'
    union all
    select format('public.%s already exists and is not ours', c.relname)
    from pg_catalog.pg_class c
    where c.relnamespace = 'public'::regnamespace
      and c.relname in ('meeting_invitees', 'calendly_connections', 'calendly_webhook_events', 'calendly_sync_runs',
                        'calendly_sync_health', 'calendly_freshness', 'calendly_alerts')
    union all
    select format('function public.%s already exists and is not ours', f.proname)
    from pg_catalog.pg_proc f
    where f.pronamespace = 'public'::regnamespace
      and (f.proname like 'calendly\_%' or f.proname = 'clean_old_webhook_events')
    union all
    select 'schema calendly already exists and is not ours'
    from pg_catalog.pg_namespace n where n.nspname = 'calendly'
    union all
    select format('%s.%s is %s where %s is needed', p.relation, p.attribute, p.declared_type, array_to_string(o.accepted, ' or '))
    from present p
    join ours o using (relation, attribute)
    where p.data_type <> all (o.accepted) or p.is_narrow
    union all
    select format('%s.%s is generated, but written by us: make it a plain column', p.relation, p.attribute)
    from present p
    join ours o using (relation, attribute)
    where p.attgenerated <> '' or (p.attidentity <> '' and p.attribute <> 'id')
    union all
    select format('%s has no column %s', a.relation, required.attribute)
    from adopted a
    join (values ('users', 'id'), ('meetings', 'id'), ('meetings', 'user_id')) as required (relation, attribute) using (relation)
    where not exists (select from present p where p.relation = a.relation and p.attribute = required.attribute)
    union all
    select format('%s.id is not the primary key', a.relation)
    from adopted a
    where exists (select from present p where p.relation = a.relation and p.attribute = 'id')
      and not exists (
        select from pg_catalog.pg_constraint k
        join pg_catalog.pg_attribute t on t.attrelid = k.conrelid and t.attnum = k.conkey[1]
        where k.conrelid = a.oid and k.contype = 'p' and cardinality(k.conkey) = 1 and t.attname = 'id'
      )
    union all
    select format('%s.%s is required and has no default: a meeting or user that we insert would be refused', p.relation, p.attribute)
    from present p
    left join ours o using (relation, attribute)
    where p.required and p.default_value is null and p.attidentity = '' and (o.attribute is null or p.attribute = 'id')
    union all
    select format('users.%s is required, but is null where a row has no account: drop not null', p.attribute)
    from present p
    where p.required and p.relation = 'users' and p.attribute in ('auth_user_id', 'auth_user_linked_at')
    union all
    select format('%s.%s has a %s (%s) that may refuse %s: drop it', a.relation, p.attribute,
      case k.contype when 'c' then 'check constraint' else 'foreign key' end, k.conname, a.incoming)
    from adopted a
    join pg_catalog.pg_constraint k on k.conrelid = a.oid and k.contype in ('c', 'f')
    join present p on p.oid = a.oid and p.attnum = any (k.conkey)
    join ours o on o.relation = a.relation and o.attribute = p.attribute
    left join pg_catalog.pg_attribute r on r.attrelid = k.confrelid and r.attnum = any (k.confkey)
    where ((p.attribute, k.confrelid, r.attname) in (
        ('user_id', to_regclass('public.users'), 'id'), ('auth_user_id', 'auth.users'::regclass, 'id'))) is not true
    union all
    -- such as one on the event alone, which two hosts of ours may share
    select format('%s has %s (%s) that may refuse %s: drop it', a.relation,
      case when x.indisexclusion then 'an exclusion constraint' else 'a unique index' end, x.indexrelid::regclass, a.incoming)
    from adopted a
    join pg_catalog.pg_index x on x.indrelid = a.oid and (x.indisunique or x.indisexclusion)
    cross join lateral (
      select
        coalesce(array_agg(p.attribute) filter (where is_key), '{}') as keys,
        coalesce(array_agg(p.attribute) filter (where o.attribute is not null), '{}') as of_ours,
        -- is the part of the key that is not ours the same in each row that we insert?
        bool_and(case when p.default_value is null then x.indnullsnotdistinct and p.attidentity = '' else p.default_value !~ '\w\(' end)
          filter (where o.attribute is null and is_key) as is_constant
      from present p
      left join ours o using (relation, attribute)
      cross join lateral (select p.attnum = any ((x.indkey::int2[])[0:x.indnkeyatts - 1])) as k (is_key)
      where p.oid = a.oid
        and (is_key or exists (  -- in an expression or the condition
          select from pg_catalog.pg_depend d
          where d.classid = 'pg_catalog.pg_class'::regclass and d.objid = x.indexrelid and d.refobjid = a.oid and d.refobjsubid = p.attnum))
    ) of_index
    where is_constant is not false
      and (x.indisexclusion or not case a.relation
        when 'users' then of_ours && '{id,auth_user_id,email}'  -- see calendly.adopt_account
        else keys @> '{id}' or keys @> '{user_id,calendly_event_uri}'
      end)
    union all
    select distinct format('%s has a deferrable constraint (%s), which Postgres refuses for "on conflict": make it not deferrable', p.relation, k.conname)
    from present p
    join pg_catalog.pg_constraint k on k.conrelid = p.oid and k.contype in ('p', 'u', 'x') and k.condeferrable and p.attnum = any (k.conkey)
    where p.relation = 'users' or p.attribute = 'calendly_event_uri'
    union all
    select format('public.%s is not what we make by that name: rename or drop it', c.relname)
    from pg_catalog.pg_class c
    where c.relnamespace = 'public'::regnamespace and (
      (c.relname = 'users_auth_user_id_idx' and pg_catalog.pg_get_indexdef(c.oid) is distinct from
        'CREATE UNIQUE INDEX users_auth_user_id_idx ON public.users USING btree (auth_user_id)')
      or (c.relname = 'meetings_calendly_event_key' and not exists (
        select from pg_catalog.pg_constraint k
        where k.conindid = c.oid and k.conname = c.relname and k.conrelid = to_regclass('public.meetings') and k.contype = 'u')))
    union all
    -- Permissive policies add up, so one that is too wide cannot be narrowed by ours.
    select format('policy "%s" on %s lets %s %s: drop it, or narrow it to the own row (auth.uid())', p.polname, a.relation,
      case when p.polroles = '{0}' then 'everyone' else array_to_string(array(select r.rolname from pg_catalog.pg_roles r where r.oid = any (p.polroles)), ', ') end,
      case p.polcmd when 'r' then 'read' when '*' then 'read and write' else 'write' end)
    from adopted a
    join pg_catalog.pg_policy p on p.polrelid = a.oid and p.polpermissive
    where (p.polroles = '{0}' or exists (
        select from pg_catalog.pg_roles r where r.oid = any (p.polroles) and r.rolname in ('anon', 'authenticated')))
      and (p.polcmd <> 'r' or not (
        -- compared with the account, as auth.uid() or (select auth.uid()), and nothing beside it
        coalesce(pg_catalog.pg_get_expr(p.polqual, p.polrelid), '') ~ '= [( ]*(SELECT )?\(?auth\.uid\(\)|auth\.uid\(\)\)?(::text)?( AS uid\))? ='
        and pg_catalog.pg_get_expr(p.polqual, p.polrelid) !~ '\mOR\M'))
  ) as found;

  if problems is not null then
    raise exception using
      errcode = 'object_not_in_prerequisite_state',
      message = format('This database cannot be adopted yet. Nothing has been changed. %s to mend first:', cardinality(problems))
        || E'\n  - ' || array_to_string(problems, E'\n  - '),
      hint = 'Mend each line (or move the table to another schema) and apply the migrations again.';
  end if;
end
$$;

-- Only now is it safe to look at rows, because the columns are known to have the right types.
do $$
declare
  problems text[] := '{}';
  found text;
begin
  if (select count(*) = 2 from pg_catalog.pg_attribute
      where attrelid = to_regclass('public.meetings') and attname in ('user_id', 'calendly_event_uri') and not attisdropped) then
    for found in execute $rows$
      select format('meetings has %s rows for user %s and event %s', count(*), user_id, calendly_event_uri)
      from public.meetings where calendly_event_uri is not null and user_id is not null
      group by user_id, calendly_event_uri having count(*) > 1 order by user_id, calendly_event_uri limit 20
    $rows$ loop
      problems := problems || found;
    end loop;
  end if;
  if to_regclass('public.meetings') is not null and to_regclass('public.users') is not null then
    for found in execute $rows$
      select format('meetings has %s rows for user %s, who is not in users', count(*), m.user_id)
      from public.meetings m
      where m.user_id is not null and not exists (select from public.users u where u.id = m.user_id)
      group by m.user_id order by m.user_id limit 20
    $rows$ loop
      problems := problems || found;
    end loop;
  end if;
  if exists (select from pg_catalog.pg_attribute
      where attrelid = to_regclass('public.users') and attname = 'auth_user_id' and not attisdropped) then
    for found in execute $rows$
      select format('users has %s rows with auth_user_id %s', count(*), auth_user_id)
      from public.users where auth_user_id is not null group by auth_user_id having count(*) > 1 order by 1 limit 20
    $rows$ loop
      problems := problems || found;
    end loop;
    for found in execute $rows$
      select format('users.auth_user_id %s is not in auth.users', u.auth_user_id)
      from public.users u where u.auth_user_id is not null
        and not exists (select from auth.users a where a.id = u.auth_user_id) order by 1 limit 20
    $rows$ loop
      problems := problems || found;
    end loop;
  end if;

  if problems <> '{}' then
    raise exception using
      errcode = 'object_not_in_prerequisite_state',
      message = 'This database cannot be adopted yet. Nothing has been changed. Rows to mend first:'
        || E'\n  - ' || array_to_string(problems, E'\n  - '),
      hint = 'Merge or remove these rows and apply the migrations again.';
  end if;
end
$$;
