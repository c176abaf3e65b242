-- What the benchmarks store and send, as one script after the fixtures of tests/database: the schema
-- `bench`. Everything is made by sets, and twice the same: an event depends on its number alone.

create schema bench;
grant usage on schema bench to public;

create unlogged table bench.answers (answer jsonb);
grant select, insert, delete on bench.answers to public;
comment on table bench.answers is 'Where the answer of an explained call is kept, see session.ts.';

-- All events start around this day, so that they are in the range of every sync.
create table bench.start as select date_trunc('day', now()) as today;

create function bench.empty(request jsonb) returns jsonb
language plpgsql security definer set search_path = '' set lock_timeout = '5s' set jit = off
as $$
begin
  return '{"do": "stop"}'::jsonb;
end
$$;
comment on function bench.empty(jsonb) is 'A floor: an RPC as the product''s are, which does nothing.';

-- What Calendly sends ------------------------------------------------------------------------------

create function bench.iso(moment timestamptz) returns text
language sql stable as $$
  select to_char(moment at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
$$;

create function bench.event_uri(n integer) returns text
language sql immutable as $$
  select 'https://api.calendly.com/scheduled_events/' || md5('event ' || n)::uuid
$$;

create function bench.event(n integer, host text, starts timestamptz, edition integer default 0)
returns jsonb
language sql stable as $$
  select jsonb_build_object(
    'uri', bench.event_uri(n),
    'name', 'Intro call' || case edition when 0 then '' else ', edition ' || edition end,
    'status', 'active',
    'start_time', bench.iso(starts),
    'end_time', bench.iso(starts + interval '30 minutes'),
    'event_type', 'https://api.calendly.com/event_types/' || md5('type ' || n % 5)::uuid,
    -- half of them with a password, which is never stored
    'location', case n % 2
      when 0 then jsonb_build_object('type', 'google_conference', 'status', 'pushed',
        'join_url', 'https://calendly.com/events/' || md5('event ' || n)::uuid || '/google_meet')
      else jsonb_build_object('type', 'zoom', 'status', 'pushed',
        'join_url', 'https://us02web.zoom.us/j/' || 80000000000 + n,
        'data', jsonb_build_object('id', 80000000000 + n, 'password', 'secret' || n,
          'settings', jsonb_build_object('global_dial_in_numbers', '[]'::jsonb)))
    end,
    'invitees_counter', jsonb_build_object('total', 1, 'active', 1, 'limit', 1),
    'event_memberships', jsonb_build_array(jsonb_build_object('user', host,
      'user_email', 'host@example.com', 'user_name', 'Host of the event',
      'buffered_start_time', bench.iso(starts),
      'buffered_end_time', bench.iso(starts + interval '30 minutes'))),
    'event_guests', '[]'::jsonb,
    'calendar_event', jsonb_build_object('kind', 'google', 'external_id', md5('calendar ' || n)),
    'meeting_notes_plain', null,
    'meeting_notes_html', null,
    'created_at', bench.iso(starts - interval '100 days'),
    'updated_at', bench.iso(starts - interval '100 days' + edition * interval '1 minute'))
$$;
comment on function bench.event(integer, text, timestamptz, integer) is
  'An event as GET /scheduled_events has it, about 1 kB; a later edition has changed since.';

create function bench.invitee(n integer, seat integer default 1, changes jsonb default '{}')
returns jsonb
language sql stable as $$
  select jsonb_build_object(
    'uri', bench.event_uri(n) || '/invitees/' || md5(n || ' seat ' || seat)::uuid,
    'event', bench.event_uri(n),
    'status', 'active',
    'email', 'invitee.' || n || '.' || seat || '@example.com',
    'name', 'Ines Invitee', 'first_name', null, 'last_name', null,
    'timezone', 'Europe/Lisbon',
    'text_reminder_number', null,
    'questions_and_answers', jsonb_build_array(jsonb_build_object('position', 0,
      'question', 'Please share anything that will help prepare for our meeting.',
      'answer', 'The offer of ' || n)),
    'tracking', jsonb_build_object('utm_campaign', null, 'utm_source', 'newsletter',
      'utm_medium', null, 'utm_content', null, 'utm_term', null, 'salesforce_uuid', null),
    'payment', null, 'no_show', null, 'reconfirmation', null,
    'rescheduled', false, 'old_invitee', null, 'new_invitee', null,
    'cancel_url', 'https://calendly.com/cancellations/' || md5(n || ' seat ' || seat)::uuid,
    'reschedule_url', 'https://calendly.com/reschedulings/' || md5(n || ' seat ' || seat)::uuid,
    'created_at', bench.iso(s.today - interval '100 days'),
    'updated_at', bench.iso(s.today - interval '100 days')) || changes
  from bench.start s
$$;

create function bench.starts(n integer, total integer) returns timestamptz
language sql stable as $$
  select s.today - interval '80 days' + n * (interval '240 days' / total) from bench.start s
$$;
comment on function bench.starts(integer, integer) is
  'When an event of so many starts: evenly over the range of an INCREMENTAL sync.';

create function bench.page(
  listing_from integer, total integer, place integer, hosts text[], edition integer, seats integer
) returns jsonb
language sql stable as $$
  select jsonb_agg(bench.event(listing_from + n, hosts[1 + n % cardinality(hosts)],
      bench.starts(n, total), edition)
    || jsonb_build_object('invitees_counter',
      jsonb_build_object('total', seats, 'active', seats, 'limit', seats)) order by n)
  from generate_series(place * 100, least((place + 1) * 100, total) - 1) n
$$;
comment on function bench.page(integer, integer, integer, text[], integer, integer) is
  'A page of 100 of a listing of so many events, which are numbered from listing_from.';


create table bench.numbers (uri text primary key, n integer);
comment on table bench.numbers is 'The number of each event, to find it by its URI.';

create function bench.fetched(event_uris jsonb, seats integer) returns jsonb
language sql stable as $$
  select jsonb_agg(jsonb_build_object('event_uri', b.uri,
    'observed_at', calendly.to_calendly(calendly.now()),
    'invitees', (select jsonb_agg(bench.invitee(b.n, seat)) from generate_series(1, seats) seat)))
  from jsonb_array_elements_text(event_uris) asked (uri)
  join bench.numbers b on b.uri = asked.uri
$$;
comment on function bench.fetched(jsonb, integer) is
  'What fetching the invitees of these events brings.';

-- Deliveries ---------------------------------------------------------------------------------------

create unlogged table bench.deliveries (
  kind text, n integer, delivery text not null, primary key (kind, n));
grant select on bench.deliveries to public;

create function bench.delivery(n integer, host text, kind text) returns jsonb
language sql stable as $$
  select jsonb_build_object(
    'digest', md5(kind || n) || md5(n::text),
    'signed_at', extract(epoch from calendly.now())::bigint,
    'body', jsonb_build_object(
      'event', 'invitee.' || kind, 'created_at', bench.iso(s.today), 'created_by', host,
      'payload', bench.invitee(n, 1, case kind when 'created' then '{}' else jsonb_build_object(
          'status', 'canceled', 'updated_at', bench.iso(s.today), 'cancellation', canceled.by) end)
        || jsonb_build_object('scheduled_event',
          bench.event(n, host, s.today + interval '10 days' + n % 1000 * interval '10 minutes')
          || case kind when 'created' then '{}' else jsonb_build_object('status', 'canceled',
            'updated_at', bench.iso(s.today), 'cancellation', canceled.by, 'invitees_counter',
            jsonb_build_object('total', 1, 'active', 0, 'limit', 1)) end)))
  from bench.start s, lateral (select jsonb_build_object('canceled_by', 'Ines Invitee',
    'reason', 'ill', 'canceler_type', 'invitee', 'created_at', bench.iso(s.today)) as by) canceled
$$;
comment on function bench.delivery(integer, text, text) is
  'What calendly-webhook hands over when event n of this host was booked (created) or canceled.';

-- People and what is stored of them ----------------------------------------------------------------

create function bench.host(n integer) returns text
language sql immutable as $$ select 'https://api.calendly.com/users/' || md5('host ' || n)::uuid $$;

-- Triggers and foreign keys would take each row one by one.
create function bench.add_people(
  people integer, meetings integer, deliveries integer, runs integer
) returns void
language plpgsql set session_replication_role = replica
as $$
begin
  insert into auth.users (id, email, confirmation_sent_at, email_confirmed_at)
    select md5('account ' || n)::uuid, 'person' || n || '@example.com', '2026-01-01', '2026-01-01'
    from generate_series(1, people) n;
  insert into public.calendly_users (id, calendly_user_uri, email, auth_user_id, connection_id,
      calendly_initial_sync_complete, last_calendly_sync)
    select 10000 + n, bench.host(n), 'person' || n || '@example.com', md5('account ' || n)::uuid,
      md5('connection ' || n)::uuid, true, now()
    from generate_series(1, people) n;
  insert into public.calendly_connections (id, user_id, calendly_user_uri, next_sync_at,
      last_full_sync_at, current_as_of, connected_at, created_at, updated_at)
    select md5('connection ' || n)::uuid, 10000 + n, bench.host(n),
      now() + n * interval '10 milliseconds' + interval '1 hour', now(), now(), now(), now(), now()
    from generate_series(1, people) n;
  perform bench.add_meetings(people, meetings);
  insert into public.calendly_webhook_events (event_id, event_type, payload, user_id, created_at,
      processed_at, status)
    select 'stored ' || n, 'invitee.created', '{}', 10001 + n % people,
      now() - n * interval '1 second', now() - n * interval '1 second', 'processed'
    from generate_series(1, people * deliveries) n;
  insert into public.calendly_sync_runs (connection_id, user_id, subject, trigger, sync_type,
      min_start_time, max_start_time, status, started_at, heartbeat_at, finished_at)
    select md5('connection ' || 1 + n % people)::uuid, 10001 + n % people,
      bench.host(1 + n % people), 'scheduled', 'INCREMENTAL', now(), now(), 'complete',
      now() - n * interval '1 second', now() - n * interval '1 second',
      now() - n * interval '1 second'
    from generate_series(1, people * runs) n;
end
$$;
comment on function bench.add_people(integer, integer, integer, integer) is
  'People 10001, … with an account and a connection that is due in an hour, and so many meetings, '
  'deliveries and complete runs each.';

create function bench.add_meetings(people integer, meetings integer) returns void
language plpgsql set session_replication_role = replica
as $$
begin
  insert into public.calendly_meetings (user_id, calendly_event_uri, name, status, start_time,
      end_time, is_deleted, synced_via_webhook, calendly_created_at, calendly_updated_at, raw)
    select 10001 + n % people, bench.event_uri(100000000 + n), 'Intro call', 'active', starts,
      starts + interval '30 minutes', n % 10 = 0, n % 3 = 0, starts, starts,
      bench.event(100000000 + n, bench.host(1 + n % people), starts)
    from generate_series(1, people * meetings) n,
      lateral (select bench.starts(n, people * meetings)) start (starts);
  insert into calendly.meeting_sync (user_id, event_uri)
    select m.user_id, m.calendly_event_uri from public.calendly_meetings m;
end
$$;

create function bench.set_due(due integer, paused integer) returns void
language plpgsql set session_replication_role = replica
as $$
begin
  delete from calendly.active_runs;
  delete from public.calendly_sync_runs r where r.status in ('running', 'paused');
  update public.calendly_connections c
    set next_sync_at = case when c.user_id - 10000 <= due then now() - interval '1 minute'
      else now() + interval '1 hour' end;
  insert into public.calendly_sync_runs (id, connection_id, user_id, subject, trigger, sync_type,
      min_start_time, max_start_time, status, started_at, heartbeat_at, resume_at)
    select md5('paused ' || c.id)::uuid, c.id, c.user_id, c.calendly_user_uri, 'scheduled',
      'INCREMENTAL', now(), now(), 'paused', now(), now(), now() + interval '30 minutes'
    from public.calendly_connections c
    where c.user_id - 10000 > due
    order by c.user_id
    limit paused;
  insert into calendly.active_runs (run_id, user_ids, refetch_all, list_after)
    select r.id, array[r.user_id], false, now()
    from public.calendly_sync_runs r where r.status = 'paused';
end
$$;
comment on function bench.set_due(integer, integer) is
  'So many connections are due, the longest waiting first, and the runs of so many others are '
  'paused for half an hour.';
