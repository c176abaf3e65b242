/** Which errors of the database pass by themselves, and which are told as the app's own fault. */
import assert from "node:assert/strict";
import { Database } from "../../supabase/functions/_shared/calendly/database.ts";
import {
  ApiError,
  DatabaseError,
  toApiError,
} from "../../supabase/functions/_shared/calendly/errors.ts";
import { collectErrors, Stub } from "./stub.ts";
import { STOP, stubOf } from "./stub_run.ts";
import { sync } from "../../supabase/functions/_shared/calendly/sync.ts";

/** What a caller is told where the Data API answers with this error. */
async function errorFor(
  status: number,
  code: string,
  message = "In its own words",
  rpc: "calendly_finish_revocation" | "calendly_health" = "calendly_finish_revocation",
): Promise<ApiError> {
  await using _stub = new Stub({
    [rpc]: () => Response.json({ code, message, details: null, hint: null }, { status }),
  });
  try {
    await new Database().call(rpc, { id: "i" });
  } catch (error) {
    assert.ok(error instanceof ApiError || error instanceof DatabaseError, String(error));
    return toApiError(error);
  }
  throw new Error("no error");
}

Deno.test("a database that is away for now is told as such", async (t) => {
  const away: [number, string, string?][] = [
    [503, "PGRST000"],
    [503, "PGRST001"],
    [503, "PGRST002"],
    [504, "PGRST003"],
    [500, "PGRSTX00"],
    [500, "CONNECTION_CLOSED"],
    [503, "08006"],
    [500, "08P01", "no more connections allowed (max_client_conn)"],
    [403, "28P01"],
    [400, "25P02"],
    [500, "40001"],
    [500, "40P01"],
    [500, "3D000"],
    [503, "53200"],
    [503, "53300"],
    [500, "53400"],
    [500, "55P03"],
    [500, "57014", "canceling statement due to statement timeout"],
    [503, "57P01"],
    [503, "57P02"],
    [503, "57P03"],
    [500, "58030"],
    [500, "26000", 'prepared statement "12" does not exist'],
    [500, "42P05", 'prepared statement "12" already exists'],
    [500, "XX000", "Tenant or user not found"],
    [500, "XX000", "(ENOTFOUND) tenant/user postgres.x not found"],
    [500, "XX000", "server login failed: FATAL password authentication failed"],
    [500, "XX000", "Max client connections reached"],
    [500, "XX000", "MaxClientsInSessionMode: max clients reached"],
    [500, "XX000", "(ECHECKOUTTIMEOUT) unable to check out connection from the pool"],
    [500, "XX000", "{:error, :authentication_error}: authentication query failed"],
    [500, "XX000", "DbHandler exited"],
    [500, "XX000", "cache lookup failed for function 16384"],
    [500, "XX000", "tuple concurrently updated"],
    [400, "0A000", "cached plan must not change result type"],
  ];
  for (const [status, code, message] of away) {
    await t.step(`${code} ${message ?? ""}`, async () => {
      const error = await errorFor(status, code, message);
      assert.deepEqual([error.code, error.status], ["database_unavailable", 503]);
      assert.deepEqual(error.details, { reason: code });
      assert.match(error.hint!, /in a moment.*the project's database/);
    });
  }
});

Deno.test("a database that can only be read is told as such", async (t) => {
  for (const [status, code] of [[405, "25006"], [400, "25006"], [503, "53100"]] as const) {
    await t.step(`${status} ${code}`, async () => {
      const error = await errorFor(status, code);
      assert.deepEqual([error.code, error.status], ["database_unavailable", 503]);
      assert.match(error.message, /takes no writes.*Nothing is lost/);
      assert.match(error.hint!, /disk/);
    });
  }
});

Deno.test("only what an app's trigger or constraint can cause is told as perhaps its fault", async (t) => {
  const errors: [boolean, number, string, string?][] = [
    [true, 400, "P0001", "No room"],
    [true, 500, "P0002", "query returned no rows"],
    [true, 500, "P0004", "assertion failed"],
    [true, 409, "23505"],
    [true, 409, "23503"],
    [true, 400, "23514"],
    [true, 400, "22P02"],
    [true, 403, "42501", "permission denied for table app_meetings"],
    [true, 404, "42P01", 'relation "public.app_meetings" does not exist'],
    [true, 400, "44000"],
    [true, 500, "38000"],
    [false, 404, "42P01", 'relation "calendly.meeting_sync" does not exist'],
    [false, 403, "42501", "permission denied for table calendly_meetings"],
    [false, 404, "42P01", 'relation "cron.job" does not exist'],
    [false, 404, "42883", "function net.http_post(text) does not exist"],
    [false, 500, "XX000", "unexpected plan"],
    [false, 500, "XX001", "invalid page in block 7"],
    [false, 500, "XX002"],
    [false, 500, "54001", "stack depth limit exceeded"],
    [false, 400, "0A000", "not supported"],
  ];
  for (const [isPerhaps, status, code, message] of errors) {
    await t.step(`${code} ${message ?? ""}`, async () => {
      const error = await errorFor(status, code, message);
      assert.deepEqual([error.code, error.status], ["internal", 500]);
      const hint = error.hint!;
      assert.equal(/of yours/.test(hint), isPerhaps, hint);
      assert.match(hint, new RegExp(code));
      const ofReading = await errorFor(status, code, message, "calendly_health");
      assert.doesNotMatch(ofReading.hint!, /of yours/, "where nothing is written");
    });
  }
});

Deno.test("a database that cannot write in the middle of a run leaves the run to go on", async () => {
  const refused = () =>
    Response.json({ code: "25006", message: "read-only transaction" }, { status: 405 });
  await using stub = await stubOf({ do: "finish", step: 1, wait_seconds: 0 }, {
    calendly_finish_sync: refused,
    calendly_fail_sync: refused,
  });
  using errors = collectErrors();
  await assert.rejects(
    sync(new Database(), { trigger: "manual", user_id: 7 }),
    (error) => error instanceof ApiError && error.code === "database_unavailable",
  );
  assert.equal(stub.asked("calendly_finish_sync").length, 4, "it is tried again first");
  assert.equal(stub.asked("calendly_fail_sync")[0].error.code, "database_unavailable");
  assert.equal(errors.lines.length, 2);

  let refusals = 2;
  stub.answers.calendly_finish_sync = () => refusals-- > 0 ? refused() : STOP;
  assert.equal((await sync(new Database(), { trigger: "manual", user_id: 7 })).status, "complete");
});
