-- A reschedule links two meetings both ways, the canceled one and the new one, whichever is known
-- first.
begin;
select plan(25);
select calendly.set_clock('2026-06-01T12:00:00Z');
select tests.add_person('ana');
select tests.add_person('ben');
create function tests.id_in(event_uri text) returns text language sql as $$
  select substring(event_uri from '[^/]+$')
$$;
create function tests.links() returns text language sql as $$
  select string_agg(
    format('%s: %s -> %s', tests.id_in(m.calendly_event_uri), tests.id_in(m.rescheduled_from),
      tests.id_in(m.rescheduled_to)),
    ', ' order by m.calendly_event_uri, m.user_id)
  from public.calendly_meetings m
$$;
create function tests.link(variadic events text[]) returns text language sql as $$
  select string_agg(tests.id_in(l.event_uri), ' ' order by l.event_uri)
  from calendly.link_reschedules(array(
    select tests.event_uri(event) from unnest(events) event), null) l
$$;
create function tests.moved_to(event text) returns jsonb language sql as $$
  select jsonb_build_object('status', 'canceled', 'rescheduled', true,
    'new_invitee', tests.invitee_uri(event, 'ines'))
$$;
create function tests.moved_from(event text) returns jsonb language sql as $$
  select jsonb_build_object('old_invitee', tests.invitee_uri(event, 'ines'))
$$;
create temporary table half as select
  tests.invitee('old', 'ines', tests.moved_to('new')) as old,
  tests.invitee('new', 'ines', tests.moved_from('old')) as new;
select tests.apply_event(tests.event(event)) from unnest('{old,new}'::text[]) event;

-- the old half first
savepoint nothing_known;
select tests.apply_invitee(old) from half;
select is(tests.link('old'), 'old', 'the canceled invitee tells what replaces the old meeting');
select is(tests.links(), 'new:  -> , old:  -> new',
  'the old meeting is linked before the new invitee is known');
select tests.apply_invitee(new) from half;
select is(tests.link('new'), 'new', 'the new invitee tells what the new meeting replaces');
select is(tests.links(), 'new: old -> , old:  -> new',
  'both meetings are linked where the old one was known first');
create temporary table versions as select tests.row_versions() as before;
select is(tests.link('old', 'new'), null, 'meetings that are linked are not linked again');
select is(tests.row_versions(), before, 'meetings that are linked get no new row version')
  from versions;
rollback to nothing_known;

-- the new half first
select tests.apply_invitee(new) from half;
select is(tests.link('new'), 'new', 'the new meeting is linked where it is known first');
select is(tests.links(), 'new: old -> , old:  -> ',
  'the old meeting is not linked while its invitee is unknown');
select tests.apply_invitee(tests.invitee('old', 'ines'));
select is(tests.link('new'), 'old',
  'the new invitee links an old meeting whose invitee does not tell of it');
select is(tests.links(), 'new: old -> , old:  -> new',
  'both meetings are linked where the new one was known first');
select tests.apply_invitee(old || '{"updated_at": "2026-05-21T00:00:00Z"}') from half;
select is(tests.link('old'), null, 'the canceled invitee that comes late changes no link');
rollback to nothing_known;
select tests.apply_invitee(tests.invitee('old', 'ines'));
select tests.apply_invitee(new) from half;
select is(tests.link('old'), 'old',
  'a read of the old meeting finds the new one, though only the new invitee tells of it');
rollback to nothing_known;

-- the new half at another host, as a round robin does
select tests.apply_event(tests.event('moved', tests.hosted_by('ben')));
select tests.apply_invitee(tests.invitee('old', 'ines', tests.moved_to('moved')));
select tests.apply_invitee(tests.invitee('moved', 'ines', tests.moved_from('old')));
select is(tests.link('old', 'moved'), 'moved old', 'a reschedule to another host is linked');
select is(tests.links(), 'moved: old -> , new:  -> , old:  -> moved',
  'a reschedule to another host is linked in the rows of both hosts');
rollback to nothing_known;

-- a chain
select tests.apply_event(tests.event('newest'));
select tests.apply_invitee(old) from half;
select tests.apply_invitee(new || tests.moved_to('newest')) from half;
select tests.apply_invitee(tests.invitee('newest', 'ines', tests.moved_from('new')));
select tests.link('old', 'new', 'newest');
select is(tests.links(), 'new: old -> newest, newest: new -> , old:  -> new',
  'two reschedules make a chain');
rollback to nothing_known;

-- a group event: only the invitee moves
select tests.apply_invitee(old) from half;
select tests.apply_invitee(tests.invitee('old', 'jo'));
select is(tests.link('old'), null, 'one invitee who moves does not reschedule a group event');
select tests.apply_invitee(new) from half;
select tests.link('new');
select is(tests.links(), 'new: old -> , old:  -> ',
  'a new meeting of one invitee tells which group event the invitee came from');
select tests.apply_invitee(tests.invitee('new', 'kim'));
select is(tests.link('new'), 'new', 'a second invitee changes the link of a meeting');
select is(tests.links(), 'new:  -> , old:  -> ',
  'a meeting of two invitees replaces no other, whoever was known first');
rollback to nothing_known;

-- by deliveries, of which few can change a link
create function tests.deliver(event text, name text, changes jsonb default '{}') returns text
language sql as $$
  select public.calendly_receive_webhook(jsonb_build_object(
    'signed_at', extract(epoch from calendly.now()), 'digest', '',
    'body', jsonb_build_object(
      'event', case changes ->> 'status' when 'canceled' then 'invitee.canceled'
        else 'invitee.created' end,
      'created_at', calendly.to_calendly(calendly.now()), 'created_by', tests.host('ana'),
      'payload', tests.invitee(event, name, changes)
        || jsonb_build_object('scheduled_event', tests.event(event))))) ->> 'status'
$$;
select is(tests.deliver('new', 'ines', tests.moved_from('old')), 'processed',
  'the new booking is delivered first');
select is(tests.links(), 'new: old -> , old:  -> ',
  'a delivery links the meeting of a new booking');
select tests.deliver('old', 'ines', '{"status": "canceled"}');
select is(tests.links(), 'new: old -> , old:  -> new',
  'a delivery links an old meeting whose invitee does not tell of the new one');
select is(calendly.may_link(tests.event_uri('old'), calendly.read_invitee(
    tests.invitee('old', 'jo'), calendly.now())), true,
  'a second invitee may change the link of a meeting');
select tests.deliver('new', 'kim');
select is(tests.links(), 'new:  -> , old:  -> new',
  'a delivery takes the link of a meeting away that gets a second invitee');
select tests.apply_event(tests.event('other'));
select is(calendly.may_link(tests.event_uri('other'), calendly.read_invitee(
    tests.invitee('other', 'jo'), calendly.now())), false,
  'a first booking that replaces none changes no link');

select * from finish();
rollback;
