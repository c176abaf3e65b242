-- Who waits for the consent page, and for which consent.
begin;
select plan(7);
select calendly.set_clock('2026-06-01T12:00:00Z');
select tests.add_account('ana@example.com');
select tests.add_account('ben@example.com');

create function pg_temp.begin_consent(person text, state text, again boolean default null)
returns void language sql as $$
  select public.calendly_start_oauth(jsonb_strip_nulls(jsonb_build_object(
    'auth_user_id', tests.account_of(person), 'id', gen_random_uuid(), 'state_digest', state,
    'verifier_jwe', 'verifier', 'scope', 'user', 'replace', false, 'again', again)))
$$;
create function pg_temp.waiting() returns text language sql as $$
  select string_agg(o.state_digest, ' ' order by o.state_digest) from calendly.oauth_states o
$$;
create function pg_temp.take(person text, state text) returns text language sql as $$
  select public.calendly_take_oauth_state(tests.account_of(person), state) ->> 'verifier_jwe'
$$;

select pg_temp.begin_consent('ana', 'one');
select pg_temp.begin_consent('ben', 'other');
select pg_temp.begin_consent('ana', 'two');
select is(pg_temp.waiting(), 'other two', 'an earlier attempt of the same account ends');
select is(pg_temp.take('ana', 'two'), 'verifier', 'a consent is taken');
select is(pg_temp.waiting(), 'other', 'once');

-- A consent that could not be finished is put back.
select pg_temp.begin_consent('ana', 'two', true);
select is(pg_temp.waiting(), 'other two', 'one that is put back can be finished');
select is(pg_temp.take('ana', 'two'), 'verifier', 'by the person who began it');
select pg_temp.begin_consent('ana', 'three');
select pg_temp.begin_consent('ana', 'two', true);
select is(pg_temp.waiting(), 'other three', 'one that is put back does not end a newer one');
select pg_temp.begin_consent('ana', 'four');
select is(pg_temp.waiting(), 'four other', 'and one that is begun does');

select * from finish();
rollback;
