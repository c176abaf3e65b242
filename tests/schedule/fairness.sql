-- A day at the office of the schedule, in seconds: ticks, instances and syncs on the stopped clock, event
-- by event. Calendly's part is a kind of connection: how long its syncs take, and how they end.

create schema tests;

create table tests.kind (
  name text primary key,
  seconds_min numeric not null,
  seconds_max numeric not null,
  ends text not null check (ends in ('complete', 'fail', 'die'))
);
insert into tests.kind values
  ('healthy', 0.5, 2, 'complete'),
  ('slow', 20, 50, 'complete'),
  ('failing', 0.5, 2, 'fail'),
  -- its instance is never heard of again
  ('deadly', 0.5, 2, 'die');

create table tests.person (
  user_id integer primary key,
  kind text not null references tests.kind,
  synced_at timestamptz,
  syncs integer not null default 0,
  longest_gap interval not null default '0'
);

create unlogged table tests.instance (
  id integer generated always as identity primary key,
  began_at timestamptz not null,
  next_at timestamptz not null,
  claim jsonb,
  kind text
);

-- how many worked at each claim
create unlogged table tests.open_places (open bigint not null);

-- p1 to pN, all due at once
create procedure tests.populate(people integer, slow numeric, failing numeric, deadly numeric, at timestamptz) language plpgsql as $$
begin
  perform calendly.set_clock(at);
  insert into auth.users (id, email, email_confirmed_at)
    select gen_random_uuid(), 'p' || n || '@example.com', at from generate_series(1, people) n;
  update public.calendly_users set calendly_initial_sync_complete = true;
  insert into tests.person (user_id, kind, synced_at)
    select u.id, case
        when place < people * deadly then 'deadly'
        when place < people * (deadly + failing) then 'failing'
        when place < people * (deadly + failing + slow) then 'slow'
        else 'healthy'
      end, at
    from (select id, row_number() over (order by md5(id::text)) - 1 as place from public.calendly_users) u;
  insert into public.calendly_connections (id, user_id, calendly_user_uri, next_sync_at, last_full_sync_at, current_as_of, connected_at, created_at, updated_at)
    select gen_random_uuid(), p.user_id, 'https://api.calendly.com/users/' || p.user_id, at, at, at, at, at, at from tests.person p;
  insert into calendly.hosts (calendly_user_uri, user_id, connection_id) select c.calendly_user_uri, c.user_id, c.id from public.calendly_connections c;
  update calendly.project set url = 'https://project.example.com';
end
$$;

-- so many nudges of strangers come with each tick
create procedure tests.pass(minutes integer, strangers integer default 0) language plpgsql as $$
declare
  at timestamptz := calendly.now();
  ends_at constant timestamptz := at + minutes * interval '1 minute';
  tick_at timestamptz := at;
  nudged integer;
  instance tests.instance;
begin
  perform setseed(mod(extract(epoch from at), 1000) / 1000);  -- the same hour every time
  loop
    select i.* into instance from tests.instance i order by i.next_at limit 1;
    if instance.id is null or instance.next_at > tick_at then
      perform calendly.set_clock(tick_at);
      exit when tick_at >= ends_at;
      nudged := calendly.nudge();
      delete from net.http_request_queue;
      insert into tests.instance (began_at, next_at)
        select boot.at, boot.at
        from (
          select tick_at + random() * interval '1 second' as at from generate_series(1, nudged)
          union all
          select tick_at + random() * interval '1 minute' from generate_series(1, strangers)
        ) boot;
      tick_at := tick_at + interval '1 minute';
    else
      perform calendly.set_clock(instance.next_at);
      call tests.act(instance);
    end if;
    commit;
  end loop;
end
$$;

create procedure tests.act(instance tests.instance) language plpgsql as $$
declare
  at constant timestamptz := instance.next_at;
  how tests.kind;
begin
  if instance.claim is null then
    instance.claim := public.calendly_claim_sync(jsonb_build_object(
      'project_url', 'https://project.example.com', 'spent_requests', 0, 'spent_seconds', extract(epoch from at - instance.began_at)));
    if instance.claim ->> 'status' = 'idle' then
      delete from tests.instance i where i.id = instance.id;
      return;
    end if;
    if exists (select from tests.instance i where i.id <> instance.id and i.claim ->> 'user_id' = instance.claim ->> 'user_id') then
      raise 'user % is synced twice at once', instance.claim ->> 'user_id';
    end if;
    insert into tests.open_places select calendly.running_workers();
    select k.* into how from tests.person p join tests.kind k on k.name = p.kind where p.user_id = (instance.claim ->> 'user_id')::integer;
    if how.ends = 'die' then
      delete from tests.instance i where i.id = instance.id;
    else
      update tests.instance i
        set claim = instance.claim, kind = how.name,
          next_at = at + make_interval(secs => (how.seconds_min + random() * (how.seconds_max - how.seconds_min))::double precision)
        where i.id = instance.id;
    end if;
    return;
  end if;

  if instance.kind = 'failing' then
    perform public.calendly_fail_sync((instance.claim ->> 'run_id')::uuid, (instance.claim ->> 'lease')::uuid, '{"code": "token_unreadable", "message": "No."}', 1);
  else
    perform public.calendly_apply_step((instance.claim ->> 'run_id')::uuid, (instance.claim ->> 'lease')::uuid,
      (instance.claim #>> '{next,step}')::integer, '{"requests": 1, "page": {"collection": [], "next_page_token": null}}');
    if public.calendly_finish_sync((instance.claim ->> 'run_id')::uuid, (instance.claim ->> 'lease')::uuid) ->> 'do' = 'stop' then
      update tests.person p
        set syncs = p.syncs + 1, synced_at = at, longest_gap = greatest(p.longest_gap, at - p.synced_at)
        where p.user_id = (instance.claim ->> 'user_id')::integer;
    end if;
  end if;
  update tests.instance i set claim = null, kind = null, next_at = at + interval '50 milliseconds' where i.id = instance.id;
end
$$;
