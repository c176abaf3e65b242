/** Every answer of the three functions tells their version, so that an installer sees what is deployed. */
import assert from "node:assert/strict";
import connect from "../../supabase/functions/calendly-connect/index.ts";
import sync from "../../supabase/functions/calendly-sync/index.ts";
import webhook from "../../supabase/functions/calendly-webhook/index.ts";
import { VERSION } from "../../supabase/functions/_shared/calendly/version.ts";
import { collectErrors, Stub } from "./stub.ts";

const FUNCTIONS = {
  "calendly-sync": sync,
  "calendly-connect": connect,
  "calendly-webhook": webhook,
};
const REQUESTS: [method: string, path: string, status: number][] = [
  ["OPTIONS", "calendly-sync", 204],
  ["POST", "calendly-sync", 401],
  ["PUT", "calendly-sync", 405],
  ["GET", "calendly-sync/health", 503],
  ["GET", "calendly-connect", 401],
  ["HEAD", "calendly-connect", 401],
  ["OPTIONS", "calendly-connect", 204],
  ["GET", "calendly-connect/oauth/callback?code=c", 302],
  ["HEAD", "calendly-connect/oauth/callback?code=c", 302],
  ["GET", "calendly-webhook/test", 200],
  ["HEAD", "calendly-webhook/test", 200],
  ["POST", "calendly-webhook", 401],
  ["GET", "calendly-webhook/nowhere/at/all", 404],
];

Deno.test("the version is one of semantic versioning", () => {
  assert.match(VERSION, /^\d+\.\d+\.\d+(-[0-9a-z.-]+)?$/);
});

Deno.test("every answer tells it, to browsers as well", async (t) => {
  await using _stub = new Stub({}, { CALENDLY_RETURN_URL: "https://app.example.com/settings" });
  using _errors = collectErrors();
  for (const [method, path, status] of REQUESTS) {
    await t.step(`${method} ${path}`, async () => {
      const name = path.match(/^[a-z-]+/)![0] as keyof typeof FUNCTIONS;
      const response = await FUNCTIONS[name].fetch(
        new Request(`http://project.test/functions/v1/${path}`, { method }),
      );
      assert.equal(response.status, status);
      assert.equal(response.headers.get("x-calendly-sync-version"), VERSION);
      if (status !== 302) { // where a browser goes on to another page
        const exposed = response.headers.get("access-control-expose-headers");
        assert.equal(exposed, "x-calendly-sync-version");
      }
      const body = await response.text();
      if (method === "HEAD") assert.equal(body, "");
    });
  }
});
