-- One private broadcast for each person and transaction that changed something, with ids and nothing else.
begin;
select plan(35);
select calendly.set_clock('2026-06-01T12:00:00Z');
select tests.add_person(name) from unnest('{ana,ben}'::text[]) name;

-- without Realtime
select is((select count(*) from pg_trigger t where t.tgname like 'calendly_note%' or t.tgname like 'calendly_announce%'), 0::bigint, 'where there is no Realtime, nothing is watched');
select is(calendly.enable_live_updates(), false, 'and nothing can be');
select lives_ok($$select tests.sync('ana', array[tests.event('E0', tests.seats(0, 0))])$$, 'a sync does not need it');

-- as Realtime makes it on the platform
create schema realtime;
create table realtime.messages (
  topic text not null, extension text not null, payload jsonb, event text, private boolean default false,
  updated_at timestamp not null default now(), inserted_at timestamp not null default now(), id uuid not null default gen_random_uuid());
alter table realtime.messages enable row level security;
grant usage on schema realtime to authenticated, postgres;
grant select, insert on realtime.messages to authenticated;
create function realtime.topic() returns text language sql stable as $$ select nullif(current_setting('realtime.topic', true), '')::text $$;
create function realtime.send(payload jsonb, event text, topic text, private boolean default true) returns void language sql as $$
  insert into realtime.messages (payload, event, topic, private, extension) values (payload, event, topic, private, 'broadcast')
$$;
select is(calendly.enable_live_updates(), true, 'where there is Realtime, it can');
select is(calendly.enable_live_updates(), true, 'twice, too');

-- ends what this test calls a transaction, and takes what was sent
create function tests.sent() returns setof realtime.messages language plpgsql as $$
begin
  set constraints all immediate;
  set constraints all deferred;
  return query with taken as (delete from realtime.messages returning *) select * from taken order by topic;
end
$$;
create function tests.meeting_ids(variadic events text[]) returns jsonb language sql as $$
  select jsonb_agg(m.id order by m.id) from public.meetings m where m.user_id = tests.id_of('ana')
    and m.calendly_event_uri in (select tests.event_uri(e) from unnest(events) e)
$$;
create temporary table sent (like realtime.messages);
create function tests.take() returns bigint language sql as $$
  truncate sent;
  insert into sent select * from tests.sent();
  select count(*) from sent;
$$;

-- a transaction that changes something
select tests.begin('ana');
select is(tests.take(), 1::bigint, 'a run that begins is one message');
select is(topic, 'calendly:' || tests.account_of('ana'), 'to the topic of that person''s account') from sent;
select is(private, true, 'which is private') from sent;
select is(event, 'changed', 'by one name for everything') from sent;
select is(payload, jsonb_build_object('run_ids', jsonb_build_array((tests.run_of('ana')).id), 'meeting_ids', '[]'::jsonb), 'naming the run, and no more') from sent;

select tests.bring('ana', tests.page(array[tests.event('E1'), tests.event('E2'), tests.event('E0', tests.seats(0, 0))]));
select is(tests.take(), 1::bigint, 'a page, however many statements it takes, is one message');
select is(payload -> 'meeting_ids', tests.meeting_ids('E1', 'E2'), 'naming the meetings that changed, not those that did not') from sent;
select is(payload -> 'run_ids', jsonb_build_array((tests.run_of('ana')).id), 'and the run, for its progress') from sent;
select tests.bring('ana', jsonb_build_object('invitees', jsonb_build_array(tests.invitees_of('E1', tests.invitee('E1', 'ines')), tests.invitees_of('E2', tests.invitee('E2', 'joe')))));
select is(tests.take(), 1::bigint, 'invitees are one');
select is(payload -> 'meeting_ids', tests.meeting_ids('E1', 'E2'), 'naming their meetings, once each') from sent;
select is((select bool_or(s.payload::text ~* 'ines|joe|intro|guest') from sent s), false, 'nobody''s name or address is in it');
select tests.finish('ana');
select is(tests.take(), 1::bigint, 'the end is one');
select is(tests.take(), 0::bigint, 'after which there is nothing more to say');

-- nothing changed
create function tests.quiet() returns bigint language sql as $$
  select calendly.apply_events(array[calendly.read_event(tests.event('E1'))], false, null, false, '{}');
  select tests.take();
$$;
select is(tests.quiet(), 0::bigint, 'what changed nothing sends nothing');
update public.users set email = email;
update calendly.meeting_sync set asked_at = calendly.now();
insert into public.meetings (user_id, name) values (tests.id_of('ana'), 'of an earlier app');
select is(tests.take(), 0::bigint, 'nor does what is not Calendly''s, or is not for apps');

-- several people
select tests.begin('ben'), tests.take();
select tests.apply_event(tests.event('E3', tests.hosted_by('ana', 'ben')), 'webhook');
select is(tests.take(), 2::bigint, 'a meeting of two is a message to each');
select is((select array_agg(s.topic order by s.topic) from sent s),
  (select array_agg('calendly:' || a.id order by 'calendly:' || a.id) from auth.users a where a.email in ('ana@example.com', 'ben@example.com')), 'to their topics');
select is((select count(distinct s.payload -> 'meeting_ids') from sent s), 2::bigint, 'each naming the own row');

-- what goes
delete from public.meetings m where m.id = (tests.meeting('E2')).id;
select is(tests.take(), 1::bigint, 'a meeting that is erased, with its invitees, is one message');
savepoint half;
select tests.apply_event(tests.event('E4'), 'webhook');
rollback to half;
select is(tests.take(), 0::bigint, 'what is rolled back is not told');
select tests.apply_event(tests.event('M' || n), 'webhook') from generate_series(1, 101) n;
select is(tests.take(), 1::bigint, 'a hundred and one changes are one message');
select is(payload -> 'meeting_ids', 'null', 'that names none of them: read all again') from sent;
update public.users set auth_user_id = null where id = tests.id_of('ben');
select tests.take();
select tests.apply_event(tests.event('E5', tests.hosted_by('ben')), 'webhook');
select is(tests.take(), 0::bigint, 'who has no account has no topic');
update public.calendly_sync_runs set finished_at = calendly.now() - interval '1 year' where status = 'complete';
select tests.take();
select is(calendly.clean_old_runs() > 0 and tests.take() = 0, true, 'old runs go in silence');

-- trouble
create or replace function realtime.send(payload jsonb, event text, topic text, private boolean default true) returns void language plpgsql as $$
begin raise exception 'no partition of relation "messages" found for row'; end $$;
set local client_min_messages = error;
select tests.apply_event(tests.event('E6'), 'webhook');
select lives_ok('select tests.take()', 'Realtime''s trouble does not undo what was written');
reset client_min_messages;
select isnt((tests.meeting('E6')).id, null, 'it is there');

-- who receives
insert into realtime.messages (topic, extension, event, private) select 'calendly:' || a.id, 'broadcast', 'changed', true from auth.users a where a.email in ('ana@example.com', 'ben@example.com');
select set_config('realtime.topic', 'calendly:' || tests.account_of('ana'), true);
select tests.sign_in('ana');
select ok((select count(*) from realtime.messages) > 0, 'the person may join the own topic');
select tests.sign_out();
select tests.sign_in('ben');
select is((select count(*) from realtime.messages), 0::bigint, 'but nobody else''s');
select throws_ok($$insert into realtime.messages (topic, extension) values ('calendly:' || auth.uid(), 'broadcast')$$, '42501', null, 'and may send to none');
select tests.sign_out();
set local role anon;
select throws_ok('select * from realtime.messages', '42501', null, 'who is not signed in hears nothing');
reset role;

select * from finish();
rollback;
