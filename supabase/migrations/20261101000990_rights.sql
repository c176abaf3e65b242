-- Who may do what, decided here and nowhere else, by name. Everything else stays closed: see
-- calendly.revoke_all. A signed-in person reads, under row level security; nobody signed in writes;
-- anon can do nothing. The functions work through RPCs as service_role.

select calendly.revoke_all();

-- People read their own rows.
grant select on
  public.calendly_users, public.calendly_connections, public.calendly_meetings,
  public.calendly_invitees, public.calendly_sync_runs, public.calendly_webhook_events,
  public.calendly_sync_health
  to authenticated, service_role;

-- A server of the team's reads everything, and may ask for a FULL sync.
grant select on public.calendly_freshness, public.calendly_alerts to service_role;
grant update (calendly_initial_sync_complete) on public.calendly_users to service_role;

-- Called by policies and views with the reader's rights. Nobody reaches them otherwise, because
-- nobody may use the schema.
grant execute on function calendly.readable_user_ids() to authenticated, service_role;
grant execute on function calendly.membership(integer) to authenticated, service_role;
grant select on
  calendly.user_sync_states, calendly.readable_meeting_counts,
  calendly.readable_webhook_event_counts
  to authenticated, service_role;
grant execute on function calendly.alerts() to service_role;

-- What the functions and operators call.
grant execute on function
  public.calendly_abandon_subscription(uuid, jsonb),
  public.calendly_apply_step(uuid, uuid, integer, jsonb),
  public.calendly_begin_refresh(uuid, integer),
  public.calendly_begin_subscription(jsonb),
  public.calendly_begin_sync(jsonb),
  public.calendly_claim_revocation(text),
  public.calendly_claim_sync(jsonb),
  public.calendly_clear_own_table_failure(text),
  public.calendly_configure(jsonb),
  public.calendly_confirm_project(text),
  public.calendly_connect(jsonb),
  public.calendly_connection_status(jsonb),
  public.calendly_console_overview(),
  public.calendly_console_people(text, text[], boolean, integer, integer, integer),
  public.calendly_deliveries_by_day(timestamptz),
  public.calendly_delivery_details(uuid),
  public.calendly_disable_webhooks(jsonb),
  public.calendly_disconnect(jsonb),
  public.calendly_erase_invitee(text),
  public.calendly_fail_refresh(uuid, integer, jsonb),
  public.calendly_fail_review(uuid, jsonb),
  public.calendly_fail_sync(uuid, uuid, jsonb, integer),
  public.calendly_finish_refresh(uuid, integer, text, integer),
  public.calendly_finish_revocation(uuid),
  public.calendly_finish_sync(uuid, uuid),
  public.calendly_freshness_history(timestamptz, interval),
  public.calendly_health(),
  public.calendly_keep_subscription(uuid, text, text),
  public.calendly_list_credentials(uuid),
  public.calendly_metrics(),
  public.calendly_prepare_connection(text),
  public.calendly_receive_webhook(jsonb),
  public.calendly_record_own_table_failure(text, text, text),
  public.calendly_reencrypt(uuid, integer, text),
  public.calendly_replay_dead(timestamptz),
  public.calendly_replay_webhook_event(uuid),
  public.calendly_review_subscriptions(uuid, jsonb, text),
  public.calendly_run_details(uuid),
  public.calendly_schedule(),
  public.calendly_schedule_ticks(timestamptz),
  public.calendly_start_oauth(jsonb),
  public.calendly_subscription_query(uuid, text),
  public.calendly_take_oauth_state(uuid, text),
  public.clean_old_webhook_events()
  to service_role;
