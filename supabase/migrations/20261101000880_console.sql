-- What the console's Operations show beyond the tables and views: the first screen, freshness over
-- time, people, one run, one delivery, deliveries by day, and the ticks of the schedule. For the
-- service role only. Each answer is bounded, however large the project is.

-- The first screen --------------------------------------------------------------------------------

create function calendly.next_tick_at(now_at timestamptz) returns timestamptz
language sql stable set search_path = ''
as $$
  select case s.tick
    -- pg_cron's minutes begin with the clock's, its intervals with the last run
    when interval '1 minute' then date_trunc('minute', now_at) + s.tick
    else greatest(p.ticked_at, now_at - s.tick) + s.tick
  end
  from calendly.settings s
  cross join calendly.project p
  where exists (select from cron.job j where j.jobname = 'calendly-nudge' and j.active)
$$;
comment on function calendly.next_tick_at(timestamptz) is
  'When the schedule ticks next; null: its job is missing or switched off.';

create function calendly.count_meetings() returns jsonb
language plpgsql stable set search_path = ''
as $$
declare
  counted_at_most constant integer := 10000;
  counted constant integer := (
    select count(*) from (
      select from public.calendly_meetings m
      where m.calendly_event_uri is not null limit counted_at_most + 1) m);
begin
  return jsonb_build_object(
    'meetings', case when counted <= counted_at_most then counted else greatest(counted, (
      select c.reltuples::bigint from pg_catalog.pg_class c
      where c.oid = 'public.calendly_meetings'::regclass)) end,
    'meetings_are_estimated', counted > counted_at_most);
end
$$;
comment on function calendly.count_meetings() is
  '{meetings, meetings_are_estimated}: counted up to 10,000, above that what Postgres estimates.';

create function calendly.console_counts(now_at timestamptz) returns jsonb
language sql stable set search_path = ''
as $$
  select calendly.count_meetings() || jsonb_build_object(
    'users', (select count(*) from public.calendly_users),
    'users_without_account', (
      select count(*) from public.calendly_users u where u.auth_user_id is null),
    'connections', (
      select count(*) from public.calendly_connections c where c.state <> 'disconnected'),
    'failing_connections', (
      select count(*) from public.calendly_connections c
      where c.state = 'active' and c.failures > 0),
    'active_runs', (select count(*) from public.calendly_sync_runs r where r.status = 'running'),
    'paused_runs', (select count(*) from public.calendly_sync_runs r where r.status = 'paused'),
    'deliveries_24h', (
      select count(*) from (
        select from public.calendly_webhook_events e
        where e.created_at > now_at - interval '1 day' limit 100000) e),
    'deferred_deliveries', (
      select count(*) from public.calendly_webhook_events e where e.status = 'deferred'),
    'dead_deliveries', (
      select count(*) from public.calendly_webhook_events e where e.status = 'dead'))
$$;
comment on function calendly.console_counts(timestamptz) is
  'The numbers of the first screen. No more than 100,000 deliveries are counted.';

create function public.calendly_console_overview() returns jsonb
language sql stable security definer set search_path = '' set jit = off
-- as calendly_health, whose work it does
set statement_timeout = '30s'
as $$
  select jsonb_build_object(
    'now', clock.now_at,
    'status', h.answer -> 'status',
    'alerts', jsonb_build_object(
      'critical', jsonb_array_length(
        jsonb_path_query_array(h.answer, '$.alerts[*] ? (@.severity == "critical")')),
      'warning', jsonb_array_length(
        jsonb_path_query_array(h.answer, '$.alerts[*] ? (@.severity == "warning")'))),
    -- critical ones come first
    'first_alert', h.answer #> '{alerts,0}',
    'freshness', jsonb_build_object(
      'p50_seconds', calendly.to_seconds(h.answer #>> '{freshness,p50}') + clock.ahead,
      'p95_seconds', calendly.to_seconds(h.answer #>> '{freshness,p95}') + clock.ahead,
      'max_seconds', calendly.to_seconds(h.answer #>> '{freshness,max}') + clock.ahead,
      'users', h.answer #> '{freshness,users}',
      'never_synced', h.answer #> '{freshness,never_synced}',
      'due', s.answer -> 'due'),
    'counts', calendly.console_counts(clock.now_at),
    'running_workers', s.answer -> 'running_workers',
    'max_workers', s.answer -> 'max_workers',
    'last_tick_at', s.answer -> 'ticked_at',
    'next_tick_at', calendly.next_tick_at(clock.now_at),
    'backing_off', s.answer -> 'backing_off',
    'versions', jsonb_build_object(
      'database', h.answer -> 'version', 'postgres', current_setting('server_version')))
  from (
    select c.now_at,
      -- calendly_freshness goes by now(), also where a local stack lets time pass
      extract(epoch from c.now_at - now())::double precision as ahead
    from (select calendly.now() as now_at offset 0) c
  ) clock
  cross join (select public.calendly_health() as answer offset 0) h
  cross join (select public.calendly_schedule() as answer offset 0) s
$$;
comment on function public.calendly_console_overview() is
  'The first screen: {now, status, alerts: {critical, warning}, first_alert, freshness: '
  '{p50_seconds, p95_seconds, max_seconds, users, never_synced, due}, counts: {users, '
  'users_without_account, connections, failing_connections (their last sync failed), active_runs, '
  'paused_runs, meetings, meetings_are_estimated, deliveries_24h, deferred_deliveries, '
  'dead_deliveries}, running_workers, max_workers, last_tick_at, next_tick_at, backing_off, '
  'versions: {database, postgres}}.';

-- Freshness over time -----------------------------------------------------------------------------

create function calendly.people_for_history(at_most integer)
returns table (user_id integer, created_at timestamptz, connection_id uuid, subject text)
language sql stable set search_path = ''
as $$
  select u.id, u.created_at, c.id, case c.scope
      when 'organization' then c.calendly_organization_uri else c.calendly_user_uri end
  from public.calendly_users u
  left join public.calendly_connections own on own.user_id = u.id
  join public.calendly_connections c
    on c.id = coalesce(own.id, u.connection_id) and c.state = 'active'
  -- always the same ones, and neither the oldest nor the newest
  order by md5(u.id::text)
  limit at_most
$$;
comment on function calendly.people_for_history(integer) is
  'Connected people, at most so many, each with the connection that brings their meetings and what '
  'a run of it has to list to prove them all.';

create function public.calendly_freshness_history(
  since timestamptz default null, step interval default '15 minutes'
) returns table (
  at timestamptz, users bigint, p50_seconds double precision, p95_seconds double precision,
  max_seconds double precision
)
language plpgsql stable security definer set search_path = '' set jit = off
set enable_seqscan = off set statement_timeout = '30s'
as $$
declare
  points constant integer := 120;
  people constant integer := 500;
  now_at constant timestamptz := calendly.now();
  span constant interval := least(now_at - coalesce(since, now_at - interval '1 day'),
    (select s.run_retention from calendly.settings s));
  -- a longer step where there would be too many points
  taken_step constant interval := greatest(step, span / (points - 1), interval '1 second');
begin
  return query
    with person as materialized (select * from calendly.people_for_history(people)),
    point as (
      select now_at - n * taken_step as at from generate_series(0, points - 1) n
      -- the division was rounded
      where n * taken_step <= span + interval '1 millisecond'
    ),
    -- what each connection had last proven at that time
    proof as (
      select c.connection_id, point.at,
        extract(epoch from point.at - last.started_at)::double precision as staleness
      from (select distinct p.connection_id, p.subject from person p) c
      cross join point
      cross join lateral (
        select r.started_at from public.calendly_sync_runs r
        where r.connection_id = c.connection_id and r.status = 'complete'
          and r.finished_at <= point.at and r.subject = c.subject
        order by r.finished_at desc
        limit 1
      ) last
    )
    select proof.at, count(*), percentile_cont(0.5) within group (order by proof.staleness),
      percentile_cont(0.95) within group (order by proof.staleness), max(proof.staleness)
    from proof
    join person p on p.connection_id = proof.connection_id and p.created_at <= proof.at
    group by proof.at
    order by proof.at;
end
$$;
comment on function public.calendly_freshness_history(timestamptz, interval) is
  'Freshness at times since then (null: a day ago), from the runs that are kept: how old the last '
  'proof of each person was, as in calendly_freshness, for those who are connected now. A time '
  'before anybody was synced is left out. At most 120 times, else at longer steps; of more than '
  '500 people a sample.';

-- People ------------------------------------------------------------------------------------------

create view calendly.people with (security_invoker = true) as
  select
    u.id as user_id, u.name, u.email, u.auth_user_id is not null as has_account,
    u.calendly_initial_sync_complete as initial_sync_complete,
    u.calendly_webhook_enabled as webhook_delivers,
    coalesce(c.state, 'disconnected') as state,
    -- What was proven before a member joined proves nothing for them: as in user_sync_states.
    case when c.user_id = u.id or u.calendly_initial_sync_complete then c.current_as_of end
      as current_as_of,
    k.kind as token_kind, k.expires_at as token_expires_at, c as connection
  from public.calendly_users u
  left join public.calendly_connections own on own.user_id = u.id
  -- as calendly.connection_status: the own connection while it is not ended
  left join public.calendly_connections c on c.id = case
    when own.state <> 'disconnected' then own.id else coalesce(u.connection_id, own.id) end
  left join calendly.credentials k on k.connection_id = c.id;
comment on view calendly.people is
  'One row per person, with the connection that brings their meetings, or theirs that has ended.';

create function public.calendly_console_people(
  search text default null, states text[] default null, with_account boolean default null,
  person integer default null, team integer default null, at_most integer default 100
) returns table (
  user_id integer, name text, email text, has_account boolean, initial_sync_complete boolean,
  webhook_delivers boolean, state text, staleness_seconds double precision, token_kind text,
  token_expires_at timestamptz, connection jsonb, total bigint
)
language plpgsql stable security definer set search_path = '' set jit = off
-- One person is looked up by key: a plan for all arguments would read everybody.
set plan_cache_mode = force_custom_plan set statement_timeout = '30s'
as $$
declare
  shown_at_most constant integer := 1000;
  now_at constant timestamptz := calendly.now();
begin
  return query
    select p.user_id, p.name, p.email, p.has_account, p.initial_sync_complete, p.webhook_delivers,
      p.state, extract(epoch from now_at - p.current_as_of)::double precision, p.token_kind,
      p.token_expires_at, case when (p.connection).id is not null then to_jsonb(p.connection) end,
      count(*) over ()
    from calendly.people p
    where (calendly_console_people.person is null or p.user_id = calendly_console_people.person)
      and (states is null or p.state = any (states))
      and (with_account is null or p.has_account = with_account)
      and (team is null or (p.connection).user_id = team)
      and (search is null
        or position(lower(search) in lower(concat_ws(' ', p.name, p.email))) > 0)
    order by
      case p.state when 'reconnect_required' then 0 when 'active' then 1 else 2 end,
      coalesce((p.connection).failures, 0) > 0 desc, p.current_as_of nulls first, p.user_id
    limit least(at_most, shown_at_most);
end
$$;
comment on function public.calendly_console_people(text, text[], boolean, integer, integer, integer)
  is 'People with their connections, those with problems first, then the stalest; at most 1,000. '
  'search: a part of the name or e-mail; person: one of them; team: those whom this person''s '
  'connection brings. connection is the row of calendly_connections or null; total: how many there '
  'are with these arguments.';

-- One run -----------------------------------------------------------------------------------------

create function calendly.people_of_run(context calendly.run_context) returns integer[]
language sql stable set search_path = ''
as $$
  select coalesce((context.state).user_ids, case
    when calendly.covers_connection(context.run, context.connection)
      then calendly.users_of_connection((context.connection).id)
    else array[(context.run).user_id]
  end)
$$;
comment on function calendly.people_of_run(calendly.run_context) is
  'Whose meetings a run writes. Of one that has ended: whose it would write now.';

create function calendly.timeline(context calendly.run_context) returns jsonb
language plpgsql stable set search_path = ''
as $$
declare
  run constant public.calendly_sync_runs := context.run;
begin
  return jsonb_build_object('kind', 'begin', 'at', calendly.to_calendly(run.started_at),
      'until', calendly.to_calendly(run.started_at))
    || run.steps
    || case
      when run.finished_at is not null then jsonb_build_object(
        'kind', case run.status when 'complete' then 'finish' else 'fail' end,
        'at', calendly.to_calendly(run.finished_at),
        'until', calendly.to_calendly(run.finished_at), 'code', run.error -> 'code')
      when run.status = 'running' then jsonb_build_object(
        'kind', (context.state).phase, 'until', null, 'at', calendly.to_calendly(
          coalesce((context.state).step_began_at, run.heartbeat_at)))
      else '[]'
    end;
end
$$;
comment on function calendly.timeline(calendly.run_context) is
  'A run''s steps from begin to finish or fail, [{kind, at, until, …}]; until is null for the step '
  'that is being worked on.';

create function calendly.listed_people(user_ids integer[], at_most integer) returns jsonb
language sql stable set search_path = ''
as $$
  select jsonb_build_object('count', cardinality(user_ids), 'first', coalesce((
    select jsonb_agg(jsonb_build_object('user_id', u.id, 'name', u.name, 'email', u.email,
      'has_account', u.auth_user_id is not null) order by u.id)
    from public.calendly_users u
    where u.id = any (user_ids[:at_most])), '[]'))
$$;
comment on function calendly.listed_people(integer[], integer) is
  '{count, first: [{user_id, name, email, has_account}]}.';

create function public.calendly_run_details(run_id uuid) returns jsonb
language plpgsql stable security definer set search_path = '' set jit = off
as $$
declare
  listed_at_most constant integer := 100;
  context constant calendly.run_context := calendly.read_run(calendly_run_details.run_id);
  connection constant public.calendly_connections := context.connection;
begin
  if (context.run).id is null then
    perform calendly.raise_error('not_found', 'There is no such run.',
      'Ended runs are kept for 90 days. select id from calendly_sync_runs order by started_at '
      'desc limit 10;');
  end if;
  return jsonb_build_object(
    'run', to_jsonb(context.run) - '{steps,rejections}'::text[],
    'steps', calendly.timeline(context),
    'rejections', (context.run).rejections,
    'people', calendly.listed_people(calendly.people_of_run(context), listed_at_most),
    'connection', jsonb_build_object('id', connection.id, 'user_id', connection.user_id,
      'scope', connection.scope, 'members', connection.members, 'state', connection.state,
      'covered', calendly.covers_connection(context.run, connection)),
    'worker', case when (context.state).lease is not null then jsonb_build_object(
      'slot', (context.state).slot, 'lease_expires_at', (context.state).lease_expires_at,
      'ends_at', (context.state).worker_ends_at,
      'requests_left', (context.state).worker_requests) end);
end
$$;
comment on function public.calendly_run_details(uuid) is
  'One run: {run, steps: see calendly.timeline, rejections: [{uri, problem}], people: {count, '
  'first: [{user_id, name, email, has_account}]}, connection: {id, user_id, scope, members, state, '
  'covered (the run lists all that the connection is for)}, worker: {slot, lease_expires_at, '
  'ends_at, requests_left} | null}. Error: not_found.';

-- Deliveries --------------------------------------------------------------------------------------

create function public.calendly_deliveries_by_day(since timestamptz default null)
returns table (day date, event_type text, status text, count bigint, is_complete boolean)
language plpgsql stable security definer set search_path = '' set jit = off
set enable_seqscan = off set statement_timeout = '30s'
as $$
declare
  counted_at_most constant integer := 100000;
  -- where there are more: when the last of those that are counted came
  counted_from constant timestamptz := (
    select e.created_at from public.calendly_webhook_events e
    where e.created_at >= coalesce(since, calendly.now() - interval '30 days')
    order by e.created_at desc
    offset counted_at_most limit 1);
begin
  return query
    select counted.day, counted.event_type, counted.status, count(*),
      counted.day > (counted_from at time zone 'UTC')::date is not false
    from (
      select (e.created_at at time zone 'UTC')::date as day, e.event_type, e.status
      from public.calendly_webhook_events e
      where e.created_at >= coalesce(counted_from, since, calendly.now() - interval '30 days')
    ) counted
    group by counted.day, counted.event_type, counted.status
    order by counted.day, counted.event_type, counted.status;
end
$$;
comment on function public.calendly_deliveries_by_day(timestamptz) is
  'How many deliveries came on each day (UTC) since then (null: 30 days ago), by type and by what '
  'became of them. The latest 100,000 are counted: is_complete is false for a day of which some '
  'are not.';

create function calendly.next_run_after(user_id integer, moment timestamptz) returns jsonb
language sql stable set search_path = ''
as $$
  select jsonb_build_object('id', r.id, 'status', r.status, 'trigger', r.trigger,
    'started_at', r.started_at, 'finished_at', r.finished_at)
  from public.calendly_users u
  join public.calendly_connections c on c.id = u.connection_id
  cross join lateral (
    select k.* from public.calendly_sync_runs k
    where k.user_id = c.user_id and k.connection_id = c.id and k.started_at >= moment
      and k.status <> 'failed' and calendly.covers_connection(k, c)
    order by k.started_at
    limit 1
  ) r
  where u.id = next_run_after.user_id
$$;
comment on function calendly.next_run_after(integer, timestamptz) is
  'The first run that began after a moment and lists this user''s events, unless it failed.';

create function public.calendly_delivery_details(id uuid) returns jsonb
language plpgsql stable security definer set search_path = '' set jit = off
as $$
declare
  delivery public.calendly_webhook_events;
  delivered_uri text;
begin
  select e.* into delivery from public.calendly_webhook_events e
    where e.id = calendly_delivery_details.id;
  if delivery.id is null then
    perform calendly.raise_error('not_found', 'There is no such webhook event.',
      'select id from calendly_webhook_events order by created_at desc limit 10;');
  end if;
  delivered_uri := calendly.delivered_event_uri(delivery.payload);
  return jsonb_build_object(
    'delivery', to_jsonb(delivery),
    'event_uri', delivered_uri,
    'meetings', (
      select coalesce(jsonb_agg(jsonb_build_object('id', m.id, 'user_id', m.user_id,
        'name', m.name, 'status', m.status, 'is_deleted', m.is_deleted,
        'deleted_reason', m.deleted_reason, 'start_time', m.start_time,
        'synced_via_webhook', m.synced_via_webhook, 'updated_at', m.updated_at)
        order by m.user_id), '[]')
      from public.calendly_meetings m
      where m.calendly_event_uri = delivered_uri),
    'next_run', calendly.next_run_after(delivery.user_id, delivery.created_at));
end
$$;
comment on function public.calendly_delivery_details(uuid) is
  'One delivery: {delivery, event_uri (null where its payload is not kept), meetings: [{id, '
  'user_id, name, status, is_deleted, deleted_reason, start_time, synced_via_webhook, '
  'updated_at}]: of that event, next_run: {id, status, trigger, started_at, finished_at} | null: '
  'the first sync that listed the same user''s events afterwards}. Error: not_found.';

-- The schedule ------------------------------------------------------------------------------------

create function calendly.failed_ticks(since timestamptz) returns table (at timestamptz, error text)
language sql stable set search_path = ''
as $$
  select tick.at, d.return_message
  from (
    -- The log has no index but its key, and an app's jobs are in it too.
    select k.* from cron.job_run_details k order by k.runid desc limit 2000
  ) d
  join cron.job j on j.jobid = d.jobid and j.jobname = 'calendly-nudge'
  -- pg_cron has real time, also where a local stack is ahead of it.
  cross join lateral (
    select d.start_time + coalesce((select c.ahead from calendly.clock c), '0') as at
  ) tick
  where d.status = 'failed' and tick.at >= failed_ticks.since
$$;
comment on function calendly.failed_ticks(timestamptz) is
  'Ticks of which pg_cron says that they failed, among its latest 2,000 entries.';

create function public.calendly_schedule_ticks(since timestamptz default null)
returns table (
  at timestamptz, due integer, nudges integer, answered boolean, running_workers integer,
  runs_started bigint, error text
)
language plpgsql stable security definer set search_path = '' set jit = off
set enable_seqscan = off
as $$
declare
  shown_at_most constant integer := 360;
  now_at constant timestamptz := calendly.now();
  since_then constant timestamptz := coalesce(since, now_at - interval '1 hour');
begin
  return query
    with tick as (
      select t.*, lead(t.ticked_at, 1, 'infinity') over in_order as next_at,
        -- nobody had come by the next tick
        lead(t.unanswered_since, 1, p.unanswered_since) over in_order as unanswered
      from (
        select k.* from calendly.ticks k
        where k.ticked_at between since_then and now_at
        order by k.ticked_at desc limit shown_at_most
      ) t
      cross join calendly.project p
      window in_order as (order by t.ticked_at)
    )
    select t.ticked_at, t.due, t.nudges,
      case when t.nudges > 0 and (t.unanswered is null or isfinite(t.next_at))
        then t.unanswered is null end,
      t.running_workers, started.runs, null::text
    from tick t
    cross join lateral (
      select count(*) as runs
      from (
        select from public.calendly_sync_runs r
        where r.started_at >= t.ticked_at and r.started_at < t.next_at limit 1000
      ) r
    ) started
    union all
    select f.at, null, null, null, null, null, f.error from calendly.failed_ticks(since_then) f
    order by 1;
end
$$;
comment on function public.calendly_schedule_ticks(timestamptz) is
  'The ticks since then (null: an hour ago), at most the latest 360: due (syncs, up to the free '
  'slots), nudges (workers asked to come), answered (somebody came before the next tick; null: '
  'nobody was asked, or has come yet), running_workers, runs_started (until the next tick, by '
  'whatever, up to 1,000), error (of a tick that failed, as pg_cron has it; the rest is null).';

select calendly.revoke_all();
