/** A query of the console is described once: its request, its SQL and its curl say the same. */
import assert from "node:assert/strict";
import {
  call,
  edgeFunction,
  rows,
  rowsWithPerson,
  toCurl,
  toRequest,
  toSql,
} from "../../web/operations/query.ts";

const URL = "http://127.0.0.1:54321";

Deno.test("rows with conditions, an order and a limit are one request, one statement, one command", () => {
  const query = rows("calendly_sync_runs", {
    select: ["id", "status"],
    where: [
      { column: "status", is: "in", value: ["failed", "paused"] },
      { column: "user_id", is: "eq", value: 7 },
      { column: "started_at", is: "gte", value: "2026-11-26T08:00:00Z" },
    ],
    order: [{ column: "started_at", descending: true }, { column: "id" }],
    limit: 50,
    offset: 100,
  });
  const path = "/rest/v1/calendly_sync_runs?select=id,status&status=in.(failed,paused)" +
    "&user_id=eq.7&started_at=gte.2026-11-26T08:00:00Z&order=started_at.desc,id.asc" +
    "&limit=50&offset=100";
  assert.deepEqual(toRequest(query), { method: "GET", path });
  assert.equal(
    toSql(query),
    `select id, status
from calendly_sync_runs
where status in ('failed', 'paused')
  and user_id = 7
  and started_at >= '2026-11-26T08:00:00Z'
order by started_at desc, id
limit 50 offset 100;`,
  );
  assert.equal(
    toCurl(query, URL),
    `curl '${URL}${path}' \\\n  -H "apikey: $SUPABASE_SECRET_KEY"`,
  );
});

Deno.test("what is absent is asked for as null, in the request and in SQL", () => {
  const query = rows("calendly_sync_health", {
    select: ["user_id"],
    where: [{ column: "last_error", is: "not_null" }, { column: "staleness", is: "null" }],
    order: [{ column: "staleness", descending: true, nullsFirst: true }],
  });
  assert.equal(
    toRequest(query).path,
    "/rest/v1/calendly_sync_health?select=user_id&last_error=not.is.null&staleness=is.null" +
      "&order=staleness.desc.nullsfirst",
  );
  assert.equal(
    toSql(query),
    "select user_id\nfrom calendly_sync_health\nwhere last_error is not null\n" +
      "  and staleness is null\norder by staleness desc nulls first;",
  );
});

Deno.test("rows with their person join calendly_users, by name in SQL", () => {
  const query = rowsWithPerson("calendly_sync_runs", {
    select: ["id", "user_id"],
    where: [{ column: "status", is: "eq", value: "failed" }],
  });
  assert.equal(
    toRequest(query).path,
    "/rest/v1/calendly_sync_runs?select=id,user_id,calendly_users(name,email)&status=eq.failed",
  );
  assert.equal(
    toSql(query),
    `select t.id, t.user_id, u.name as person_name, u.email as person_email
from calendly_sync_runs t
left join calendly_users u on u.id = t.user_id
where t.status = 'failed';`,
  );
});

Deno.test("a quote in a value ends neither the statement nor the word of the shell", () => {
  const query = rows("calendly_users", {
    select: ["id"],
    where: [{ column: "name", is: "ilike", value: "O'Hara & $(rm)" }],
  });
  assert.match(toSql(query)!, /name ilike '%O''Hara & \$\(rm\)%'/);
  const { path } = toRequest(query);
  assert.ok(!/['&$ ]/.test(path.split("name=")[1]), path);
  assert.equal(new URLSearchParams(path.split("?")[1]).get("name"), "ilike.*O'Hara & $(rm)*");

  const said = call("calendly_replay_dead", { since: "it's" });
  assert.equal(toSql(said), "select calendly_replay_dead(since => 'it''s');");
  assert.match(toCurl(said, URL), /-d '\{"since":"it'\\''s"\}'$/);
});

Deno.test("a value with a comma in a list is quoted", () => {
  const query = rows("calendly_users", {
    select: ["id"],
    where: [{ column: "email", is: "in", value: ["a,b", 'c"d', "plain"] }],
  });
  assert.equal(
    new URLSearchParams(toRequest(query).path.split("?")[1]).get("email"),
    'in.("a,b","c\\"d",plain)',
  );
});

Deno.test("a function that answers rows is selected from, one that answers a value is selected", () => {
  const rowsOf = call("calendly_freshness_history", { since: "2026-11-26", step: "5 minutes" }, {
    isSet: true,
  });
  assert.equal(
    toSql(rowsOf),
    "select * from calendly_freshness_history(since => '2026-11-26', step => '5 minutes');",
  );
  assert.deepEqual(toRequest(rowsOf), {
    method: "POST",
    path: "/rest/v1/rpc/calendly_freshness_history",
    body: '{"since":"2026-11-26","step":"5 minutes"}',
  });
  assert.equal(toSql(call("calendly_console_overview")), "select calendly_console_overview();");
});

Deno.test("an Edge Function is a command, and no statement", () => {
  const query = edgeFunction("POST", "calendly-sync", { user_id: 3, full: true });
  assert.equal(toSql(query), null);
  assert.equal(
    toCurl(query, URL),
    `curl '${URL}/functions/v1/calendly-sync' \\
  -H "apikey: $SUPABASE_SECRET_KEY" \\
  -H 'Content-Type: application/json' \\
  -d '{"user_id":3,"full":true}'`,
  );
  assert.match(toCurl(edgeFunction("DELETE", "calendly-connect"), URL), /^curl -X DELETE '/);
});
