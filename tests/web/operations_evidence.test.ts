/** Each alert of the database has its evidence in the console, and its impact in words. */
import assert from "node:assert/strict";
import { evidenceOf, KNOWN_ALERTS } from "../../web/operations/evidence.ts";
import { toRequest, toSql } from "../../web/operations/query.ts";

const MIGRATION = new URL(
  "../../supabase/migrations/20261101000860_alerts.sql",
  import.meta.url,
);

Deno.test("the console knows every alert of the database, and no other", async () => {
  const sql = await Deno.readTextFile(MIGRATION);
  const codes = [...sql.matchAll(/select '(\w+)' as code/g)].map(([, code]) => code);
  assert.ok(codes.length > 10);
  assert.deepEqual(codes.sort(), [...KNOWN_ALERTS].sort());
});

Deno.test("an alert opens the rows that it names", () => {
  const { query, link } = evidenceOf("dead_webhook_events", 3, { webhook_event_ids: ["a", "b"] });
  assert.match(toRequest(query).path, /^\/rest\/v1\/calendly_webhook_events\?.*id=in\.\(a,b\)/);
  assert.match(toSql(query)!, /from calendly_webhook_events\nwhere id in \('a', 'b'\)/);
  assert.equal(link.href, "#/operations/deliveries?status=dead&person=3");
  assert.match(
    toRequest(evidenceOf("failing", 3, { run_ids: ["c"] }).query).path,
    /^\/rest\/v1\/calendly_sync_runs\?.*id=in\.\(c\)/,
  );
  assert.equal(evidenceOf("reconnect_required", 3, null).link.href, "#/operations/people/3");
});

Deno.test("an alert that names no row shows the schedule, or itself", () => {
  assert.equal(
    toSql(evidenceOf("schedule_not_running", null, {}).query),
    "select calendly_schedule();",
  );
  assert.match(
    toSql(evidenceOf("own_table_failing", null, { source: "x" }).query)!,
    /from calendly_alerts\nwhere code = 'own_table_failing'/,
  );
  assert.equal(evidenceOf("of_tomorrow", null, null).title, "of tomorrow");
});
