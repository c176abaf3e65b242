-- When the invitees of a meeting must be fetched: never without a reason, because each fetch is a
-- request to Calendly. This is the only place that knows the rule. Whoever has written an event or
-- its invitees (a listing, a complete fetch, a delivery) asks here.

create function calendly.has_all_invitees(user_id integer, event_uri text, event jsonb)
returns boolean
language plpgsql stable set search_path = ''
as $$
declare
  total constant integer := calendly.seats(event, 'total');
  canceled constant integer := calendly.seats(event, 'canceled');
begin
  return exists (
    select from calendly.meeting_sync s
    where s.user_id = has_all_invitees.user_id and s.event_uri = has_all_invitees.event_uri
      and s.invitees_total = total and s.invitees_canceled = canceled
  ) or (
    -- `offset 0`: the meeting by its index, then its invitees by theirs
    select count(v.uri) = total and count(v.uri) filter (where v.status = 'canceled') = canceled
    from (
      select m.id from public.calendly_meetings m
      where m.user_id = has_all_invitees.user_id
        and m.calendly_event_uri = has_all_invitees.event_uri
      offset 0
    ) meeting
    cross join lateral (
      select i.uri, i.status from public.calendly_invitees i where i.meeting_id = meeting.id
      offset 0
    ) v
  ) is true;
end
$$;
comment on function calendly.has_all_invitees(integer, text, jsonb) is
  'Does the event''s counter agree with the invitees stored, or with what it was at the last '
  'complete read?';

create function calendly.next_no_show_check(
  end_time timestamptz, status text, complete_at timestamptz
) returns timestamptz
language plpgsql immutable set search_path = ''
as $$
begin
  -- Hosts mark no-shows soon after the meeting, some the next day, few later; without a webhook
  -- nothing but a read shows it.
  return case
    when status = 'active' is not true then null
    when end_time + interval '1 hour' > complete_at then end_time + interval '1 hour'
    when end_time + interval '24 hours' > complete_at then end_time + interval '24 hours'
    when end_time + interval '7 days' > complete_at then end_time + interval '7 days'
  end;
end
$$;
comment on function calendly.next_no_show_check(timestamptz, text, timestamptz) is
  'When to look for no-shows next, given the time of the last complete read of the invitees: 1 '
  'hour, 24 hours and 7 days after the end; null when no look is left.';

create function calendly.invitees_due_at(
  event jsonb, due_at timestamptz, complete_at timestamptz, stale boolean, in_doubt boolean,
  now_at timestamptz
) returns timestamptz
language plpgsql stable set search_path = ''
as $$
declare
  -- Calendly may need a moment until it shows the same everywhere.
  time_to_settle constant interval := interval '1 minute';
  check_at timestamptz;
begin
  if event #>> '{invitees_counter,total}' = '0' then
    return null;  -- nobody ever booked: nothing to read
  elsif due_at <= now_at then
    return due_at;
  elsif in_doubt then
    return now_at + time_to_settle;
  elsif stale then
    return now_at;
  elsif complete_at is null then
    return due_at;
  end if;
  check_at := calendly.next_no_show_check(
    calendly.to_time(event ->> 'end_time'), event ->> 'status', complete_at);
  -- A check that fell due while the answer was on its way is made in a moment, by another read.
  return case when check_at <= now_at then now_at + time_to_settle else check_at end;
end
$$;
comment on function
  calendly.invitees_due_at(jsonb, timestamptz, timestamptz, boolean, boolean, timestamptz) is
  'When the invitees of a meeting must be fetched; null: nothing is left to fetch. event: as '
  'stored now. due_at: when they were due until now; null where they have just been fetched. '
  'complete_at: Calendly''s time as of which the stored invitees are complete; null where they '
  'have neither been fetched nor delivered now. stale: they may have changed. in_doubt: what has '
  'come does not agree with itself, so the answer may be different in a minute.';
