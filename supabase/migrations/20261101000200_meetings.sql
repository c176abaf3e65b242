-- The meetings: one row per Calendly event and person whose meetings are kept. Apps read this table
-- under row level security; only the sync and the webhooks write what Calendly has (see
-- calendly.apply_events). Rows are never removed when a meeting is: is_deleted says so, and why.

-- Where a meeting takes place ---------------------------------------------------------------------

create function calendly.trimmed(value text) returns text
language plpgsql immutable set search_path = ''
as $$
declare
  -- white space of any script, and marks without width that are pasted along with a text
  blanks constant text := E' \t\n\r\f\x0b\u0085\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005'
    '\u2006\u2007\u2008\u2009\u200a\u200b\u200c\u200d\u2028\u2029\u202f\u205f\u2060\u3000\ufeff';
begin
  return nullif(btrim(value, blanks), '');
end
$$;
comment on function calendly.trimmed(text) is
  'A text without the white space around it; null where nothing else is left.';

create function calendly.text_of(value jsonb) returns text
language plpgsql immutable set search_path = ''
as $$
begin
  return case when jsonb_typeof(value) in ('string', 'number')
    then calendly.trimmed(value #>> '{}') end;
end
$$;
comment on function calendly.text_of(jsonb) is
  'What Calendly sent as a text, trimmed. A number is one, a telephone number for instance; of any '
  'other type it is null.';

create function calendly.link_of(value text) returns text
language plpgsql immutable set search_path = ''
as $$
begin
  -- One word of printable characters: a link inside a sentence is not looked for. An app puts the
  -- link behind a button, so that any other scheme than http(s) is no link.
  return case when value ~* '^https?://[^/?#]' and calendly.trimmed(value) = value
    and value !~ '[[:cntrl:][:space:]\u0085\u00a0\u1680\u2000-\u200f\u2028-\u202f\u205f-\u206f]'
    and value !~ '[\u3000\ufeff]' then value end;
end
$$;
comment on function calendly.link_of(text) is
  'The text where the whole of it is an http(s) link, else null.';

create function calendly.read_location(
  place jsonb, out location_type text, out location text, out join_url text
)
language plpgsql immutable set search_path = ''
as $$
declare
  typed constant text := calendly.text_of(place -> 'location');
begin
  location_type := calendly.text_of(place -> 'type');
  join_url := calendly.link_of(calendly.text_of(place -> 'join_url'));
  -- In these two kinds the invitee has typed it. A stranger's link is not behind a button "Join".
  if join_url is null
      and (lower(location_type) in ('ask_invitee', 'outbound_call')) is not true then
    join_url := calendly.link_of(typed);
  end if;
  location := nullif(typed, join_url);
end
$$;
comment on function calendly.read_location(jsonb) is
  'Where an event takes place. location: what was typed, trimmed, unless the whole of it is a link '
  'that the host typed. join_url: the conference''s link, else that one. All null for null and for '
  'what is no location; a kind that is new is read like the others.';

-- E-mails in what Calendly sent -------------------------------------------------------------------

create function calendly.folded(content text) returns text
language plpgsql immutable set search_path = ''
as $$
declare
  without_width constant text := E'\u00ad\u200b\u200c\u200d\u2060\ufeff';
begin
  return case when octet_length(content) = length(content) then content
    else normalize(translate(content, without_width, ''), nfkc) end;
end
$$;
comment on function calendly.folded(text) is
  'A text in the Unicode form NFKC: composed and decomposed, full-width and common letters are the '
  'same there, the @ included.';

create function calendly.normal_email(email text) returns text
language plpgsql immutable set search_path = ''
as $$
begin
  -- A domain in letters and its xn-- form are two addresses: whoever erases a person names both.
  email := calendly.folded(lower(calendly.folded(email)));
  -- No e-mail is longer than 320 characters, and a longer text must not break an index.
  return left(btrim(replace(calendly.trimmed(email), '%40', '@'), '.''`*‘’“”„«»'), 320);
end
$$;
comment on function calendly.normal_email(text) is
  'The form in which e-mails are compared when a person is erased: whatever its case, its Unicode '
  'form and the marks around it. Nothing else is decided by it: an account is matched by the '
  'e-mail that it has proven, letter for letter.';

create function calendly.email_words(content text) returns setof text
language plpgsql immutable rows 4 set search_path = ''
as $$
declare
  letters constant text := 'A-Za-z0-9\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u024f\u1e00-\u1eff';
begin
  return query
  select distinct form.word
  from (
    -- as far as white space and brackets
    select regexp_matches(content,
      '[^\s"<>()\[\]{}\\,;:|@]+(?:(?:@|%40)[^\s"<>()\[\]{}\\,;:|@/?&=#!%]+)+', 'g')
    union all
    -- between marks and in scripts without spaces: Latin letters, and the marks that mail allows
    select regexp_matches(content, format(
      '[%1$s.!#$%%&''*+/=?^_{|}~`-]+(?:@|%%40)[%1$s-]+(?:\.[%1$s-]+)*', letters), 'g')
  ) found (words)
  cross join lateral (values (found.words[1]),
    -- in a link: "…/?email=jane@example.com"
    (substring(found.words[1] from '[^/?&=#!]+$')),
    -- behind marks: "_jane@example.com_"
    (substring(found.words[1] from format('[%s][^/?&=#!]*$', letters)))) form (word)
  where form.word is not null;
end
$$;
comment on function calendly.email_words(text) is
  'The e-mails in a text in the form of calendly.folded, as they are written there, with and '
  'without what touches them.';

create function calendly.without_emails(content text) returns text
language plpgsql immutable set search_path = ''
as $$
declare
  word text;
begin
  if calendly.folded(content) ~ '@|%40' is not true then
    return content;
  end if;
  content := calendly.folded(content);
  for word in select w from calendly.email_words(content) w order by length(w) desc loop
    content := replace(content, word, '[e-mail]');
  end loop;
  return content;
end
$$;
comment on function calendly.without_emails(text) is
  'A message without e-mails, for what is kept when a person is erased.';

create function calendly.emails_in(document jsonb) returns text[]
language plpgsql immutable set search_path = ''
as $$
declare
  content text;
begin
  -- Hosts are people of their own: see calendly_users.
  if jsonb_typeof(document) = 'object' then
    document := document - 'event_memberships';
  end if;
  if jsonb_typeof(document #> '{payload,scheduled_event}') = 'object' then
    document := document #- '{payload,scheduled_event,event_memberships}';
  end if;
  content := calendly.folded(document::text);
  if content ~ '@|%40' is not true then
    return '{}'::text[];
  elsif strpos(content, '\') > 0 then
    -- An escape of JSON ends a word: "\njane@example.com".
    content := regexp_replace(content, '\\(u[0-9a-fA-F]{4}|.)', ' ', 'g');
  end if;
  return array(
    select distinct calendly.normal_email(word) from calendly.email_words(content) word);
end
$$;
comment on function calendly.emails_in(jsonb) is
  'The e-mails anywhere in an event, an invitee or a delivery, as calendly.normal_email has them, '
  'except those of the hosts: for the indexes by which a person who is erased is found.';

create table public.calendly_meetings (
  id bigint generated always as identity,
  user_id integer not null references public.calendly_users (id) on delete cascade,
  calendly_event_uri text,
  name text,
  status text check (status in ('active', 'canceled')),
  start_time timestamptz,
  end_time timestamptz,
  event_type_uri text,
  location_type text,
  location text,
  join_url text,
  cancellation jsonb,
  rescheduled_from text,
  rescheduled_to text,
  is_deleted boolean not null default false,
  deleted_at timestamptz,
  deleted_reason text check (deleted_reason in ('canceled', 'gone', 'reassigned')),
  synced_via_webhook boolean not null default false,
  calendly_created_at timestamptz,
  calendly_updated_at timestamptz,
  created_at timestamptz default now(),
  updated_at timestamptz default now(),
  raw jsonb
);

-- a person's calendar, and what a listing of a range should have shown
create index calendly_meetings_user_start_idx on public.calendly_meetings (user_id, start_time);

-- health counts a person's meetings from the index alone
create index calendly_meetings_health_idx on public.calendly_meetings (user_id)
  include (is_deleted, synced_via_webhook, updated_at) where calendly_event_uri is not null;

-- conferences that Calendly is still making
create index calendly_meetings_unsettled_idx on public.calendly_meetings (user_id, end_time)
  where not is_deleted and raw #>> '{location,status}' in ('initiated', 'processing');

-- a person who is erased may be a guest, or be named in a text
create index calendly_meetings_emails_idx
  on public.calendly_meetings using gin (calendly.emails_in(raw))
  where calendly.emails_in(raw) <> '{}';

-- Each key has user_id in it, so that the table could be distributed or partitioned by user_id. id
-- comes first, because apps also look up meetings by it alone. The order matters: of indexes that
-- seem equally good while the table is empty Postgres takes the one made last, and a session keeps
-- the plan. So what finds one meeting is made after what finds all of a user.
alter table public.calendly_meetings
  add constraint calendly_meetings_calendly_event_key unique (user_id, calendly_event_uri);

-- all rows of one event: for merging, and for webhooks
create index calendly_meetings_calendly_event_uri_idx
  on public.calendly_meetings (calendly_event_uri);

alter table public.calendly_meetings
  add primary key (id, user_id);

comment on table public.calendly_meetings is
  'One row per Calendly event and host whose meetings are kept. Rows that an app''s server has '
  'added without calendly_event_uri are left alone.';
comment on column public.calendly_meetings.id is
  'Names the meeting by itself: always taken from the identity''s sequence, which gives no number '
  'twice. A foreign key refers to (id, user_id).';
comment on column public.calendly_meetings.user_id is
  'Whose meeting it is: a host. An event with two hosts who are kept has two rows.';
comment on column public.calendly_meetings.calendly_event_uri is
  'The event''s URI at Calendly: a name, never fetched as an address.';
comment on column public.calendly_meetings.name is 'The event''s name, as Calendly has it.';
comment on column public.calendly_meetings.status is
  'Calendly''s: active or canceled. Canceled is final.';
comment on column public.calendly_meetings.start_time is 'When the meeting starts.';
comment on column public.calendly_meetings.end_time is 'When the meeting ends.';
comment on column public.calendly_meetings.event_type_uri is
  'URI of the event type that was booked; null where the event has none.';
comment on column public.calendly_meetings.location_type is
  'Calendly''s location type: zoom, google_conference, physical, …; null without a location.';
comment on column public.calendly_meetings.location is
  'The address, the telephone number or the words that were typed, trimmed. Null where a link was '
  'typed: that is the join_url. What an address has beside it (additional_info) is in raw.';
comment on column public.calendly_meetings.join_url is
  'The conference''s link, or an http(s) link that the host typed. A link inside a sentence, and a '
  'link that an invitee typed, stay in location.';
comment on column public.calendly_meetings.cancellation is
  '{canceled_by, reason, canceler_type, created_at} as Calendly has it.';
comment on column public.calendly_meetings.rescheduled_from is
  'URI of the event that this one replaces.';
comment on column public.calendly_meetings.rescheduled_to is
  'URI of the event that replaces this one.';
comment on column public.calendly_meetings.is_deleted is
  'True for what is no longer in the person''s calendar. The row stays.';
comment on column public.calendly_meetings.deleted_at is
  'When it was canceled, or found to be gone or reassigned.';
comment on column public.calendly_meetings.deleted_reason is
  'canceled; gone: Calendly no longer has it; reassigned: this user is no longer a host.';
comment on column public.calendly_meetings.synced_via_webhook is
  'True once a webhook has written the row.';
comment on column public.calendly_meetings.calendly_created_at is 'Calendly''s created_at.';
comment on column public.calendly_meetings.calendly_updated_at is
  'Calendly''s updated_at: an older snapshot never replaces a newer one. Null where only a webhook '
  'without a time has told of the event.';
comment on column public.calendly_meetings.created_at is 'When the row was made here.';
comment on column public.calendly_meetings.updated_at is 'When the row was last written here.';
comment on column public.calendly_meetings.raw is
  'The event as Calendly sent it, without conference passwords.';

alter table public.calendly_meetings enable row level security;

create policy "People read the meetings of those whom they may read" on public.calendly_meetings
  for select to authenticated
  using (user_id = any ((select calendly.readable_user_ids())::integer[]));

select calendly.revoke_all();
