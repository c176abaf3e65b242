/** What browsers and monitors ask of every function before and beside its own routes. */
import assert from "node:assert/strict";
import connect from "../../supabase/functions/calendly-connect/index.ts";
import sync from "../../supabase/functions/calendly-sync/index.ts";
import webhook from "../../supabase/functions/calendly-webhook/index.ts";
import { setEnvironment } from "./stub.ts";

const FUNCTIONS = {
  "calendly-connect": connect,
  "calendly-sync": sync,
  "calendly-webhook": webhook,
};

/** Headers that supabase-js, its option `region`, Sentry and OpenTelemetry send. */
const SENT = [
  "authorization",
  "apikey",
  "content-type",
  "x-client-info",
  "x-region",
  "x-retry-count",
  "sentry-trace",
  "baggage",
  "traceparent",
  "tracestate",
];

/** Whether a browser sends a header after this answer: the asterisk stands for all but authorization. */
function allows(answer: Headers, name: string): boolean {
  const allowed = answer.get("access-control-allow-headers")!.toLowerCase().split(/, */);
  return allowed.includes(name) || (allowed.includes("*") && name !== "authorization");
}

Deno.test("a preflight allows what browsers send, and is remembered for an hour", async (t) => {
  setEnvironment({});
  for (const [name, { fetch }] of Object.entries(FUNCTIONS)) {
    await t.step(name, async () => {
      const { status, headers } = await fetch(
        new Request(`http://project.test/functions/v1/${name}`, {
          method: "OPTIONS",
          headers: {
            origin: "https://app.example.com",
            "access-control-request-method": "POST",
            "access-control-request-headers": SENT.join(","),
          },
        }),
      );
      assert.equal(status, 204);
      assert.equal(headers.get("access-control-allow-origin"), "*");
      for (const header of [...SENT, "x-datadog-trace-id"]) {
        assert.ok(allows(headers, header), header);
      }
      const listed = headers.get("access-control-allow-headers")!.split(", ");
      for (const header of SENT) {
        assert.ok(listed.includes(header), `${header}, for older browsers`);
      }
      for (const method of ["GET", "HEAD", "POST", "DELETE"]) {
        assert.match(headers.get("access-control-allow-methods")!, new RegExp(`\\b${method}\\b`));
      }
      assert.equal(headers.get("access-control-max-age"), "3600");
    });
  }
});

Deno.test("only a preflight says how long it is remembered", async () => {
  setEnvironment({});
  const { headers } = await sync.fetch(new Request("http://project.test/calendly-sync/nowhere"));
  assert.equal(headers.get("access-control-max-age"), null);
  assert.equal(headers.get("access-control-allow-origin"), "*");
});
