-- Four different snapshots of one event give the same row, in whatever order they arrive.
begin;
select plan(13);
select calendly.set_clock('2026-06-01T12:00:00Z');
select tests.add_person('ana');
select tests.add_person('ben');

create temporary table permutation as
  select array[a, b, c, d] as places
  from unnest('{1,2,3,4}'::integer[]) a, unnest('{1,2,3,4}'::integer[]) b,
    unnest('{1,2,3,4}'::integer[]) c, unnest('{1,2,3,4}'::integer[]) d
  where cardinality(array(select distinct unnest(array[a, b, c, d]))) = 4;
select is((select count(*) from permutation), 24::bigint, 'four snapshots have 24 orders');

create temporary table snapshot (series text, place integer, via text, event jsonb);
-- The meetings that come of an order, but for our own timestamps. When a reassignment was found out
-- is one of them.
create function tests.outcome_of(series text, places integer[]) returns jsonb
language plpgsql as $$
begin
  delete from public.calendly_meetings;
  perform tests.apply_event(s.event, s.via,
      case when s.via = 'listing' then array[tests.id_of('ana')] end)
    from unnest(places) with ordinality p (place, turn)
    join snapshot s on s.series = outcome_of.series and s.place = p.place
    order by p.turn;
  return (
    select jsonb_agg(
      to_jsonb(m) - '{id,synced_via_webhook,created_at,updated_at}'::text[]
        - case m.deleted_reason when 'reassigned' then '{deleted_at}'::text[] else '{}' end
      order by m.user_id)
    from public.calendly_meetings m);
end
$$;

-- a group event at one updated_at: each snapshot has something that the others lack
insert into snapshot
  select 'equal', s.place, s.via,
    tests.event('E1', '{"updated_at": "2026-05-20T08:00:00.500000Z"}') - s.lacks || s.changes
  from (values
    (1, 'webhook', tests.seats(2, 2, 8) || '{"location": {"type": "zoom",
      "status": "processing", "join_url": "https://calendly.com/wait"}}',
      '{calendar_event}'::text[]),
    (2, 'webhook', tests.seats(3, 2, 8) || '{"location": {"type": "zoom",
      "status": "pushed", "join_url": "https://zoom.us/j/1"}}',
      '{calendar_event}'),
    (3, 'listing', tests.seats(3, 3, 8) || '{"location": {"type": "zoom",
      "status": "processing", "join_url": "https://calendly.com/wait"},
      "meeting_notes_plain": "bring cake"}',
      '{}'),
    (4, 'webhook', tests.seats(3, 0, 8) || '{"status": "canceled",
      "cancellation": {"reason": "ill", "created_at": "2026-05-20T08:00:00.000000Z"}}',
      '{calendar_event,location}')
  ) s (place, via, changes, lacks);
create temporary table equal as
  select tests.outcome_of('equal', places) as rows from permutation;
select is((select count(distinct rows) from equal), 1::bigint,
  'at equal time every order gives the same row');
select is((select rows #>> '{0,raw,invitees_counter}' from equal limit 1)::jsonb,
  '{"total": 3, "active": 0, "limit": 8}'::jsonb,
  'the row has the greatest total and the most cancellations');
select is((select rows #>> '{0,join_url}' from equal limit 1), 'https://zoom.us/j/1',
  'the row has the link of the settled conference');
select is((select rows #>> '{0,raw,meeting_notes_plain}' from equal limit 1), 'bring cake',
  'the row has what only the API tells');
select is(
  (select row(rows #>> '{0,status}', rows #>> '{0,deleted_reason}',
    rows #>> '{0,cancellation,reason}')::text from equal limit 1),
  '(canceled,canceled,ill)', 'the row has the cancellation');

-- snapshots of several times, and the cancellation is not the latest
insert into snapshot
  select 'later', s.place, s.via, tests.event('E1', s.changes)
  from (values
    (1, 'webhook', '{"name": "first", "updated_at": "2026-05-20T08:00:00.000001Z"}'::jsonb),
    (2, 'listing', '{"name": "second", "updated_at": "2026-05-20T08:00:00.000002Z"}'),
    (3, 'webhook',
      tests.canceled('{"name": "third", "updated_at": "2026-05-20T08:00:00.000003Z"}')),
    (4, 'listing', '{"name": "fourth", "updated_at": "2026-05-20T08:00:00.000004Z"}')
  ) s (place, via, changes);
create temporary table later as
  select tests.outcome_of('later', places) as rows from permutation;
select is((select count(distinct rows) from later), 1::bigint,
  'at different times every order gives the same row');
select is(
  (select row(rows #>> '{0,name}', rows #>> '{0,status}', rows #>> '{0,is_deleted}',
    rows #>> '{0,deleted_at}')::text from later limit 1),
  '(fourth,canceled,true,2026-05-25T08:00:00+00:00)',
  'the row has the newest content and is canceled');

-- a host who is replaced, told by webhooks in any order and by a direct fetch
insert into snapshot
  select 'host', s.place, s.via, tests.event('E1', s.changes)
  from (values
    (1, 'webhook', tests.hosted_by('ana') || '{"updated_at": "2026-05-20T08:00:00.000001Z"}'),
    (2, 'webhook', tests.hosted_by('ben') || '{"updated_at": "2026-05-20T08:00:00.000002Z"}'),
    (3, 'webhook', tests.hosted_by('ben')
      || '{"updated_at": "2026-05-20T08:00:00.000003Z", "name": "moved"}'),
    (4, 'read', tests.hosted_by('ben')
      || '{"updated_at": "2026-05-20T08:00:00.000003Z", "name": "moved"}')
  ) s (place, via, changes);
create temporary table host as
  select places, tests.outcome_of('host', places) as rows from permutation;
select is((select count(distinct rows) from host where places[1] = 1), 1::bigint,
  'every later order marks the row of a former host as reassigned');
select is((select count(distinct rows) from host where places[1] <> 1), 1::bigint,
  'an old delivery that comes late makes no row for a former host');
select is(
  (select array_agg(distinct rows #>> '{0,deleted_reason}') from host where places[1] = 1),
  array['reassigned'], 'the row of a former host stays, marked as deleted');
select is(
  (select array_agg(distinct jsonb_array_length(rows)) from host where places[1] <> 1), array[1],
  'a former host who never had the row gets none');
select is((select count(distinct rows -> -1) from host), 1::bigint,
  'the new host''s row is the same in every order');

select * from finish();
rollback;
