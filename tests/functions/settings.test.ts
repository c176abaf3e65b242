/** A wrong setting is told as one, and not as an outage: before anything is asked of Calendly. */
import assert from "node:assert/strict";
import { Database } from "../../supabase/functions/_shared/calendly/database.ts";
import { ApiError } from "../../supabase/functions/_shared/calendly/errors.ts";
import { sync } from "../../supabase/functions/_shared/calendly/sync.ts";
import connect from "../../supabase/functions/calendly-connect/index.ts";
import { collectErrors, SECRET_KEY } from "./stub.ts";
import { stubOf } from "./stub_run.ts";

const WRONG = [
  ["CALENDLY_API_URL", "api.calendly.com"],
  ["CALENDLY_API_URL", "https://api.calendly.com?x=1"],
  ["CALENDLY_TOKEN_KEY", "short"],
  ["CALENDLY_TOKEN_KEY", ","],
  ["SUPABASE_SECRET_KEYS", "null"],
  ["SUPABASE_URL", "project.supabase.co"],
] as const;

const LISTING = {
  do: "list_events",
  step: 1,
  wait_seconds: 0,
  query: { user: "u" },
  ahead: false,
  concurrency: 1,
};

/** What reached Calendly: all that is no RPC. */
function calendlys(names: string[]): string[] {
  return names.filter((name) => name.includes(" "));
}

Deno.test("a sync with a wrong setting fails with its name", async (t) => {
  for (const [name, value] of WRONG) {
    await t.step(`${name}=${value}`, async () => {
      await using stub = await stubOf(LISTING, {
        calendly_fail_sync: () => ({ status: "failed" }),
      });
      using _errors = collectErrors();
      Deno.env.set(name, value);
      await assert.rejects(
        async () => await sync(new Database(), { trigger: "manual", user_id: 7 }),
        (error) => {
          assert.ok(error instanceof ApiError);
          assert.deepEqual([error.code, error.status], ["not_configured", 503]);
          assert.match(error.message, new RegExp(`^${name} `));
          assert.ok(error.hint);
          return true;
        },
      );
      assert.deepEqual(calendlys(stub.names), []);
      const failed = stub.asked("calendly_fail_sync");
      if (stub.names.length > 0) assert.equal(failed[0].error.code, "not_configured");
    });
  }
});

Deno.test("connecting with a wrong setting fails with its name", async (t) => {
  for (const [name, value] of WRONG) {
    await t.step(`${name}=${value}`, async () => {
      await using stub = await stubOf(LISTING);
      using _errors = collectErrors();
      Deno.env.set(name, value);
      const response = await connect.fetch(
        new Request("http://project.test/functions/v1/calendly-connect", {
          method: "POST",
          headers: { apikey: SECRET_KEY },
          body: JSON.stringify({ token: "pat" }),
        }),
      );
      const { error } = await response.json();
      assert.deepEqual([response.status, error.code], [503, "not_configured"]);
      assert.match(error.message, new RegExp(`^${name} `));
      assert.deepEqual(stub.names, []);
    });
  }
});
