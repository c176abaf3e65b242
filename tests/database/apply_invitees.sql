-- Everyone who booked a seat, each by the own clock.
begin;
select plan(38);
select calendly.set_clock('2026-06-01T12:00:00Z');
select tests.add_person('ana');
select tests.add_person('ben');
select tests.apply_event(tests.event('E1'));
create function tests.ines() returns public.meeting_invitees language sql as $$ select v from public.meeting_invitees v where v.uri = tests.invitee_uri('E1', 'ines') $$;

-- a new one
select is(tests.apply_invitee(tests.invitee('E1', 'ines', '{"payment": {"amount": "12.50", "currency": "EUR", "provider": "stripe"}}')), 'changed', 'a new invitee makes a row');
select is(row(i.meeting_id, i.user_id)::text, row(m.id, m.user_id)::text, 'of the meeting and its user') from tests.ines() i, tests.meeting('E1') m;
select is(row(i.email, i.name, i.timezone, i.status, i.rescheduled)::text, '(ines@guest.example.com,Ines,Europe/Lisbon,active,f)', 'with who they are') from tests.ines() i;
select is(i.questions_and_answers #>> '{0,answer}', '1', 'what they answered') from tests.ines() i;
select is(i.tracking ->> 'utm_source', 'news', 'where they came from') from tests.ines() i;
select is(i.payment ->> 'amount', '12.50', 'what they paid') from tests.ines() i;
select is(row(i.calendly_updated_at, i.created_at, i.updated_at)::text, row('2026-05-20T08:00:00.000001Z'::timestamptz, calendly.now(), calendly.now())::text, 'and when') from tests.ines() i;
select is(i.raw, tests.invitee('E1', 'ines', '{"payment": {"amount": "12.50", "currency": "EUR", "provider": "stripe"}}'), 'all of it is in the raw copy') from tests.ines() i;
select is(tests.apply_invitee(tests.invitee('E1', 'jo', '{"name": null, "email": null, "timezone": null, "tracking": null, "payment": null, "questions_and_answers": null, "rescheduled": null}')), 'changed', 'someone of whom nothing is known is an invitee');
select is((select row(v.name, v.email, v.timezone, v.tracking, v.payment, v.questions_and_answers, v.rescheduled)::text from public.meeting_invitees v where v.uri = tests.invitee_uri('E1', 'jo')), '(,,,,,,f)', 'and SQL null is what is not there');

-- unchanged
select tests.pass('1 hour');
create temporary table lie as select tests.row_versions() as before;
select is(tests.apply_invitee((tests.ines()).raw), 'unchanged', 'the same again changes nothing');
select is(tests.apply_invitee(tests.invitee('E1', 'ines', '{"name": "Old Name", "updated_at": "2026-05-20T08:00:00.000000Z"}')), 'unchanged', 'an older copy never overwrites a newer one');
select is(tests.apply_invitee(tests.invitee('E1', 'ines', '{"name": "Old Name", "updated_at": "2026-05-20T08:00:00.000000Z"}') - 'no_show', 'webhook'), 'unchanged', 'by a webhook neither');
select is(tests.row_versions(), before, 'and none of it writes a row version') from lie;

-- changed
select is(tests.apply_invitee(tests.invitee('E1', 'ines', '{"name": "Inês", "updated_at": "2026-05-20T08:00:00.000002Z"}')), 'changed', 'a newer copy counts, by a microsecond');
select is(row(i.name, i.payment, i.updated_at, i.created_at)::text, row('Inês', null::jsonb, '2026-06-01T13:00:00Z'::timestamptz, '2026-06-01T12:00:00Z'::timestamptz)::text, 'in every column, but for when the row was made') from tests.ines() i;

-- canceled is final
select is(tests.apply_invitee(tests.invitee('E1', 'ines', '{"status": "canceled", "updated_at": "2026-05-21T00:00:00Z", "cancellation": {"reason": "ill"}}')), 'changed', 'an invitee cancels');
select is(tests.apply_invitee(tests.invitee('E1', 'ines', '{"updated_at": "2026-05-22T00:00:00Z"}')), 'changed', 'a later copy that says active');
select is(row(i.status, i.raw #>> '{cancellation,reason}')::text, '(canceled,ill)', 'does not revive the seat') from tests.ines() i;
select is(tests.apply_invitee(tests.invitee('E1', 'jo', '{"updated_at": "2026-05-30T00:00:00Z"}'), 'webhook') , 'changed', 'of a newer active copy');
select is(tests.apply_invitee(tests.invitee('E1', 'jo', '{"status": "canceled", "updated_at": "2026-05-29T00:00:00Z"}'), 'webhook'), 'changed', 'and an older canceled one');
select is((select v.status from public.meeting_invitees v where v.uri = tests.invitee_uri('E1', 'jo')), 'canceled', 'the cancellation stands');
select is(row(m.status, m.is_deleted)::text, '(active,f)', 'and the event survives its invitees'' cancellations: its own status decides') from tests.meeting('E1') m;

-- at one time
select tests.apply_invitee(tests.invitee('E1', 'kim') - '{timezone,payment}'::text[], 'webhook');
select is(tests.apply_invitee(tests.invitee('E1', 'kim', '{"name": "Kim of the API"}'), 'reading'), 'changed', 'at equal time the API''s copy completes a webhook''s');
select is(tests.apply_invitee(tests.invitee('E1', 'kim', '{"name": "Kim of the webhook", "only": 1}') - '{timezone,payment}'::text[], 'webhook'), 'changed', 'whichever came first');
select is((select row(v.name, v.timezone, v.raw -> 'only')::text from public.meeting_invitees v where v.uri = tests.invitee_uri('E1', 'kim')), '("Kim of the API",Europe/Lisbon,1)', 'and is believed where both tell');

-- whose
select is(tests.apply_invitee(tests.invitee('E99', 'ines')), null, 'an invitee of an unknown event makes no row');
select tests.apply_event(tests.event('E2', tests.hosted_by('ana', 'ben')));
select is(tests.apply_invitee(tests.invitee('E2', 'ines')), 'changed; changed', 'an invitee of a collective event is in the meeting of each host');
select results_eq($$select v.user_id from public.meeting_invitees v where v.uri = tests.invitee_uri('E2', 'ines') order by 1$$, $$select tests.id_of(name) from unnest('{ana,ben}'::text[]) name order by 1$$, 'as that host''s row');
select is((select count(*) from calendly.apply_invitees(array[calendly.read_invitee(tests.invitee('E2', 'jo'), calendly.now())], false, array[tests.id_of('ben')])), 1::bigint, 'a user''s run writes that user''s rows only');
select is((select count(*) from public.meeting_invitees v where v.uri = tests.invitee_uri('E2', 'jo') and v.user_id = tests.id_of('ana')), 0::bigint, 'and nobody else''s');
select tests.apply_event(tests.event('E2', tests.hosted_by('ben') || '{"updated_at": "2026-05-21T00:00:00Z"}'), 'webhook');
select is(tests.apply_invitee(tests.invitee('E2', 'kim'), 'webhook'), 'changed', 'a former host learns of no new invitee');
select is((select array_agg(v.user_id) from public.meeting_invitees v where v.uri = tests.invitee_uri('E2', 'kim')), array[tests.id_of('ben')], 'the new one does');
select public.calendly_disconnect(tests.account_of('ben'));
select is(tests.apply_invitee(tests.invitee('E2', 'lea'), 'webhook'), null, 'nor does who has disconnected');

-- many
select is((select bool_and(o.changed) from calendly.apply_invitees(array(select calendly.read_invitee(tests.invitee('E1', 'guest' || n), calendly.now()) from generate_series(1, 300) n), false, null) o), true, 'three hundred invitees of one event are applied at once');
select is((select count(*) from public.meeting_invitees where uri like tests.invitee_uri('E1', 'guest') || '%'), 300::bigint, 'all of them');
update lie set before = tests.row_versions();
select is((select bool_or(o.changed) from calendly.apply_invitees(array(select calendly.read_invitee(tests.invitee('E1', 'guest' || n), calendly.now()) from generate_series(1, 300) n), false, null) o), false, 'the same three hundred again change nothing');
select is(tests.row_versions(), before, 'and write nothing') from lie;

select * from finish();
rollback;
