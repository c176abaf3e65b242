-- Live updates: one private broadcast for each account and transaction that changed rows which the
-- account may read, with ids and nothing else.
begin;
select plan(59);
select calendly.set_clock('2026-06-01T12:00:00Z');
select tests.add_person(name) from unnest('{ana,ben}'::text[]) name;
create function tests.watched() returns bigint language sql as $$
  select count(*) from pg_trigger t
  where t.tgname like 'calendly_note%' and t.tgrelid::regclass::text like '%calendly\_%'
$$;

-- without Realtime
select is(tests.watched(), 0::bigint, 'nothing is watched where there is no Realtime');
select is(calendly.enable_live_updates(), false, 'live updates cannot begin without Realtime');
select lives_ok($$select tests.sync('ana', array[tests.event('E0', tests.seats(0, 0))])$$,
  'a sync needs no Realtime');
select is((select count(*) from calendly.pending_announcements), 0::bigint,
  'without Realtime nothing is noted');
select is((select count(*) from public.calendly_alerts a where a.code = 'live_updates_refused'),
  0::bigint, 'a project without Realtime is no alert');

-- as Realtime makes it on the platform
create schema realtime;
create table realtime.messages (
  topic text not null, extension text not null, payload jsonb, event text,
  private boolean default false, updated_at timestamp not null default now(),
  inserted_at timestamp not null default now(), id uuid not null default gen_random_uuid());
alter table realtime.messages enable row level security;
grant usage on schema realtime to authenticated, postgres;
grant select, insert on realtime.messages to authenticated;
create function realtime.topic() returns text language sql stable as $$
  select nullif(current_setting('realtime.topic', true), '')::text
$$;
create function realtime.send(
  payload jsonb, event text, topic text, private boolean default true
) returns void language sql as $$
  insert into realtime.messages (payload, event, topic, private, extension)
    values (payload, event, topic, private, 'broadcast')
$$;

-- refused: to a role that owns neither realtime.messages nor the schema
grant usage on schema calendly to service_role;
grant all on all tables in schema calendly to service_role;
grant execute on all functions in schema calendly to service_role;
create function tests.enable_as_service_role() returns boolean language plpgsql as $$
declare
  enabled boolean;
begin
  set local role service_role;
  set local client_min_messages = error;
  enabled := calendly.enable_live_updates();
  reset client_min_messages;
  reset role;
  return enabled;
end
$$;
create function tests.refusal() returns public.calendly_alerts language sql as $$
  select a from public.calendly_alerts a where a.code = 'live_updates_refused'
$$;
select is(tests.enable_as_service_role(), false,
  'a schema realtime that may not be used stops no migration');
grant usage on schema realtime to service_role;
select is(tests.enable_as_service_role(), false,
  'a policy on realtime.messages that is refused stops no migration');
select is(tests.watched(), 0::bigint, 'nothing is watched without the policy');
select is((tests.refusal()).severity, 'warning', 'a refused policy is an alert');
select ok((tests.refusal()).message ~ 'must be owner', 'the alert has the reason of Postgres');
select lives_ok(substring((tests.refusal()).what_to_do from 'create policy .*?;'),
  'the statement that the alert names makes the policy');
select is(calendly.enable_live_updates(), true, 'live updates begin once the policy is there');
select is((tests.refusal()).code, null, 'the alert ends when they begin');
drop policy "People receive their own Calendly updates" on realtime.messages;
revoke all on schema calendly from service_role;

-- allowed
select is(calendly.enable_live_updates(), true, 'live updates begin where there is Realtime');
select is(calendly.enable_live_updates(), true, 'they can be begun twice');
select is(tests.watched(), 8::bigint, 'meetings, invitees and runs are watched');

-- ends what this test calls a transaction, and takes what was sent
create function tests.sent() returns setof realtime.messages language plpgsql as $$
begin
  set constraints all immediate;
  set constraints all deferred;
  return query
    with taken as (delete from realtime.messages returning *) select * from taken order by topic;
end
$$;
create temporary table sent (like realtime.messages);
create function tests.take() returns bigint language sql as $$
  truncate sent;
  insert into sent select * from tests.sent();
  select count(*) from sent;
$$;
create function tests.meeting_ids(owner text, variadic events text[]) returns jsonb
language sql as $$
  select jsonb_agg(m.id order by m.id)
  from public.calendly_meetings m
  where m.user_id = tests.id_of(meeting_ids.owner)
    and m.calendly_event_uri in (select tests.event_uri(e) from unnest(events) e)
$$;
create function tests.topic(name text) returns text language sql as $$
  select 'calendly:' || tests.account_of(topic.name)
$$;

-- a transaction that changes something
select tests.begin('ana');
select is(tests.take(), 1::bigint, 'a run that begins is one broadcast');
select is(topic, tests.topic('ana'), 'it goes to the topic of the user''s account') from sent;
select is(private, true, 'it is private') from sent;
select is(event, 'changed', 'its event is called changed') from sent;
select is(payload, jsonb_build_object(
    'run_ids', jsonb_build_array((tests.run_of('ana')).id), 'meeting_ids', '[]'::jsonb),
  'it names the run and nothing else') from sent;

select tests.bring('ana', tests.page(array[
  tests.event('E1'), tests.event('E2'), tests.event('E0', tests.seats(0, 0))]));
select is((select count(*) from calendly.pending_announcements), 1::bigint,
  'whatever a page writes is noted in one row for each user');
select is(tests.take(), 1::bigint, 'a page is one broadcast');
select is(payload -> 'meeting_ids', tests.meeting_ids('ana', 'E1', 'E2'),
  'it names the meetings that changed and not those that did not') from sent;
select is(payload -> 'run_ids', jsonb_build_array((tests.run_of('ana')).id),
  'it names the run, whose progress has changed') from sent;
select is((select count(*) from calendly.pending_announcements), 0::bigint,
  'what was announced is noted no more');
select tests.bring('ana', jsonb_build_object('invitees', jsonb_build_array(
  tests.invitees_of('E1', tests.invitee('E1', 'ines')),
  tests.invitees_of('E2', tests.invitee('E2', 'joe')))));
select is(tests.take(), 1::bigint, 'invitees are one broadcast');
select is(payload -> 'meeting_ids', tests.meeting_ids('ana', 'E1', 'E2'),
  'it names their meetings, each once') from sent;
select is((select bool_or(s.payload::text ~* 'ines|joe|intro|guest') from sent s), false,
  'it contains no name and no e-mail');
select tests.finish('ana');
select is(tests.take(), 1::bigint, 'the end of a run is one broadcast');
select is(tests.take(), 0::bigint, 'nothing is announced twice');

-- an account that is closed, as readable_user_ids has it
update auth.users set deleted_at = calendly.now() where id = tests.account_of('ana');
update public.calendly_meetings set name = 'Not told' where user_id = tests.id_of('ana');
select is(tests.take(), 0::bigint, 'an account that is closed gets no broadcast');
update auth.users set deleted_at = null where id = tests.account_of('ana');
update public.calendly_meetings set name = 'Told' where user_id = tests.id_of('ana');
select is(tests.take(), 1::bigint, 'an account that is open again gets them');

-- nothing changed
select calendly.apply_events(array[calendly.read_event(tests.event('E1'))], false, null, false);
select is(tests.take(), 0::bigint, 'an unchanged event is no broadcast');
update public.calendly_users set email = email;
update calendly.meeting_sync set last_looked_up_at = calendly.now();
insert into public.calendly_meetings (user_id, name) values (tests.id_of('ana'), 'an app''s own');
select is(tests.take(), 0::bigint,
  'users, the sync''s own notes and rows that are not Calendly''s are no broadcast');

-- a migration
select lives_ok($$
    update public.calendly_meetings set name = 'Renamed'
      where calendly_event_uri = tests.event_uri('E1');
    alter table public.calendly_meetings add column priority text;
    update public.calendly_meetings set priority = 'normal';
    alter table public.calendly_meetings alter column priority set not null$$,
  'a transaction can update and alter calendly_meetings');
select is(tests.take(), 1::bigint, 'it is announced as one broadcast');
alter table public.calendly_meetings drop column priority;

-- several people
select tests.begin('ben');
select tests.take();
select tests.apply_event(tests.event('E3', tests.hosted_by('ana', 'ben')), 'webhook');
select is(tests.take(), 2::bigint, 'a meeting of two hosts is a broadcast to each');
select is((select array_agg(s.topic order by s.topic) from sent s),
  (select array_agg(t order by t) from unnest(array[tests.topic('ana'), tests.topic('ben')]) t),
  'each goes to the host''s own topic');
select is((select count(distinct s.payload -> 'meeting_ids') from sent s), 2::bigint,
  'each names the host''s own row');

-- what goes
delete from public.calendly_meetings m where m.id = (tests.meeting('E2')).id;
select is(tests.take(), 1::bigint, 'a meeting that is deleted with its invitees is one broadcast');
savepoint half;
select tests.apply_event(tests.event('E4'), 'webhook');
rollback to half;
select is(tests.take(), 0::bigint, 'what is rolled back is not announced');
select tests.apply_event(tests.event('M' || n), 'webhook') from generate_series(1, 101) n;
select is(tests.take(), 1::bigint, '101 changes are one broadcast');
select is(payload -> 'meeting_ids', 'null', 'more than 100 meetings are not named') from sent;
do $$
begin
  for n in 1..300 loop
    update public.calendly_meetings set name = 'Row by row' where calendly_event_uri = tests.event_uri('M' || (1 + n % 101));
  end loop;
end
$$;
select is((select max(cardinality(a.meeting_ids)) from calendly.pending_announcements a), 101,
  'of a transaction that writes row by row no more is noted than it takes to name none');
select tests.take();
update public.calendly_users set auth_user_id = null where id = tests.id_of('ben');
select tests.take();
select tests.apply_event(tests.event('E5', tests.hosted_by('ben')), 'webhook');
select is(tests.take(), 0::bigint, 'a user without an account has no topic');
update public.calendly_sync_runs set finished_at = calendly.now() - interval '1 year'
  where status = 'complete';
select tests.take();
select ok(calendly.clean_old_runs() > 0, 'retention deletes old runs');
select is(tests.take(), 0::bigint, 'it announces nothing');

-- an organization
create function tests.meet_hugo() returns void language plpgsql as $$
begin
  perform tests.begin('olga', 'scheduled');
  perform tests.bring('olga', tests.page(array[
    tests.event('H1', tests.hosted_by('hugo') || tests.seats(0, 0))]));
  perform tests.finish('olga');
end
$$;
select tests.add_organization('olga', 'everyone');
select tests.meet_hugo();
select tests.take();
select is((select s.payload -> 'meeting_ids' from sent s where s.topic = tests.topic('olga')),
  tests.meeting_ids('hugo', 'H1'),
  'the owner of a connection that keeps everyone is told of the rows that it brings');
select tests.apply_event(tests.event('O1', tests.hosted_by('olga', 'hugo')), 'webhook');
select is(tests.take(), 1::bigint, 'own rows and brought rows are one broadcast to the owner');
select is(payload -> 'meeting_ids', (
    select jsonb_agg(m.id order by m.id) from public.calendly_meetings m
    where m.calendly_event_uri = tests.event_uri('O1')), 'it names both') from sent;
update public.calendly_connections set members = 'accounts' where user_id = tests.id_of('olga');
select tests.apply_event(tests.event('H2', tests.hosted_by('hugo')), 'webhook');
select is(tests.take(), 0::bigint,
  'the owner of a connection with members accounts is told of the own rows only');

-- Realtime fails
create or replace function realtime.send(
  payload jsonb, event text, topic text, private boolean default true
) returns void language plpgsql as $$
begin
  raise exception 'no partition of relation "messages" found for row';
end
$$;
set local client_min_messages = error;
select tests.apply_event(tests.event('E6'), 'webhook');
select lives_ok('select tests.take()', 'a broadcast that fails does not undo the change');
reset client_min_messages;
select isnt((tests.meeting('E6')).id, null, 'the meeting is stored');
select is((select count(*) from calendly.pending_announcements), 0::bigint,
  'what could not be sent is noted no more');

-- who receives
insert into realtime.messages (topic, extension, event, private)
  select tests.topic(name), 'broadcast', 'changed', true from unnest('{ana,ben}'::text[]) name;
select set_config('realtime.topic', tests.topic('ana'), true);
select tests.sign_in('ana');
select ok((select count(*) from realtime.messages) > 0, 'an account may join its own topic');
select tests.sign_out();
select tests.sign_in('ben');
select is((select count(*) from realtime.messages), 0::bigint,
  'an account may not join another one''s topic');
select throws_ok($$insert into realtime.messages (topic, extension)
    values ('calendly:' || auth.uid(), 'broadcast')$$, '42501', null,
  'an account may not send to its topic');
select tests.sign_out();
set local role anon;
select throws_ok('select * from realtime.messages', '42501', null, 'anon receives nothing');
reset role;

select * from finish();
rollback;
