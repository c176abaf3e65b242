-- The invitees of events: all of them, each by its own clock, and what they tell of a reschedule.

create type calendly.invitee_change as (
  user_id integer,
  event_uri text,
  invitee_uri text,
  copy calendly.invitee_copy,
  by_webhook boolean,
  no_show_known_at timestamptz,
  written boolean,
  unsure boolean
);
comment on type calendly.invitee_change is 'What one copy of an invitee makes of its row in one user''s meeting. unsure: marked and unmarked as a no-show too close together to tell which came last.';

create function calendly.invitee_changes(copies calendly.invitee_copy[], by_webhook boolean, scope integer[])
returns setof calendly.invitee_change
language sql stable set search_path = ''
as $$
  with known as (
    select m.user_id, i as incoming, v as own, i.content ? 'no_show' as tells,
      coalesce(v.uri = any (s.webhook_copies), false) as own_by_webhook,
      -- a complete read knew the no-show of everyone who was there
      greatest(v.no_show_known_at, case when v.uri is not null then s.invitees_read_at end) as known_at
    from unnest(copies) i
    join public.meetings m on m.calendly_event_uri = i.event_uri and (scope is null or m.user_id = any (scope))
      and m.deleted_reason is distinct from 'reassigned'  -- a former host learns nothing new
    join calendly.hosts h on h.user_id = m.user_id
    left join calendly.meeting_sync s on s.user_id = m.user_id and s.event_uri = m.calendly_event_uri
    left join public.meeting_invitees v on v.meeting_id = m.id and v.uri = i.uri
  ),
  -- materialized: a copy is merged once, not at each mention
  merged as materialized (
    select k.*,
      calendly.merge_copy((k.own).raw, coalesce((k.own).calendly_updated_at, '-infinity'), k.own_by_webhook,
        (k.incoming).content, (k.incoming).updated_at, invitee_changes.by_webhook) as content,
      -- Marking a no-show moves no updated_at, so it has a clock of its own: when it was marked, or as of
      -- when it was seen unmarked. The later one counts; in doubt, the mark. What the API shows is true as of
      -- when it was read, however old the mark is.
      case
        when not k.tells then (k.own).no_show_at
        when (k.incoming).no_show_at is null then case when (k.incoming).observed_at > (k.own).no_show_at then null else (k.own).no_show_at end
        when (k.own).no_show_at is null
          and k.known_at > greatest((k.incoming).no_show_at, case when not invitee_changes.by_webhook then (k.incoming).observed_at end) then null
        else greatest((k.own).no_show_at, (k.incoming).no_show_at)
      end as no_show_at
    from known k
  ),
  decided as materialized (
    select m.*,
      case
        when m.tells or m.content ? 'no_show' or (m.own).raw ? 'no_show' then (m.content - 'no_show') || jsonb_build_object('no_show', case
          when m.no_show_at is null then null
          when m.no_show_at = (m.own).no_show_at then (m.own).raw -> 'no_show'
          else (m.incoming).content -> 'no_show'
        end)
        else m.content
      end as final_content,
      -- the API's clock is kept once for all invitees (meeting_sync.invitees_read_at), so that a read that
      -- finds nothing new writes no row; nor does an old webhook
      case
        when m.tells and (invitee_changes.by_webhook or m.no_show_at is distinct from (m.own).no_show_at)
            and coalesce((m.incoming).no_show_at, (m.incoming).observed_at) > m.known_at is not false
          then greatest((m.own).no_show_known_at, coalesce((m.incoming).no_show_at, (m.incoming).observed_at))
        else (m.own).no_show_known_at
      end as no_show_known_at,
      m.tells and case
        when (m.incoming).no_show_at is null then (m.own).no_show_at - (m.incoming).observed_at
        when (m.own).no_show_at is null then (m.incoming).no_show_at - m.known_at
      end between '-2 seconds' and '2 seconds' as unsure
    from merged m
  )
  select d.user_id, (d.incoming).event_uri, (d.incoming).uri,
    calendly.read_invitee(d.final_content, (d.incoming).observed_at),
    case
      when (d.own).uri is null or (d.incoming).updated_at > coalesce((d.own).calendly_updated_at, '-infinity') then invitee_changes.by_webhook
      when (d.incoming).updated_at < (d.own).calendly_updated_at then d.own_by_webhook
      else d.own_by_webhook and invitee_changes.by_webhook
    end,
    d.no_show_known_at,
    (d.own).raw is distinct from d.final_content or (d.own).no_show_known_at is distinct from d.no_show_known_at,
    coalesce(d.unsure, false)
  from decided d
$$;
revoke all on function calendly.invitee_changes(calendly.invitee_copy[], boolean, integer[]) from public, anon, authenticated, service_role;
comment on function calendly.invitee_changes(calendly.invitee_copy[], boolean, integer[]) is
  'What copies of invitees make of the rows of the users in scope (null: of every host who is a user).';

create type calendly.invitees_outcome as (
  user_id integer,
  event_uri text,
  changed boolean,
  unsure boolean
);
comment on type calendly.invitees_outcome is 'What became of the invitees of one meeting.';

create function calendly.apply_invitees(copies calendly.invitee_copy[], by_webhook boolean, scope integer[])
returns setof calendly.invitees_outcome
language plpgsql set search_path = ''
as $$
declare
  at constant timestamptz := calendly.now();
  changes calendly.invitee_change[];
begin
  perform calendly.lock_events(array(select i.event_uri from unnest(copies) i));
  changes := array(select c from calendly.invitee_changes(copies, apply_invitees.by_webhook, scope) c);

  insert into public.meeting_invitees as v (meeting_id, user_id, uri, email, name, timezone, status, questions_and_answers, tracking,
      payment, no_show_at, no_show_uri, no_show_known_at, rescheduled, old_invitee, new_invitee,
      calendly_created_at, calendly_updated_at, created_at, updated_at, raw)
    select m.id, c.user_id, c.invitee_uri, content ->> 'email', content ->> 'name', content ->> 'timezone', (c.copy).status,
      nullif(content -> 'questions_and_answers', 'null'), nullif(content -> 'tracking', 'null'), nullif(content -> 'payment', 'null'),
      (c.copy).no_show_at, (c.copy).no_show_uri, c.no_show_known_at,
      coalesce(content -> 'rescheduled' = 'true', false), content ->> 'old_invitee', content ->> 'new_invitee',
      (c.copy).created_at, nullif((c.copy).updated_at, '-infinity'), at, at, content
    from unnest(changes) c
    cross join lateral (select (c.copy).content) as of_copy (content)
    join public.meetings m on m.user_id = c.user_id and m.calendly_event_uri = c.event_uri
    where c.written
    on conflict (meeting_id, uri) do update set
      email = excluded.email, name = excluded.name, timezone = excluded.timezone, status = excluded.status,
      questions_and_answers = excluded.questions_and_answers, tracking = excluded.tracking, payment = excluded.payment,
      no_show_at = excluded.no_show_at, no_show_uri = excluded.no_show_uri, no_show_known_at = excluded.no_show_known_at,
      rescheduled = excluded.rescheduled, old_invitee = excluded.old_invitee, new_invitee = excluded.new_invitee,
      calendly_created_at = excluded.calendly_created_at, calendly_updated_at = excluded.calendly_updated_at,
      updated_at = excluded.updated_at, raw = excluded.raw;

  update calendly.meeting_sync s
    set webhook_copies = array(
        select uri from unnest(s.webhook_copies) uri where uri <> all (confirmed.by_api)
        union
        select uri from unnest(confirmed.by_webhook) uri)
    from (
      select c.user_id, c.event_uri, array_agg(c.invitee_uri) filter (where c.by_webhook) as by_webhook,
        coalesce(array_agg(c.invitee_uri) filter (where not c.by_webhook), '{}') as by_api
      from unnest(changes) c group by c.user_id, c.event_uri
    ) as confirmed
    where s.user_id = confirmed.user_id and s.event_uri = confirmed.event_uri
      and (s.webhook_copies && confirmed.by_api or not s.webhook_copies @> coalesce(confirmed.by_webhook, '{}'));
  perform calendly.erase_from_events(array(
    select distinct c.event_uri from unnest(changes) c where c.written and (c.copy).content -> 'email' = 'null'));

  return query
    select c.user_id, c.event_uri, bool_or(c.written), bool_or(c.unsure)
    from unnest(changes) c group by c.user_id, c.event_uri;
end
$$;
revoke all on function calendly.apply_invitees(calendly.invitee_copy[], boolean, integer[]) from public, anon, authenticated, service_role;
comment on function calendly.apply_invitees(calendly.invitee_copy[], boolean, integer[]) is
  'Writes what calendly.invitee_changes says. Returns one outcome per meeting. An unchanged invitee writes nothing.';

create function calendly.link_reschedules(event_uris text[], scope integer[]) returns table (user_id integer, event_uri text)
language sql set search_path = ''
as $$
  with told as (
    -- Where an event has had one seat, the story of its invitee is the story of the meeting. In a group
    -- event only the invitee moves: see meeting_invitees.
    select m.id, m.user_id, m.calendly_event_uri, m.rescheduled_from, m.rescheduled_to,
      case when count(distinct v.uri) = 1 then calendly.event_of(min(v.old_invitee)) end as told_from,
      case when count(distinct v.uri) = 1 then calendly.event_of(coalesce(min(v.new_invitee), min(successor.uri))) end as told_to
    from public.meetings m
    join public.meeting_invitees v on v.meeting_id = m.id
    -- the new booking may be known before the old one's cancellation
    left join public.meeting_invitees successor on successor.old_invitee = v.uri
    where (scope is null or m.user_id = any (scope)) and m.calendly_event_uri in (
        select unnest(event_uris)
        union
        select calendly.event_of(known.old_invitee)
        from public.meetings listed
        join public.meeting_invitees known on known.meeting_id = listed.id
        where listed.calendly_event_uri = any (event_uris) and known.old_invitee is not null)
    group by m.id, m.user_id
  )
  update public.meetings m
    set rescheduled_from = told.told_from, rescheduled_to = told.told_to, updated_at = calendly.now()
    from told
    where m.id = told.id and (told.told_from, told.told_to) is distinct from (told.rescheduled_from, told.rescheduled_to)
    returning m.user_id, m.calendly_event_uri
$$;
revoke all on function calendly.link_reschedules(text[], integer[]) from public, anon, authenticated, service_role;
comment on function calendly.link_reschedules(text[], integer[]) is
  'Links the old and the new meeting of a reschedule, whichever half is known first. Returns the meetings that it changed.';

create function calendly.next_no_show_check(end_time timestamptz, status text, read_at timestamptz) returns timestamptz
language sql immutable set search_path = ''
as $$
  -- hosts mark no-shows soon after the meeting, some the next day, few later; no webhook may tell
  select min(end_time + after)
  from unnest('{1 hour,24 hours,7 days}'::interval[]) after
  where status = 'active' and end_time + after > read_at
$$;
revoke all on function calendly.next_no_show_check(timestamptz, text, timestamptz) from public, anon, authenticated, service_role;
comment on function calendly.next_no_show_check(timestamptz, text, timestamptz) is
  'When to look for no-shows next, given the last complete read of the invitees: 1 h, 24 h and 7 d after the end; null when no look is left.';
