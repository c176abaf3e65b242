-- Where a meeting takes place: what Calendly has in two places, as two columns.
begin;
select plan(39);
select calendly.set_clock('2026-06-01T12:00:00Z');
select tests.add_person('ana');
create function tests.place(location text) returns text language sql as $$
  select concat_ws(' | ', coalesce(p.location_type, '-'), coalesce(p.location, '-'),
    coalesce(p.join_url, '-'))
  from calendly.read_location(place.location::jsonb) p
$$;

select is(tests.place(sent.location), sent.expected, sent.sentence)
from (values
  -- each kind of Calendly's
  ('{"type": "physical", "location": "Main street 1", "additional_info": "ring twice"}',
    'physical | Main street 1 | -', 'an address is the location'),
  ('{"type": "inbound_call", "location": "+351 910 000 001", "additional_info": "PIN 1"}',
    'inbound_call | +351 910 000 001 | -', 'the host''s telephone number is the location'),
  ('{"type": "outbound_call", "location": "+351 910 000 002"}',
    'outbound_call | +351 910 000 002 | -', 'the invitee''s telephone number is the location'),
  ('{"type": "outbound_call", "location": null}', 'outbound_call | - | -',
    'a call without a number has a kind only'),
  ('{"type": "ask_invitee", "location": "the café at the corner"}',
    'ask_invitee | the café at the corner | -', 'what the invitee suggests is the location'),
  ('{"type": "custom", "location": "in the garden"}', 'custom | in the garden | -',
    'words are the location'),
  ('{"type": "custom", "location": null}', 'custom | - | -',
    'a custom location without words has a kind only'),
  ('{"type": "custom", "location": "https://meet.example.org/ana?x=1#top"}',
    'custom | - | https://meet.example.org/ana?x=1#top',
    'a link that the host typed is the link, and no location'),
  ('{"type": "physical", "location": "https://maps.example.org/1"}',
    'physical | - | https://maps.example.org/1', 'so is one that stands for an address'),
  ('{"type": "google_conference", "status": "pushed", "join_url": "https://meet.example.org/g"}',
    'google_conference | - | https://meet.example.org/g', 'Google Meet has a link'),
  ('{"type": "zoom", "status": "pushed", "join_url": "https://zoom.example.org/j/1", "data": {}}',
    'zoom | - | https://zoom.example.org/j/1', 'Zoom has a link'),
  ('{"type": "zoom_conference", "status": "failed", "join_url": null, "data": null}',
    'zoom_conference | - | -', 'a conference that failed has no link'),
  ('{"type": "gotomeeting", "join_url": "https://goto.example.org/1"}',
    'gotomeeting | - | https://goto.example.org/1', 'GoTo Meeting has a link'),
  ('{"type": "microsoft_teams_conference", "join_url": "https://teams.example.org/1"}',
    'microsoft_teams_conference | - | https://teams.example.org/1', 'Teams has a link'),
  ('{"type": "webex_conference", "join_url": "https://webex.example.org/1"}',
    'webex_conference | - | https://webex.example.org/1', 'Webex has a link'),
  -- kinds that nobody has seen yet
  ('{"type": "hologram", "location": "deck 1", "join_url": "https://holo.example.org"}',
    'hologram | deck 1 | https://holo.example.org', 'a new kind is read like the others'),
  ('{"type": "hologram", "location": "https://holo.example.org/2"}',
    'hologram | - | https://holo.example.org/2', 'a link typed for a new kind is the link'),
  ('{"location": "in the garden"}', '- | in the garden | -',
    'a location without a kind is kept'),
  -- white space
  ('{"type": "custom", "location": " \n\thttps://meet.example.org/ana \r\n"}',
    'custom | - | https://meet.example.org/ana', 'white space around a link is dropped'),
  ('{"type": "custom", "location": "\u00a0\u3000https://meet.example.org/ana\u200b\ufeff"}',
    'custom | - | https://meet.example.org/ana',
    'white space of other scripts and without width is dropped'),
  ('{"type": "physical", "location": "  Main street 1\nfloor 2 "}',
    E'physical | Main street 1\nfloor 2 | -', 'white space inside an address stays'),
  ('{"type": "custom", "location": " \u00a0\n"}', 'custom | - | -',
    'white space alone is no location'),
  ('{"type": "zoom", "join_url": " https://zoom.example.org/j/1\n"}',
    'zoom | - | https://zoom.example.org/j/1', 'white space around Zoom''s link is dropped'),
  ('{"type": "custom", "location": "\u000bhttps://meet.example.org/rtnfv\u000b"}',
    'custom | - | https://meet.example.org/rtnfv', 'a letter that stands for white space stays'),
  -- a link and words
  ('{"type": "custom", "location": "see https://meet.example.org/ana"}',
    'custom | see https://meet.example.org/ana | -', 'a sentence with a link in it is words'),
  ('{"type": "custom", "location": "https://meet.example.org/ana\u00a0PIN 1"}',
    E'custom | https://meet.example.org/ana\u00a0PIN 1 | -', 'so is a link with words behind it'),
  ('{"type": "custom", "location": "meet.example.org/ana"}', 'custom | meet.example.org/ana | -',
    'a text without http(s):// is words'),
  ('{"type": "custom", "location": "HTTPS://Meet.example.org/Ana"}',
    'custom | - | HTTPS://Meet.example.org/Ana', 'a link in capital letters stays as it was typed'),
  ('{"type": "custom", "location": "https://"}', 'custom | https:// | -',
    'a link without an address is words'),
  ('{"type": "custom", "location": "javascript:alert(1)"}', 'custom | javascript:alert(1) | -',
    'a script is no link'),
  ('{"type": "zoom", "join_url": "javascript:alert(1)"}', 'zoom | - | -',
    'a script is no conference''s link either'),
  ('{"type": "Ask_Invitee", "location": "https://meet.example.org/ines"}',
    'Ask_Invitee | https://meet.example.org/ines | -', 'whatever the case of its kind'),
  ('{"type": "ask_invitee", "location": "https://meet.example.org/ines"}',
    'ask_invitee | https://meet.example.org/ines | -',
    'a link that the invitee typed is a location: the host has not chosen it'),
  -- other types
  ('{"type": "outbound_call", "location": 351910000001}', 'outbound_call | 351910000001 | -',
    'a number is a telephone number'),
  ('{"type": {"kind": "zoom"}, "location": ["x"], "join_url": {"href": "https://x.example"}}',
    '- | - | -', 'what is no text is no location')
) sent (location, expected, sentence);
select is(tests.place(odd), '- | - | -', format('%s is no location', odd))
  from unnest('{null,7,"\"here\"",[]}'::text[]) odd;

select * from finish();
rollback;
