-- How two snapshots of one event or invitee become one, whichever came first and by whichever way.
-- Time decides: the newer updated_at wins. At equal time content decides, so that any order of
-- arrival gives the same row. Canceled is final. An updated_at from the future is believed as well:
-- a bound by the clock would make the row depend on when each snapshot came.

create function calendly.merge_webhook_snapshots(one jsonb, other jsonb) returns jsonb
language plpgsql immutable set search_path = ''
as $$
begin
  -- Neither is better. The greater value of each key is taken, and null is the least, so that their
  -- order does not matter.
  return (
    select jsonb_object_agg(greatest_value.key, greatest_value.value)
    from (
      select distinct on (both_snapshots.key) both_snapshots.key, both_snapshots.value
      from (select * from jsonb_each(one) union all select * from jsonb_each(other)) both_snapshots
      order by both_snapshots.key, both_snapshots.value <> 'null' desc,
        both_snapshots.value::text collate "C" desc
    ) greatest_value);
end
$$;
comment on function calendly.merge_webhook_snapshots(jsonb, jsonb) is
  'One snapshot out of two that webhooks told at the same updated_at.';

create function calendly.with_greater_counter(merged jsonb, one jsonb, other jsonb) returns jsonb
language plpgsql immutable set search_path = ''
as $$
declare
  total constant integer :=
    greatest(calendly.seats(one, 'total'), calendly.seats(other, 'total'));
  canceled constant integer :=
    greatest(calendly.seats(one, 'canceled'), calendly.seats(other, 'canceled'));
begin
  if jsonb_typeof(one -> 'invitees_counter') is distinct from 'object'
      or jsonb_typeof(other -> 'invitees_counter') is distinct from 'object' then
    return merged;
  end if;
  return jsonb_set(merged, '{invitees_counter}', (merged -> 'invitees_counter')
    || jsonb_build_object('total', total, 'active', total - canceled));
end
$$;
comment on function calendly.with_greater_counter(jsonb, jsonb, jsonb) is
  'The merged event with the greater total and the greater number of canceled seats of both '
  'snapshots: a delivery that comes late does not count backwards.';

create function calendly.with_settled_location(merged jsonb, one jsonb, other jsonb) returns jsonb
language plpgsql immutable set search_path = ''
as $$
begin
  return case
    when calendly.is_settled(merged -> 'location') then merged
    when calendly.is_settled(one -> 'location') and one ->> 'location' is not null
      then jsonb_set(merged, '{location}', one -> 'location')
    when calendly.is_settled(other -> 'location') and other ->> 'location' is not null
      then jsonb_set(merged, '{location}', other -> 'location')
    else merged
  end;
end
$$;
comment on function calendly.with_settled_location(jsonb, jsonb, jsonb) is
  'The merged event with the settled conference of either snapshot, if its own is still being '
  'made.';

create function calendly.with_cancellation(merged jsonb, stored jsonb, incoming jsonb)
returns jsonb
language plpgsql immutable set search_path = ''
as $$
declare
  canceled constant jsonb := case
    when stored ->> 'status' = 'canceled' then stored
    when incoming ->> 'status' = 'canceled' then incoming
  end;
begin
  if canceled is null or merged ->> 'status' = 'canceled' then
    return merged;
  end if;
  return merged || '{"status": "canceled"}' || case
    when canceled ? 'cancellation'
      then jsonb_build_object('cancellation', canceled -> 'cancellation')
    else '{}'
  end;
end
$$;
comment on function calendly.with_cancellation(jsonb, jsonb, jsonb) is
  'Canceled is final: the merged snapshot is canceled where either of the two is.';

create function calendly.merge_snapshots(
  stored jsonb, stored_at timestamptz, stored_by_webhook boolean,
  incoming jsonb, incoming_at timestamptz, incoming_by_webhook boolean
) returns jsonb
language plpgsql immutable set search_path = ''
as $$
declare
  merged jsonb;
begin
  if stored is null or stored = incoming then
    return incoming;
  end if;

  merged := case
    when incoming_at > stored_at then incoming
    when incoming_at < stored_at then stored
    -- the API is read in order, so its later snapshot knows more
    when not stored_by_webhook and not incoming_by_webhook then incoming
    -- the API's snapshot beats a webhook's, which lacks some keys; a present key beats a missing
    -- one
    when not incoming_by_webhook then stored || incoming
    when not stored_by_webhook then incoming || stored
    else calendly.merge_webhook_snapshots(stored, incoming)
  end;
  if incoming_at = stored_at and (stored_by_webhook or incoming_by_webhook) then
    merged := calendly.with_greater_counter(merged, stored, incoming);
    merged := calendly.with_settled_location(merged, stored, incoming);
  end if;
  return calendly.with_cancellation(merged, stored, incoming);
end
$$;
comment on function
  calendly.merge_snapshots(jsonb, timestamptz, boolean, jsonb, timestamptz, boolean) is
  'One snapshot out of two of the same event or invitee, each with its updated_at and whether a '
  'webhook told it. The newer one wins and canceled is final. At equal time any order gives the '
  'same: the greater total and the greater number of canceled seats win, a settled conference '
  'beats one in the making, the API''s snapshot beats a webhook''s, a present key beats a missing '
  'one.';
