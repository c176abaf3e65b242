-- Erasing a person wherever the e-mail is: in any form, in what others have written, and in
-- deliveries of any state. Who is somebody else stays.
begin;
select plan(52);
select calendly.set_clock('2026-06-01T12:00:00Z');
select tests.add_person('ana');
create function tests.deliver(body jsonb) returns text language sql as $$
  select public.calendly_receive_webhook(jsonb_build_object('body', body,
    'digest', encode(sha256(body::text::bytea), 'hex'),
    'signed_at', extract(epoch from calendly.now()))) ->> 'status'
$$;
create function tests.delivery(event jsonb, invitee jsonb) returns jsonb language sql as $$
  select jsonb_build_object('event', 'invitee.created', 'created_at', '2026-06-01T12:00:00Z',
    'created_by', tests.host('ana'),
    'payload', invitee || jsonb_build_object('scheduled_event', event))
$$;
create function tests.seat(invitee text) returns public.calendly_invitees language sql as $$
  select v from public.calendly_invitees v where v.uri like '%/invitees/' || invitee limit 1
$$;
create function tests.stored() returns text language sql as $$
  select string_agg(row, ' ') from (
    select m::text from public.calendly_meetings m
    union all select v::text from public.calendly_invitees v
    union all select e::text from public.calendly_webhook_events e
    union all select r::text from public.calendly_sync_runs r) everything (row)
$$;

-- one address, many forms
select is(calendly.normal_email(form), 'jo.né@guest.example.com', format('%s is the same', to_json(form)))
from (values ('Jo.NÉ@Guest.Example.com'), (E'  jo.ne\u0301@guest.example.com\n'),
  ('ｊｏ．ｎé＠guest.example.com'), (E'jo.n\u00e9﹫guest.example.com'),
  (E'\u00a0jo.né@\u200bguest.example.com\u3000'), ('jo.né%40guest.example.com'),
  ('''jo.né@guest.example.com''.')) forms (form);
select isnt(calendly.normal_email(other), 'jo.né@guest.example.com', format('"%s" is another', other))
from unnest('{jo.ne@guest.example.com,jone@guest.example.com,jo.né+x@guest.example.com}'::text[])
  other;
select isnt(calendly.normal_email('ana@bücher.example'), calendly.normal_email('ana@xn--bcher-kva.example'),
  'a domain in letters and its xn-- form are two addresses');
select is(
  array(select e from unnest(calendly.emails_in(sent.document::jsonb)) e order by e),
  sent.expected::text[], sent.sentence)
from (values
  ('{"a": "one@x.example, two@x.example;three@x.example"}',
    '{one@x.example,three@x.example,two@x.example}', 'a list has several'),
  ('{"a": "Mail\none@x.example.\t(two@x.example)"}', '{one@x.example,two@x.example}',
    'line breaks, full stops and brackets are no part'),
  ('{"a": "Ana <one@x.example>", "two@x.example": 1}', '{one@x.example,two@x.example}',
    'one behind a name and one in a key are found'),
  ('{"a": [{"b": ["mailto:one@x.example"]}]}', '{one@x.example}', 'one deep inside is found'),
  ('{"event_memberships": [{"user_email": "ana@x.example"}]}', '{}', 'a host is none of them'),
  ('{"payload": {"scheduled_event": {"event_memberships": [{"user_email": "ana@x.example"}]}}}',
    '{}', 'nor is a host in a delivery'),
  ('{"a": "nobody @ home, a@b"}', '{a@b}', 'an @ by itself is no e-mail'),
  ('[]', '{}', 'a list without texts has none'), ('7', '{}', 'a number has none')
) sent (document, expected, sentence);
select ok('one@x.example' = any (calendly.emails_in('{"a": "https://y.example/?mail=one@x.example&z"}')),
  'one in a link is found');

-- whatever stands next to it: marks of any script, and scripts that are written without spaces
create temporary table neighbours as
  select b.before, a.after
  from unnest(array['', ' ', '•', '→', '—', '…', '、', '（', '請聯絡', 'メール：', 'Почта:', '_', '__', '~~',
    '-', 'mail=', '=', 'https://y.example/?mail=', 'ida@guest.example.com—',
    'ida@guest.example.com、', '÷', '😀']) b (before)
  cross join unnest(array['', ' ', '.', '。', '…', '—my boss', '→', '、ida@guest.example.com', '謝謝', '_', '~~',
    '?', '/', '）', '×', 'です', '😀']) a (after);
select is_empty($$select n.before, n.after from neighbours n
    where (calendly.emails_in(jsonb_build_object('a', n.before || 'jo@guest.example.com' || n.after))
      @> '{jo@guest.example.com}') is not true$$,
  'an e-mail is found whatever stands next to it');
select is_empty($$select n.before, n.after from neighbours n
    where calendly.without_emails(n.before || 'jo@guest.example.com' || n.after) like '%guest%'$$,
  'a message has no e-mail, whatever stands next to it');
select is(array(select e from unnest(calendly.emails_in(jsonb_build_object('a', text))) e
    where e like '%jo%' order by e), array[text], format('%s is one address', text))
  from unnest('{éjo@guest.example.com,jo@guest.example.comé,xjo@guest.example.com}'::text[]) text;

-- everything that tells of jo, and of ida, who is somebody else
create temporary table calendar as select
  array[
    tests.event('E1', tests.seats(4, 4, 9)
      || '{"name": "Call for JO@guest.example.com", "meeting_notes_plain": "ask jo@guest.example.com"}'),
    tests.event('E2', tests.seats(1, 0)
      || '{"location": {"type": "outbound_call", "location": "+351 912 345 678"}}'
      || tests.canceled('{"cancellation": {"canceled_by": "No Mail", "reason": "no time",
        "canceler_type": "invitee", "created_at": "2026-05-21T00:00:00.000000Z"}}')),
    tests.event('E3', tests.seats(1, 1) || jsonb_build_object(
      'location', '{"type": "custom", "location": "write to Jo@Guest.example.com"}'::jsonb))] as events,
  jsonb_build_object(
    'E1', array[tests.invitee('E1', 'jo', '{"email": "ＪＯ＠guest.example.com"}'),
      tests.invitee('E1', 'ida', '{"questions_and_answers": [{"question": "Who comes along?",
        "answer": "Jo\njo@guest.example.com", "position": 0}]}'),
      tests.invitee('E1', 'joe'), tests.invitee('E1', 'none', '{"email": null}')],
    'E2', array[tests.invitee('E2', 'caller', '{"email": null, "status": "canceled"}')],
    'E3', array[tests.invitee('E3', 'ivo')]) as invitees;
select tests.sync('ana', events, invitees) from calendar;
select is(tests.deliver(tests.delivery(events[1], tests.invitee('E1', 'joe')
  || '{"tracking": {"utm_content": "jo@guest.example.com"}}')), 'processed',
  'a delivery of somebody else names the person') from calendar;
select is(tests.deliver(tests.delivery(tests.event('E8', '{"start_time": "never"}'),
  tests.invitee('E8', 'jo'))), 'deferred', 'a deferred delivery is about the person');
select is(tests.deliver('{"event": "invitee.created", "payload": {"event": "x",
  "invitee": {"uuid": "u", "name": "Jo Unforgettable", "email": "Jo@guest.example.com"}}}'),
  'deferred', 'a delivery of an old shape is about the person');
select is(tests.deliver('{"event": "invitee.created", "payload": ["jo@guest.example.com"]}'),
  'deferred', 'a delivery of no shape names the person');
update public.calendly_webhook_events set status = 'dead' where payload -> 'payload' ? 'invitee';
select is(tests.deliver('{"event": "contact.created",
  "payload": {"contact": {"name": "Jo Unforgettable", "email": "jo@guest.example.com"}}}'),
  'ignored', 'a delivery of another type is ignored');
select is((select e.payload from public.calendly_webhook_events e where e.status = 'ignored'), null,
  'what is ignored is kept without its payload');
create temporary table others as
  select v.uri, v.email, v.name from public.calendly_invitees v
  where v.uri like any ('{%/joe,%/none,%/caller,%/ivo}');

select is(public.calendly_erase_invitee('Jo@Guest.example.com'),
  '{"invitees": 2, "meetings": 2, "webhook_events": 4}',
  'an erasure counts every row that told of the person');
select ok(tests.stored() !~* '\mjo@|ＪＯ＠|Unforgettable', 'the person is stored nowhere');
select is_empty($$select n.before, n.after from neighbours n
    where calendly.redact_erased_text(n.before || 'jo@guest.example.com' || n.after) ~ '\mjo@'
      or (n.before || n.after ~ 'ida@') is distinct from
        (calendly.redact_erased_text(n.before || 'jo@guest.example.com' || n.after) ~ 'ida@')$$,
  'of a text the e-mail goes whatever stands next to it, and others stay');
select is(row(v.email, v.name)::text, '(,)', 'the seat of the person is anonymous')
  from tests.seat('jo') v;
select is(row(v.email, v.name)::text, '(ida@guest.example.com,Ida)', 'who named the person stays')
  from tests.seat('ida') v;
select is(v.questions_and_answers #>> '{0,answer}', E'Jo\n[erased]',
  'from an answer the e-mail alone is removed') from tests.seat('ida') v;
select is(v.email, 'joe@guest.example.com', 'an address that ends or begins alike is another')
  from tests.seat('joe') v;
select is(m.name, 'Call for [erased]', 'the name of a meeting has the e-mail no more')
  from tests.meeting('E1') m;
select is(m.location, 'write to [erased]', 'nor has the location') from tests.meeting('E3') m;
select is(calendly.redact_invitee_details('{"location": {"type": "Outbound_Call", "location": "+351"}}'),
  '{"location": {"type": "Outbound_Call"}}', 'what an invitee typed goes whatever the case of its kind');

-- an invitee without an e-mail is nobody who was erased
select is(row(m.cancellation ->> 'reason', m.cancellation ->> 'canceled_by', m.location)::text,
  '("no time","No Mail","+351 912 345 678")',
  'what an invitee without an e-mail has told of the event stays') from tests.meeting('E2') m;
select tests.pass('1 hour');
select tests.sync('ana', events, invitees, forced => true) from calendar;
select is(row(m.cancellation ->> 'reason', m.location)::text, '("no time","+351 912 345 678")',
  'it stays when it is fetched again') from tests.meeting('E2') m;
select results_eq('select v.uri, v.email, v.name from public.calendly_invitees v
    where v.uri in (select o.uri from others o) order by 1',
  'select o.uri, o.email, o.name from others o order by 1',
  'other invitees, without an e-mail too, keep their names');
select ok(tests.stored() !~* '\mjo@|ＪＯ＠', 'a FULL sync brings the person back nowhere');

-- a later booking
select is(tests.deliver(tests.delivery(tests.event('E9', '{"created_at": "2026-06-01T12:30:00Z"}'),
    tests.invitee('E9', 'jo', '{"created_at": "2026-06-01T12:30:00Z"}'))), 'processed',
  'a later booking of the person is processed');
select is(row(v.email, v.name, v.status)::text, '(,,active)', 'the seat of a later booking is anonymous')
  from public.calendly_invitees v where v.uri = tests.invitee_uri('E9', 'jo');
delete from calendly.erased_people
  where email_digest = calendly.email_digest('JO@guest.example.com');
select tests.pass('1 hour');
select tests.sync('ana', array[tests.event('E9', '{"created_at": "2026-06-01T12:30:00Z"}')],
  jsonb_build_object('E9', array[tests.invitee('E9', 'jo')]), forced => true);
select is(v.email, 'jo@guest.example.com', 'without the mark a forced FULL sync brings the person back')
  from public.calendly_invitees v where v.uri = tests.invitee_uri('E9', 'jo');

-- what a run or a delivery tells has no e-mail, whoever's
select tests.begin('ana');
select tests.bring('ana', tests.page(array['{"uri": "mailto:ida@guest.example.com"}'::jsonb]));
select is((tests.run_of('ana')).rejections #>> '{0,uri}', 'mailto:[e-mail]',
  'a rejection has no e-mail');
create function tests.refuse() returns trigger language plpgsql as $$
begin
  raise exception 'unknown attendee <%>', new.email;
end
$$;
create trigger refuse before insert on public.calendly_invitees
  for each row execute function tests.refuse();
select is(tests.deliver(tests.delivery(tests.event('E10'), tests.invitee('E10', 'ida'))), 'deferred',
  'a delivery that a trigger of the app refuses is deferred');
select is((select e.error ->> 'message' from public.calendly_webhook_events e
  where e.error ->> 'message' like 'unknown%'), 'unknown attendee <[e-mail]>',
  'its error has no e-mail');

select * from finish();
rollback;
