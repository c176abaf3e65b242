/**
 * The hourly job that settles abandoned deliveries, beside a replay of one of them that commits after the
 * job has found it and before the job locks it.
 */
import assert from "node:assert/strict";
import { needing } from "../harness/requirements.ts";
import { Workers } from "./workers.ts";

/** The job waits where it reads which event a delivery is about, once it has found the delivery. */
const WAIT_WHILE_READING = `
create or replace function calendly.delivered_event_uri(body jsonb) returns text
language plpgsql volatile as $$
begin
  perform pg_advisory_xact_lock_shared(7);
  return 'none';
end
$$`;

Deno.test({
  ...needing("what a replay has just settled is left as it is", "realPostgres"),
  async fn() {
    await using workers = await Workers.start({ people: 0, connections: 2 });
    const { sql } = workers;
    await sql.unsafe(WAIT_WHILE_READING);
    await sql`insert into public.calendly_users (id, calendly_user_uri, created_at)
      values (1, 'https://api.calendly.com/users/one', now())`;
    await sql`insert into public.calendly_meetings (user_id, calendly_event_uri)
      values (1, 'https://api.calendly.com/scheduled_events/E1')`;
    await sql`insert into public.calendly_webhook_events
      (event_id, event_type, payload, created_at, status, attempts, error)
      values ('E1', 'invitee.created', '{}', now(), 'deferred', 1, '{"code": "not_understood"}')`;
    const replay = await sql.reserve();
    try {
      await replay`select pg_advisory_lock(7)`;
      let hasEnded = false;
      const job = sql`select calendly.settle_abandoned() as settled`.execute();
      job.finally(() => hasEnded = true).catch(() => {});
      while (true) {
        assert.equal(hasEnded, false, "the job has not waited");
        const [waiting] = await replay`select from pg_locks
          where locktype = 'advisory' and objid = 7 and not granted
            and database = (select oid from pg_database where datname = current_database())`;
        if (waiting) break;
      }
      await replay`update public.calendly_webhook_events
        set status = 'processed', error = null, processed_at = now()`;
      await replay`select pg_advisory_unlock(7)`;
      assert.deepEqual([...await job], [{ settled: 0 }]);
    } finally {
      replay.release();
    }
    const stored = await sql`select status, error, payload from public.calendly_webhook_events`;
    assert.deepEqual([...stored], [{ status: "processed", error: null, payload: {} }]);
  },
});
