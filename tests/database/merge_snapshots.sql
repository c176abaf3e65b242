-- Two snapshots of one event become one: time decides, then content; canceled is final.
begin;
select plan(32);

create function tests.merged(
  stored jsonb, stored_at integer, stored_by text,
  incoming jsonb, incoming_at integer, incoming_by text
) returns jsonb language sql as $$
  select calendly.merge_snapshots(
    stored, '2026-06-01'::timestamptz + stored_at * interval '1 microsecond',
    stored_by = 'webhook',
    incoming, '2026-06-01'::timestamptz + incoming_at * interval '1 microsecond',
    incoming_by = 'webhook')
$$;
-- who told the stored snapshot, and who the incoming one
create temporary table way as
  select stored_by, incoming_by
  from unnest('{api,webhook}'::text[]) stored_by, unnest('{api,webhook}'::text[]) incoming_by;

-- time
select is(tests.merged(null, null, null, '{"name": "new"}', 1, 'api'), '{"name": "new"}',
  'a new snapshot is taken as it is');
select is(
    tests.merged('{"name": "old", "gone": 1}', 1, stored_by, '{"name": "new"}', 2, incoming_by),
    '{"name": "new"}',
    format('a snapshot (%s) that is newer by a microsecond replaces an older one (%s)',
      incoming_by, stored_by))
  from way;
select is(
    tests.merged('{"name": "new"}', 2, stored_by, '{"name": "old", "gone": 1}', 1, incoming_by),
    '{"name": "new"}',
    format('an older snapshot (%s) changes nothing of a newer one (%s)', incoming_by, stored_by))
  from way;

-- canceled is final
create temporary table canceled as select
  '{"status": "canceled", "name": "old", "cancellation": {"reason": "ill"}}'::jsonb as snapshot;
select is(
    tests.merged(snapshot, 1, stored_by,
      '{"status": "active", "name": "new"}', 2, incoming_by),
    '{"status": "canceled", "name": "new", "cancellation": {"reason": "ill"}}',
    format('a newer active snapshot (%s) does not revive a canceled event (%s)',
      incoming_by, stored_by))
  from canceled, way;
select is(
    tests.merged('{"status": "active", "name": "new"}', 2, stored_by,
      snapshot, 1, incoming_by),
    '{"status": "canceled", "name": "new", "cancellation": {"reason": "ill"}}',
    format('an older cancellation (%s) cancels a newer snapshot (%s)', incoming_by, stored_by))
  from canceled, way;
select is(
    tests.merged(snapshot, 1, 'webhook', '{"status": "active"}', 1, 'api') ->> 'status',
    'canceled', 'at equal time a webhook''s cancellation wins against the API''s active snapshot')
  from canceled;
select is(
    tests.merged('{"status": "active"}', 1, 'api', snapshot, 1, 'webhook')
      #>> '{cancellation,reason}',
    'ill', 'a webhook''s cancellation brings its reason')
  from canceled;
select is(
  tests.merged('{"status": "active", "name": "b"}', 2, 'api',
    '{"status": "canceled"}', 1, 'webhook'),
  '{"status": "canceled", "name": "b"}', 'a cancellation without details cancels');

-- equal time: keys
select is(
  tests.merged('{"a": "api", "b": "api"}', 1, 'api', '{"a": "api, later"}', 1, 'api'),
  '{"a": "api, later"}', 'of two snapshots of the API at equal time the later one wins');
select is(
  tests.merged('{"a": "webhook", "only": "webhook"}', 1, 'webhook',
    '{"a": "api", "more": null}', 1, 'api'),
  '{"a": "api", "more": null, "only": "webhook"}',
  'at equal time the API''s snapshot beats a webhook''s, and a present key beats a missing one');
select is(
  tests.merged('{"a": "api", "more": null}', 1, 'api',
    '{"a": "webhook", "only": "webhook"}', 1, 'webhook'),
  '{"a": "api", "more": null, "only": "webhook"}',
  'at equal time the API''s snapshot wins also where it came first');
select is(
  tests.merged('{"a": "1", "b": null}', 1, 'webhook',
    '{"a": "2", "b": {"x": 1}}', 1, 'webhook'),
  tests.merged('{"a": "2", "b": {"x": 1}}', 1, 'webhook',
    '{"a": "1", "b": null}', 1, 'webhook'),
  'the order of two webhooks at equal time does not matter');
select is(tests.merged('{"b": null}', 1, 'webhook', '{"b": {"x": 1}}', 1, 'webhook'),
  '{"b": {"x": 1}}', 'of two webhooks at equal time a value beats null');

-- equal time: the counter
select is(
  tests.merged(tests.seats(3, 2, 8), 1, 'webhook', tests.seats(2, 2, 8), 1, 'webhook'),
  tests.seats(3, 2, 8), 'a delivery that comes late does not lower the total');
select is(
  tests.merged(tests.seats(3, 3, 8), 1, 'webhook', tests.seats(2, 1, 8), 1, 'webhook'),
  tests.seats(3, 2, 8), 'the greater number of canceled seats wins, whatever the total');
select is(
  tests.merged(tests.seats(2, 1, 8), 1, 'api', tests.seats(3, 3, 8), 1, 'webhook'),
  tests.seats(3, 2, 8), 'a webhook''s greater total wins against the API''s snapshot');
select is(
  tests.merged(tests.seats(2, 1, 8), 1, 'api', '{"invitees_counter": null}', 1, 'webhook'),
  tests.seats(2, 1, 8), 'a webhook without a counter leaves the API''s');

-- equal time: the conference
select is(
    tests.merged(stored, 1, stored_by, incoming, 1, incoming_by) #>> '{location,join_url}',
    'https://zoom.us/j/1', sentence)
from (values
  ('{"location": {"status": "pushed", "join_url": "https://zoom.us/j/1"}}'::jsonb, 'webhook',
    '{"location": {"status": "processing", "join_url": "https://calendly.com/wait"}}'::jsonb,
    'api', 'a webhook''s settled conference beats the API''s that is still being made'),
  ('{"location": {"status": "initiated"}}', 'api',
    '{"location": {"status": "pushed", "join_url": "https://zoom.us/j/1"}}', 'webhook',
    'a settled conference wins also where it comes second'),
  ('{"location": {"status": "processing", "join_url": "z"}}', 'webhook',
    '{"location": {"status": "pushed", "join_url": "https://zoom.us/j/1"}}', 'webhook',
    'a settled conference wins between two webhooks')
) conference (stored, stored_by, incoming, incoming_by, sentence);

select * from finish();
rollback;
