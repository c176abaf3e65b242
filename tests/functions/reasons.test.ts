/** Why Calendly refuses something reaches whoever must act on it, without personal data or a token. */
import assert from "node:assert/strict";
import {
  Calendly,
  plainToken,
  RequestRefused,
  TemporaryFailure,
} from "../../supabase/functions/_shared/calendly/api.ts";
import { Database } from "../../supabase/functions/_shared/calendly/database.ts";
import { ApiError } from "../../supabase/functions/_shared/calendly/errors.ts";
import { InvalidGrant, refreshGrant } from "../../supabase/functions/_shared/calendly/oauth.ts";
import { reasonOf } from "../../supabase/functions/_shared/calendly/reason.ts";
import { createSubscription } from "../../supabase/functions/_shared/calendly/subscriptions.ts";
import { sync } from "../../supabase/functions/_shared/calendly/sync.ts";
import { type Answers, collectErrors, Stub } from "./stub.ts";
import { started, STOP, stubOf } from "./stub_run.ts";

const INVALID = {
  title: "Invalid Argument",
  message: "The supplied parameters are invalid.",
  details: [
    { parameter: "min_start_time", message: "must be before max_start_time", code: "order" },
    { message: "is not known" },
  ],
};
const TOLD =
  "The supplied parameters are invalid. (min_start_time: must be before max_start_time; " +
  "is not known)";

function refusing(status: number, body: unknown): () => Response {
  return () => Response.json(body, { status });
}

Deno.test("a reason is the message with the parameters that are wrong", async (t) => {
  const bodies: [unknown, string | undefined][] = [
    [INVALID, TOLD],
    [{ title: "Not Found" }, "Not Found"],
    [{ message: "m", details: [] }, "m"],
    [{ message: "m", details: null }, "m"],
    [{ message: "m", details: "because" }, "m (because)"],
    [{ message: "m", details: { parameter: "url", message: "is taken" } }, "m (url: is taken)"],
    [{ message: "m", details: [null, 7, {}, [], { parameter: 7 }, "one", "one"] }, "m (one)"],
    [{ details: [{ parameter: "url", message: "is taken" }] }, "url: is taken"],
    [{ message: 7, title: " " }, undefined],
    [{}, undefined],
  ];
  for (const [body, reason] of bodies) {
    await t.step(JSON.stringify(body), () => {
      assert.equal(reasonOf(body as Record<string, unknown>), reason);
    });
  }
});

Deno.test("a reason holds no token, e-mail or telephone number, however it is cut", async (t) => {
  const token = "eyJhbGciOi.J1c2VyX3V1aWQ.x1z";
  const texts: [string, string][] = [
    ["jane.doe+x@example.com is taken", "(e-mail) is taken"],
    ["<jane@example.com>, JANE%40EXAMPLE.COM", "<(e-mail)>, (e-mail)"],
    ["jürgen@münchen.example: no", "(e-mail): no"],
    ["jane\uff20example.com, JANE%ef%bc%a0EXAMPLE.COM", "(e-mail), (e-mail)"],
    ['"jane doe"@example.com is taken', "(e-mail) is taken"],
    ["call +1 (202) 555-0123 now", "call (telephone number) now"],
    [`Bearer ${token}`, "Bearer …"],
    ["2026-03-01T10:00:00+00:00 is past", "2026-03-01T10:00:00+00:00 is past"],
    ["a\u0000b\ncd \ud800", "a b cd \ufffd"],
  ];
  for (const [text, shown] of texts) {
    await t.step(text, () => {
      assert.equal(reasonOf({ message: text }, [token]), shown);
      assert.equal(
        reasonOf({ message: "m", details: [{ parameter: text, message: text }] }, [token]),
        `m (${shown}: ${shown})`,
      );
    });
  }
  await t.step("of a text however long", () => {
    const long = "jane.doe.with.a.long.name@example.com ".repeat(300) + token;
    const reason = reasonOf({ message: long, details: [long] }, [token])!;
    assert.doesNotMatch(reason, /jane|eyJ/);
    const word = "a".repeat(1_000_000);
    assert.equal(reasonOf({ message: word })!.length, 900);
    assert.equal(reasonOf({ details: [`${word}@`] })!.length, 200);
  });
  await t.step("at the end of a long text", () => {
    for (let before = 150; before <= 1000; before++) {
      const message = "x ".repeat(before / 2) + token;
      const reason = reasonOf({ message, details: [message] }, [token])!;
      assert.doesNotMatch(reason, /eyJ/);
      assert.ok(reason.length <= 900);
    }
  });
  await t.step("in the scopes that are missing", async () => {
    const required_scopes = ["jane@example.com", 7, token];
    await using _stub = new Stub({
      "GET /users/me": refusing(403, { title: "t", required_scopes }),
    });
    await assert.rejects(new Calendly(plainToken(token)).me(), (error) => {
      assert.ok(error instanceof ApiError && error.code === "scope_missing");
      assert.equal(error.message, "The Calendly token lacks a scope: (e-mail), 7, …");
      return true;
    });
  });
  await t.step("a long message leaves room for the details", () => {
    const reason = reasonOf({ message: "m".repeat(3000), details: ["the cause"] })!;
    assert.match(reason, /m \(the cause\)$/);
    assert.ok(reason.length <= 900);
  });
  await t.step("of many details five are told", () => {
    const details = Array.from({ length: 100 }, (_, number) => ({ message: `wrong ${number}` }));
    assert.equal(reasonOf({ message: "m", details })!.split(";").length, 5);
  });
});

Deno.test("every request of Calendly's tells its reason", async (t) => {
  const uri = "https://api.calendly.com/scheduled_events/E";
  const requests: [string, (calendly: Calendly) => Promise<unknown>][] = [
    ["GET /users/me", (calendly) => calendly.me()],
    ["GET /scheduled_events", (calendly) => calendly.listEvents({})],
    ["GET /scheduled_events", (calendly) => calendly.listEvents({ page_token: "t" })],
    ["GET /scheduled_events/E", (calendly) => calendly.readEvent(uri)],
    ["GET /scheduled_events/E/invitees", (calendly) => calendly.readInvitees(uri)],
    ["GET /webhook_subscriptions", (calendly) => calendly.listSubscriptions({})],
    ["POST /webhook_subscriptions", (calendly) => calendly.createSubscription({})],
    ["DELETE /webhook_subscriptions/E", (calendly) => calendly.deleteSubscription(uri)],
  ];
  for (const status of [400, 401, 403]) {
    for (const [name, request] of requests) {
      await t.step(`${name}: ${status}`, async () => {
        await using _stub = new Stub({ [name]: refusing(status, INVALID) });
        await assert.rejects(request(new Calendly(plainToken("pat"))), (error) => {
          assert.ok(
            error instanceof RequestRefused || error instanceof TemporaryFailure ||
              error instanceof ApiError,
          );
          assert.ok(error.message.includes(TOLD), error.message);
          return true;
        });
      });
    }
  }
});

const LISTING = {
  do: "list_events",
  step: 1,
  wait_seconds: 0,
  query: { user: "u" },
  ahead: false,
  concurrency: 1,
};
const INVITEES = {
  do: "fetch_invitees",
  step: 1,
  wait_seconds: 0,
  event_uris: ["E"],
  ahead: { event_uris: [] },
  concurrency: 1,
};
const REQUEST = { trigger: "manual", user_id: 7 } as const;

Deno.test("a listing that is refused tells the caller, the run and the log why", async () => {
  await using stub = await stubOf(LISTING, {
    "GET /scheduled_events": refusing(400, INVALID),
    calendly_fail_sync: () => ({ status: "failed" }),
  });
  using errors = collectErrors();
  await assert.rejects(
    sync(new Database(), REQUEST),
    (error) => error instanceof ApiError && error.message.includes(TOLD),
  );
  assert.ok(stub.asked("calendly_fail_sync")[0].error.message.includes(TOLD));
  assert.match(errors.lines.join(), /must be before max_start_time/);
});

Deno.test("invitees that are refused are rejected with the reason", async () => {
  await using stub = await stubOf(INVITEES, {
    "GET /scheduled_events/E/invitees": refusing(403, INVALID),
    calendly_apply_step: () => STOP,
  });
  await sync(new Database(), REQUEST);
  const [{ result: { invitees } }] = stub.asked("calendly_apply_step");
  assert.deepEqual(invitees, [
    { event_uri: "E", problem: `the invitees cannot be read: ${TOLD}` },
  ]);
});

Deno.test("a subscription that is refused tells the caller and last_error why", async () => {
  const answers: Answers = {
    calendly_abandon_subscription: () => null,
    "GET /users/me": () => ({ resource: { uri: "u", current_organization: "o" } }),
    calendly_subscription_query: () => ({ scope: "user", user: "u", organization: "o" }),
    "POST /webhook_subscriptions": refusing(400, {
      ...INVALID,
      details: [{ parameter: "url", message: "must be reachable by https" }],
    }),
  };
  await using stub = await stubOf(STOP, answers);
  const { credential } = await started(STOP);
  stub.answers.calendly_begin_subscription = () => ({
    id: "0-1",
    connection_id: "connection",
    scope: "user",
    user: "u",
    organization: "o",
    credential,
  });
  Deno.env.set("SUPABASE_PUBLIC_URL", "https://supabase.example.com");
  const told = /invalid\. \(url: must be reachable by https\)/;
  await assert.rejects(createSubscription(new Database(), { user_id: 7 }), told);
  assert.match(stub.asked("calendly_abandon_subscription")[0].error.message, told);
});

Deno.test("what the authorization server says is told, without what was sent to it", async (t) => {
  const app = { CALENDLY_CLIENT_ID: "app", CALENDLY_CLIENT_SECRET: "the secret of the app" };
  const refresh = "r-token";
  const description = "The grant r-token of jane@example.com was revoked; the secret of the app " +
    "and eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0 are unknown";
  const shown = "The grant … of (e-mail) was revoked; … and … are unknown";
  const kinds = [
    ["invalid_grant", InvalidGrant, shown],
    ["invalid_client", ApiError, `Calendly does not accept this OAuth client: ${shown}`],
    ["unauthorized_client", ApiError, `Calendly does not accept this OAuth client: ${shown}`],
    [
      "invalid_request",
      TemporaryFailure,
      `Calendly's authorization server answers with HTTP 400 (invalid_request): ${shown}`,
    ],
    [
      "r-token!",
      TemporaryFailure,
      `Calendly's authorization server answers with HTTP 400: ${shown}`,
    ],
  ] as const;
  for (const [error, kind, message] of kinds) {
    await t.step(error, async () => {
      const body = { error, error_description: description };
      await using _stub = new Stub({ "POST /oauth/token": refusing(400, body) }, app);
      await assert.rejects(refreshGrant(refresh), (caught) => {
        assert.ok(caught instanceof kind);
        assert.equal(caught.message, message);
        return true;
      });
    });
  }
  await t.step("nothing, or no text", async () => {
    for (const error_description of [undefined, null, 7, "", { a: 1 }]) {
      const body = { error: "invalid_request", error_description };
      await using _stub = new Stub({ "POST /oauth/token": refusing(400, body) }, app);
      await assert.rejects(refreshGrant(refresh), /HTTP 400 \(invalid_request\)\.$/);
    }
  });
});
