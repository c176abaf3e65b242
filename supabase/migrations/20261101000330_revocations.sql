-- What a connection leaves behind at Calendly when it ends here: webhook subscriptions and an OAuth
-- token. A function ends them there afterwards; until then the credential waits in this queue.

create table calendly.pending_revocations (
  id uuid primary key default gen_random_uuid(),
  connection_id uuid not null,
  credential jsonb not null,
  subscription_uris text[] not null,
  unanswered_ids uuid[] not null default '{}',
  subject jsonb,
  attempts integer not null default 0,
  next_try_at timestamptz not null,
  created_at timestamptz not null
);
create index pending_revocations_next_try_idx on calendly.pending_revocations (next_try_at);
alter table calendly.pending_revocations enable row level security;
comment on table calendly.pending_revocations is
  'Connections that have ended here, by their person or with the account, and still have a '
  'subscription or a token to be ended at Calendly.';
comment on column calendly.pending_revocations.unanswered_ids is
  'Subscriptions that Calendly may have made without an answer that arrived: their URIs are not '
  'known, and their ids are in their callback URLs.';
comment on column calendly.pending_revocations.subject is
  'The query that lists the connection''s subscriptions, see calendly.subscription_subject.';
comment on column calendly.pending_revocations.credential is
  'The last credential, see calendly.credential: deleted with the row.';

create function calendly.queue_revocation(connection_id uuid) returns void
language plpgsql set search_path = ''
as $$
declare
  now_at constant timestamptz := calendly.now();
  -- A worker that is making a subscription at this moment needs the token to delete it.
  is_making constant boolean := exists (
    select from calendly.webhook_subscriptions w
    where w.connection_id = queue_revocation.connection_id and w.state = 'making'
      and w.created_at > now_at - interval '1 minute');
begin
  perform calendly.end_subscriptions(queue_revocation.connection_id);
  insert into calendly.pending_revocations
      (connection_id, credential, subscription_uris, unanswered_ids, subject, next_try_at,
        created_at)
    select c.id, calendly.credential(c.id),
      -- Those that were ended before, too: their deletion may have failed.
      array(select w.uri from calendly.webhook_subscriptions w
        where w.connection_id = c.id and w.uri is not null),
      array(select w.id from calendly.webhook_subscriptions w
        where w.connection_id = c.id and w.uri is null),
      calendly.subscription_subject(c),
      case when is_making then now_at + interval '1 minute' else now_at end, now_at
    from calendly.credentials k
    join public.calendly_connections c on c.id = k.connection_id
    where c.id = queue_revocation.connection_id;
  delete from calendly.credentials k where k.connection_id = queue_revocation.connection_id;
end
$$;
comment on function calendly.queue_revocation(uuid) is
  'Takes a connection''s token away from it, and queues what has to be ended at Calendly.';

create function calendly.revocations_are_due(now_at timestamptz) returns boolean
language plpgsql stable set search_path = ''
as $$
begin
  return exists (
    select from calendly.pending_revocations r where r.next_try_at <= revocations_are_due.now_at);
end
$$;
comment on function calendly.revocations_are_due(timestamptz) is
  'Is there a connection that has ended here, and must be ended at Calendly now?';

create function public.calendly_claim_revocation(project_url text) returns jsonb
language plpgsql security definer set search_path = ''
as $$
declare
  now_at constant timestamptz := calendly.now();
  claimed calendly.pending_revocations;
begin
  -- A copy of the database must not end what goes on at the original.
  if not calendly.revocations_are_due(now_at) or exists (select from calendly.project p
      where p.url <> calendly_claim_revocation.project_url) then
    return '{"status": "idle"}'::jsonb;
  end if;
  -- After a day of tries it is given up: nobody is left who could mend the token.
  delete from calendly.pending_revocations r where r.next_try_at <= now_at and r.attempts >= 30;
  update calendly.pending_revocations r
    set attempts = r.attempts + 1, next_try_at = calendly.back_off(r.attempts + 1, now_at)
    from (
      select w.id from calendly.pending_revocations w
      where w.next_try_at <= now_at order by w.next_try_at limit 1
      for update skip locked
    ) next
    where r.id = next.id
    returning r.* into claimed;
  return case
    when claimed.id is null then '{"status": "idle"}'::jsonb
    else jsonb_build_object('status', 'claimed', 'id', claimed.id,
      'credential', claimed.credential, 'subscription_uris', to_jsonb(claimed.subscription_uris),
      'unanswered_ids', to_jsonb(claimed.unanswered_ids), 'subject', claimed.subject)
  end;
end
$$;
comment on function public.calendly_claim_revocation(text) is
  'One ended connection to be ended at Calendly as well: {status: claimed, id, credential, '
  'subscription_uris, unanswered_ids, subject}, or {status: idle}, always so where the project has '
  'moved.';

create function public.calendly_finish_revocation(id uuid) returns void
language sql security definer set search_path = ''
as $$
  delete from calendly.pending_revocations r where r.id = calendly_finish_revocation.id
$$;
comment on function public.calendly_finish_revocation(uuid) is
  'It is ended at Calendly: deletes the row, its credential included.';

select calendly.revoke_all();
