-- Two copies of one event become one: time decides, then content; canceled is final.
begin;
select plan(31);

create function tests.merged(
  stored jsonb, stored_at integer, stored_by text, incoming jsonb, incoming_at integer, incoming_by text
) returns jsonb language sql as $$
  select calendly.merge_copy(
    stored, '2026-06-01'::timestamptz + stored_at * interval '1 microsecond', stored_by = 'webhook',
    incoming, '2026-06-01'::timestamptz + incoming_at * interval '1 microsecond', incoming_by = 'webhook')
$$;
create temporary table way as select * from unnest('{api,webhook}'::text[]) a (one), unnest('{api,webhook}'::text[]) b (other);

-- time
select is(tests.merged(null, null, null, '{"name": "new"}', 1, 'api'), '{"name": "new"}', 'what is new is taken as it is');
select is(tests.merged('{"name": "old", "gone": 1}', 1, one, '{"name": "new"}', 2, other), '{"name": "new"}', format('a newer copy (%s) replaces an older one (%s), by a microsecond', other, one)) from way;
select is(tests.merged('{"name": "new"}', 2, one, '{"name": "old", "gone": 1}', 1, other), '{"name": "new"}', format('an older copy (%s) changes nothing of a newer one (%s)', other, one)) from way;

-- canceled is final
create temporary table canceled as select '{"status": "canceled", "name": "old", "cancellation": {"reason": "ill"}}'::jsonb as copy;
select is(tests.merged(copy, 1, one, '{"status": "active", "name": "new"}', 2, other), '{"status": "canceled", "name": "new", "cancellation": {"reason": "ill"}}', format('a newer copy (%s) does not revive what is canceled (%s)', other, one)) from canceled, way;
select is(tests.merged('{"status": "active", "name": "new"}', 2, one, copy, 1, other), '{"status": "canceled", "name": "new", "cancellation": {"reason": "ill"}}', format('an older cancellation (%s) still cancels (%s)', other, one)) from canceled, way;
select is(tests.merged(copy, 1, 'webhook', '{"status": "active"}', 1, 'api') ->> 'status', 'canceled', 'at equal time a webhook''s cancellation stands against the API''s active copy') from canceled;
select is(tests.merged('{"status": "active"}', 1, 'api', copy, 1, 'webhook') #>> '{cancellation,reason}', 'ill', 'and brings its reason') from canceled;
select is(tests.merged('{"status": "active", "name": "b"}', 2, 'api', '{"status": "canceled"}', 1, 'webhook'), '{"status": "canceled", "name": "b"}', 'a cancellation without details cancels as well');

-- equal time: keys
select is(tests.merged('{"a": "api", "b": "api"}', 1, 'api', '{"a": "api, later"}', 1, 'api'), '{"a": "api, later"}', 'of two readings at the same updated_at the later one knows more');
select is(tests.merged('{"a": "webhook", "only": "webhook"}', 1, 'webhook', '{"a": "api", "more": null}', 1, 'api'), '{"a": "api", "more": null, "only": "webhook"}', 'the API''s copy beats a webhook''s, a present key an absent one');
select is(tests.merged('{"a": "api", "more": null}', 1, 'api', '{"a": "webhook", "only": "webhook"}', 1, 'webhook'), '{"a": "api", "more": null, "only": "webhook"}', 'whichever came first');
select is(tests.merged('{"a": "1", "b": null}', 1, 'webhook', '{"a": "2", "b": {"x": 1}}', 1, 'webhook'), tests.merged('{"a": "2", "b": {"x": 1}}', 1, 'webhook', '{"a": "1", "b": null}', 1, 'webhook'), 'of two webhooks neither is better: their order does not matter');
select is(tests.merged('{"b": null}', 1, 'webhook', '{"b": {"x": 1}}', 1, 'webhook'), '{"b": {"x": 1}}', 'and something beats null');

-- equal time: the counter
select is(tests.merged(tests.seats(3, 2, 8), 1, 'webhook', tests.seats(2, 2, 8), 1, 'webhook'), tests.seats(3, 2, 8), 'the greater total wins: an out-of-order delivery does not count backwards');
select is(tests.merged(tests.seats(3, 3, 8), 1, 'webhook', tests.seats(2, 1, 8), 1, 'webhook'), tests.seats(3, 2, 8), 'the greater number of canceled seats wins, by itself');
select is(tests.merged(tests.seats(2, 1, 8), 1, 'api', tests.seats(3, 3, 8), 1, 'webhook'), tests.seats(3, 2, 8), 'also against the API''s copy');

-- equal time: the conference
select is(tests.merged(stored, 1, stored_by, incoming, 1, incoming_by) #>> '{location,join_url}', 'https://zoom.us/j/1', sentence)
from (values
  ('{"location": {"status": "pushed", "join_url": "https://zoom.us/j/1"}}'::jsonb, 'webhook', '{"location": {"status": "processing", "join_url": "https://calendly.com/wait"}}'::jsonb, 'api', 'a settled conference link beats the API''s processing one'),
  ('{"location": {"status": "initiated"}}', 'api', '{"location": {"status": "pushed", "join_url": "https://zoom.us/j/1"}}', 'webhook', 'whichever came first'),
  ('{"location": {"status": "processing", "join_url": "z"}}', 'webhook', '{"location": {"status": "pushed", "join_url": "https://zoom.us/j/1"}}', 'webhook', 'also between two webhooks')
) conference (stored, stored_by, incoming, incoming_by, sentence);

select * from finish();
rollback;
