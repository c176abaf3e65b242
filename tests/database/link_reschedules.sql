-- A reschedule is one story: old canceled, new created, linked both ways, whichever half comes first.
begin;
select plan(19);
select calendly.set_clock('2026-06-01T12:00:00Z');
select tests.add_person('ana');
select tests.add_person('ben');
create function tests.links() returns text language sql as $$
  select string_agg(format('%s: %s -> %s', substring(m.calendly_event_uri from '[^/]+$'), substring(m.rescheduled_from from '[^/]+$'), substring(m.rescheduled_to from '[^/]+$')), ', ' order by m.calendly_event_uri, m.user_id)
  from public.meetings m
$$;
create function tests.link(variadic events text[]) returns text language sql as $$
  select string_agg(substring(l.event_uri from '[^/]+$'), ' ' order by l.event_uri) from calendly.link_reschedules(array(select tests.event_uri(event) from unnest(events) event), null) l
$$;
create temporary table half as select
  tests.invitee('old', 'ines', jsonb_build_object('status', 'canceled', 'rescheduled', true, 'new_invitee', tests.invitee_uri('new', 'ines'))) as old,
  tests.invitee('new', 'ines', jsonb_build_object('old_invitee', tests.invitee_uri('old', 'ines'))) as new;
select tests.apply_event(tests.event(event)) from unnest('{old,new}'::text[]) event;

-- the old half first
savepoint nothing_known;
select tests.apply_invitee(old) from half;
select is(tests.link('old'), 'old', 'the old half tells what replaces it');
select is(tests.links(), 'new:  -> , old:  -> new', 'before the new half is known');
select tests.apply_invitee(new) from half;
select is(tests.link('new'), 'new', 'the new half tells what it replaces');
select is(tests.links(), 'new: old -> , old:  -> new', 'and both are linked');
create temporary table lie as select tests.row_versions() as before;
select is(tests.link('old', 'new'), null, 'what is linked is not linked again');
select is(tests.row_versions(), before, 'and writes no row version') from lie;
rollback to nothing_known;

-- the new half first
select tests.apply_invitee(new) from half;
select is(tests.link('new'), 'new', 'where the new half comes first');
select is(tests.links(), 'new: old -> , old:  -> ', 'the old meeting''s invitee is not known yet');
select tests.apply_invitee(tests.invitee('old', 'ines'));
select is(tests.link('new'), 'old', 'the new half links an old one that does not know of it');
select is(tests.links(), 'new: old -> , old:  -> new', 'and both are linked');
select tests.apply_invitee(old || '{"updated_at": "2026-05-21T00:00:00Z"}') from half;
select is(tests.link('old'), null, 'the old half, late, changes nothing any more');
rollback to nothing_known;
select tests.apply_invitee(tests.invitee('old', 'ines'));
select tests.apply_invitee(new) from half;
select is(tests.link('old'), 'old', 'reading the old half finds the new one, though only the new one tells');
rollback to nothing_known;

-- the new half at another host, as a round robin does
select tests.apply_event(tests.event('moved', tests.hosted_by('ben')));
select tests.apply_invitee(tests.invitee('old', 'ines', jsonb_build_object('status', 'canceled', 'rescheduled', true, 'new_invitee', tests.invitee_uri('moved', 'ines'))));
select tests.apply_invitee(tests.invitee('moved', 'ines', jsonb_build_object('old_invitee', tests.invitee_uri('old', 'ines'))));
select is(tests.link('old', 'moved'), 'moved old', 'a reschedule to another host is linked as well');
select is(tests.links(), 'moved: old -> , new:  -> , old:  -> moved', 'in the rows of both');
rollback to nothing_known;

-- a chain
select tests.apply_event(tests.event('newest'));
select tests.apply_invitee(old) from half;
select tests.apply_invitee(new || jsonb_build_object('status', 'canceled', 'rescheduled', true, 'new_invitee', tests.invitee_uri('newest', 'ines'))) from half;
select tests.apply_invitee(tests.invitee('newest', 'ines', jsonb_build_object('old_invitee', tests.invitee_uri('new', 'ines'))));
select tests.link('old', 'new', 'newest');
select is(tests.links(), 'new: old -> newest, newest: new -> , old:  -> new', 'who reschedules twice makes a chain');
rollback to nothing_known;

-- a group event: only the invitee moves
select tests.apply_invitee(old) from half;
select tests.apply_invitee(tests.invitee('old', 'jo'));
select is(tests.link('old'), null, 'a group event is not rescheduled by one of its invitees');
select tests.apply_invitee(new) from half;
select tests.link('new');
select is(tests.links(), 'new: old -> , old:  -> ', 'the new meeting of that one invitee tells where it came from');
select tests.apply_invitee(tests.invitee('new', 'kim'));
select is(tests.link('new'), 'new', 'until someone else joins, who came from nowhere');
select is(tests.links(), 'new:  -> , old:  -> ', 'so that it does not matter who was known first');

select * from finish();
rollback;
