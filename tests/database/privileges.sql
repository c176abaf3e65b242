-- Who may do what: every right of the API's roles on anything of ours, compared with this list. An object
-- that grants something and is not in it is an object that nobody has decided about.
begin;
select plan(15);

create temporary table role as select * from unnest('{anon,authenticated,service_role}'::text[]) name;
-- what there is, but for what belongs to an extension
create temporary table object as
  select c.oid, n.nspname || '.' || c.relname as name, c.relkind::text as kind
  from pg_class c join pg_namespace n on n.oid = c.relnamespace
  where n.nspname in ('public', 'calendly') and c.relkind in ('r', 'p', 'v', 'm', 'f', 'S')
    and not exists (select from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e')
  union all
  select f.oid, n.nspname || '.' || f.proname, 'function'
  from pg_proc f join pg_namespace n on n.oid = f.pronamespace
  where n.nspname in ('public', 'calendly') and not exists (select from pg_depend d where d.classid = 'pg_proc'::regclass and d.objid = f.oid and d.deptype = 'e');
create temporary table actual as
  select o.name as object, r.name as role, string_agg(lower(p.name), ' ' order by p.place) as rights
  from object o cross join role r
  cross join unnest('{SELECT,INSERT,UPDATE,DELETE,TRUNCATE,REFERENCES,TRIGGER,USAGE,EXECUTE}'::text[]) with ordinality p (name, place)
  where case
    when o.kind = 'function' then p.name = 'EXECUTE' and has_function_privilege(r.name, o.oid, 'EXECUTE')
    when p.name = 'EXECUTE' then false
    when o.kind = 'S' then p.name in ('SELECT', 'UPDATE', 'USAGE') and has_sequence_privilege(r.name, o.oid, p.name)
    when p.name = 'USAGE' then false
    else has_table_privilege(r.name, o.oid, p.name)
  end
  group by o.name, r.name;

select bag_eq('select object, role, rights from actual', $$
  select 'public.' || object, role, rights from (values
    -- what people read: under row level security
    ('calendly_users', 'authenticated', 'select'),
    ('calendly_meetings', 'authenticated', 'select'),
    ('calendly_invitees', 'authenticated', 'select'),
    ('calendly_connections', 'authenticated', 'select'),
    ('calendly_sync_runs', 'authenticated', 'select'),
    ('calendly_webhook_events', 'authenticated', 'select'),
    ('calendly_sync_health', 'authenticated', 'select'),
    -- what a server of the team's reads
    ('calendly_users', 'service_role', 'select'),
    ('calendly_meetings', 'service_role', 'select'),
    ('calendly_invitees', 'service_role', 'select'),
    ('calendly_connections', 'service_role', 'select'),
    ('calendly_sync_runs', 'service_role', 'select'),
    ('calendly_webhook_events', 'service_role', 'select'),
    ('calendly_sync_health', 'service_role', 'select'),
    ('calendly_freshness', 'service_role', 'select'),
    ('calendly_alerts', 'service_role', 'select'),
    -- the original names
    ('users', 'authenticated', 'select'), ('users', 'service_role', 'select'),
    ('meetings', 'authenticated', 'select'), ('meetings', 'service_role', 'select')
  ) readable (object, role, rights)
  union all
  -- behind the view calendly_alerts
  select 'calendly.alerts', 'service_role', 'execute'
  union all
  -- behind the view calendly_sync_health
  select 'calendly.membership', name, 'execute' from unnest('{authenticated,service_role}'::text[]) name
  union all
  select 'calendly.' || object, name, 'select' from unnest('{
    user_sync_states, readable_meeting_counts, readable_webhook_event_counts}'::text[]) object, unnest('{authenticated,service_role}'::text[]) name
  union all
  -- in the policies
  select 'calendly.readable_user_ids', name, 'execute' from unnest('{authenticated,service_role}'::text[]) name
  union all
  -- what the functions call, and operators
  select 'public.' || object, 'service_role', 'execute' from unnest('{
    calendly_abandon_subscription, calendly_apply_step, calendly_begin_refresh, calendly_begin_subscription, calendly_begin_sync,
    calendly_claim_revocation, calendly_claim_sync, calendly_clear_own_table_failure, calendly_configure, calendly_confirm_project, calendly_connect,
    calendly_connection_status, calendly_console_overview, calendly_console_people, calendly_deliveries_by_day, calendly_delivery_details, calendly_disable_webhooks, calendly_disconnect, calendly_finish_revocation, calendly_fail_refresh, calendly_fail_review,
    calendly_fail_sync, calendly_finish_refresh, calendly_finish_sync, calendly_erase_invitee, calendly_freshness_history, calendly_health, calendly_keep_subscription,
    calendly_list_credentials, calendly_metrics, calendly_prepare_connection, calendly_receive_webhook, calendly_record_own_table_failure, calendly_reencrypt,
    calendly_replay_dead, calendly_replay_webhook_event, calendly_review_subscriptions, calendly_run_details, calendly_schedule, calendly_schedule_ticks, calendly_start_oauth, calendly_subscription_query,
    calendly_take_oauth_state, clean_old_webhook_events}'::text[]) object$$,
  'every right that is granted has been decided on, and no other');

select bag_eq($$select a.attrelid::regclass::text, a.attname::text, r.name
  from pg_attribute a join object o on o.oid = a.attrelid cross join role r
  where a.attacl is not null and has_column_privilege(r.name, a.attrelid, a.attnum, 'update')$$,
  $$values ('calendly_users', 'calendly_initial_sync_complete', 'service_role'), ('users', 'calendly_initial_sync_complete', 'service_role')$$,
  'the only column that anybody may write is the flag that asks for a FULL sync');
select is_empty($$select r.name, n.nspname from role r, pg_namespace n where n.nspname = 'calendly' and has_schema_privilege(r.name, n.oid, 'usage, create')$$, 'no role of the API may use the private schema');
select is_empty($$select r.name from role r where has_schema_privilege(r.name, 'public', 'create')$$, 'or make anything in the public one');

-- row level security
select is_empty($$select o.name from object o join pg_class c on c.oid = o.oid where c.relkind in ('r', 'p') and not c.relrowsecurity$$, 'every table has row level security');
select set_eq($$select p.tablename || ' (' || lower(p.cmd) || ', ' || array_to_string(p.roles, ', ') || ', ' || lower(p.permissive) || ')' from pg_policies p where p.schemaname in ('public', 'calendly')$$,
  array(select unnest('{calendly_users,calendly_meetings,calendly_invitees,calendly_connections,calendly_sync_runs,calendly_webhook_events}'::text[]) || ' (select, authenticated, permissive)'),
  'each table that people read has one policy, for reading');
select is_empty($$select p.tablename from pg_policies p where p.schemaname in ('public', 'calendly') and p.qual !~ 'calendly\.readable_user_ids\(\)'$$, 'and each policy asks whose rows the account reads');
select is_empty($$select o.name from object o join pg_class c on c.oid = o.oid where c.relkind = 'v' and not coalesce(c.reloptions @> '{security_invoker=true}', false)$$, 'every view runs with the rights of its reader');

-- how functions run
select is_empty($$select o.name from object o join pg_proc f on f.oid = o.oid where not coalesce(f.proconfig @> '{"search_path=\"\""}', false)$$, 'every function has an empty search_path: nobody can put a table in its way');
select is_empty($$select o.name from object o join pg_proc f on f.oid = o.oid join pg_roles r on r.oid = f.proowner where f.prosecdef and r.rolname in (select name from role)$$, 'none runs as a role of the API');
select is_empty($$select o.name from object o join pg_proc f on f.oid = o.oid
  where o.kind = 'function' and o.name like 'public.%' and not f.prosecdef$$, 'what the API may call runs with the owner''s rights, which alone reach the private schema');

-- said in words
select is_empty($$select o.name from object o where o.kind in ('r', 'p', 'v', 'm') and obj_description(o.oid, 'pg_class') is null$$, 'every table and view says what it is for');
select is_empty($$select o.name from object o where o.kind = 'function' and obj_description(o.oid, 'pg_proc') is null$$, 'and every function');
select is_empty($$select o.name || '.' || a.attname from object o join pg_attribute a on a.attrelid = o.oid and a.attnum > 0 and not a.attisdropped
  where o.kind in ('r', 'v') and (o.name like 'public.calendly%' or o.name = 'calendly.settings') and col_description(o.oid, a.attnum) is null$$, 'every column that people read, and every setting, says what it is');

-- an app's own objects whose names begin like ours
create table public.calendly_users_extra (id serial primary key);
grant all on public.calendly_users_extra to anon;
grant all on sequence public.calendly_users_extra_id_seq to anon;
select calendly.revoke_all();
select ok(has_table_privilege('anon', 'public.calendly_users_extra', 'select')
    and has_sequence_privilege('anon', 'public.calendly_users_extra_id_seq', 'usage'),
  'a migration of ours takes no right on an app''s table or on its sequence');

select * from finish();
rollback;
