-- One delivery of a new booking of ana's, as calendly-webhook brings it.
\set booking random(1, 1000000000)
select public.calendly_receive_webhook(jsonb_build_object(
  'digest', 'of ' || :booking || '-' || :client_id,
  'signed_at', extract(epoch from calendly.now()),
  'body', jsonb_build_object(
    'event', 'invitee.created', 'created_at', calendly.to_calendly(calendly.now()),
    'created_by', tests.host('ana'),
    'payload', tests.invitee('N' || :booking || '-' || :client_id, 'ines')
      || jsonb_build_object(
        'scheduled_event', tests.event('N' || :booking || '-' || :client_id)))));
