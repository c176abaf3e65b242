-- Hours of the schedule on the stopped clock, event by event: ticks, workers and syncs. Calendly's
-- part is a kind of connection: how long its syncs take, and how they end.

create schema tests;

create table tests.kind (
  name text primary key,
  seconds_min numeric not null,
  seconds_max numeric not null,
  ends text not null check (ends in ('complete', 'fail', 'crash'))
);
insert into tests.kind values
  ('healthy', 0.5, 2, 'complete'),
  ('slow', 20, 50, 'complete'),
  ('failing', 0.5, 2, 'fail'),
  -- its worker is never heard of again
  ('crashing', 0.5, 2, 'crash');

create table tests.person (
  user_id integer primary key,
  kind text not null references tests.kind,
  synced_at timestamptz,
  syncs integer not null default 0,
  longest_gap interval not null default '0'
);

create unlogged table tests.worker (
  id integer generated always as identity primary key,
  began_at timestamptz not null,
  next_at timestamptz not null,
  claim jsonb,
  kind text
);

-- how many workers had a run after each claim
create unlogged table tests.slots_in_use (workers integer not null);

-- p1 to pN, each with an account, all due at once
create procedure tests.populate(
  people integer, slow numeric, failing numeric, crashing numeric, now_at timestamptz
) language plpgsql as $$
begin
  perform calendly.set_clock(now_at);
  insert into auth.users (id, email, email_confirmed_at)
    select gen_random_uuid(), 'p' || n || '@example.com', now_at from generate_series(1, people) n;
  insert into public.calendly_users
      (auth_user_id, calendly_user_uri, email, calendly_initial_sync_complete)
    select a.id, 'https://api.calendly.com/users/' || split_part(a.email, '@', 1), a.email, true
    from auth.users a
    order by substring(a.email from 'p(\d+)')::integer;
  insert into tests.person (user_id, kind, synced_at)
    select u.id, case
        when place < people * crashing then 'crashing'
        when place < people * (crashing + failing) then 'failing'
        when place < people * (crashing + failing + slow) then 'slow'
        else 'healthy'
      end, now_at
    from (
      select id, row_number() over (order by md5(id::text)) - 1 as place from public.calendly_users
    ) u;
  insert into public.calendly_connections (id, user_id, calendly_user_uri, next_sync_at,
      last_full_sync_at, current_as_of, connected_at, created_at, updated_at)
    select gen_random_uuid(), u.id, u.calendly_user_uri, now_at, now_at, now_at, now_at, now_at,
      now_at
    from public.calendly_users u;
  update public.calendly_users u set connection_id = c.id
    from public.calendly_connections c where c.user_id = u.id;
  update calendly.project set url = 'https://project.example.com';
end
$$;

-- strangers: so many nudges of theirs come with each tick
create procedure tests.pass(minutes integer, strangers integer default 0)
language plpgsql as $$
declare
  began_at constant timestamptz := calendly.now();
  ends_at constant timestamptz := began_at + minutes * interval '1 minute';
  tick_at timestamptz := began_at;
  nudged integer;
  worker tests.worker;
begin
  perform setseed(mod(extract(epoch from began_at), 1000) / 1000);  -- the same hour every time
  loop
    select w.* into worker from tests.worker w order by w.next_at limit 1;
    if worker.id is null or worker.next_at > tick_at then
      perform calendly.set_clock(tick_at);
      exit when tick_at >= ends_at;
      nudged := calendly.nudge();
      delete from net.http_request_queue;
      insert into tests.worker (began_at, next_at)
        select boot.boots_at, boot.boots_at
        from (
          select tick_at + random() * interval '1 second' as boots_at
          from generate_series(1, nudged)
          union all
          select tick_at + random() * interval '1 minute' from generate_series(1, strangers)
        ) boot;
      tick_at := tick_at + interval '1 minute';
    else
      perform calendly.set_clock(worker.next_at);
      call tests.act(worker);
    end if;
    commit;
  end loop;
end
$$;

-- a worker without a run claims one; a worker with a run ends it
create procedure tests.act(worker tests.worker) language plpgsql as $$
begin
  if worker.claim is null then
    call tests.claim(worker);
  else
    call tests.end_sync(worker);
  end if;
end
$$;

create procedure tests.claim(worker tests.worker) language plpgsql as $$
declare
  claimed constant jsonb := public.calendly_claim_sync(jsonb_build_object(
    'project_url', 'https://project.example.com', 'spent_requests', 0,
    'spent_seconds', extract(epoch from worker.next_at - worker.began_at)));
  how tests.kind;
begin
  if claimed ->> 'status' = 'idle' then
    delete from tests.worker w where w.id = worker.id;
    return;
  end if;
  if exists (select from tests.worker w
      where w.id <> worker.id and w.claim ->> 'user_id' = claimed ->> 'user_id') then
    raise 'user % is synced twice at once', claimed ->> 'user_id';
  end if;
  insert into tests.slots_in_use select calendly.running_workers(calendly.now());
  select k.* into how
    from tests.person p join tests.kind k on k.name = p.kind
    where p.user_id = (claimed ->> 'user_id')::integer;
  if how.ends = 'crash' then
    delete from tests.worker w where w.id = worker.id;
    return;
  end if;
  update tests.worker w
    set claim = claimed, kind = how.name,
      next_at = w.next_at + interval '1 second'
        * (how.seconds_min + random() * (how.seconds_max - how.seconds_min))::double precision
    where w.id = worker.id;
end
$$;

create procedure tests.end_sync(worker tests.worker) language plpgsql as $$
declare
  run_id constant uuid := worker.claim ->> 'run_id';
  lease constant uuid := worker.claim ->> 'lease';
  next jsonb;
begin
  if worker.kind = 'failing' then
    perform public.calendly_fail_sync(run_id, lease,
      '{"code": "token_unreadable", "message": "No."}', 1);
  else
    perform public.calendly_apply_step(run_id, lease, (worker.claim #>> '{next,step}')::integer,
      '{"requests": 1, "page": {"collection": [], "next_page_token": null}}');
    next := public.calendly_finish_sync(run_id, lease);
    if next ->> 'do' = 'stop' then
      update tests.person p
        set syncs = p.syncs + 1, synced_at = worker.next_at,
          longest_gap = greatest(p.longest_gap, worker.next_at - p.synced_at)
        where p.user_id = (worker.claim ->> 'user_id')::integer;
    end if;
  end if;
  update tests.worker w
    set claim = null, kind = null, next_at = worker.next_at + interval '50 milliseconds'
    where w.id = worker.id;
end
$$;
