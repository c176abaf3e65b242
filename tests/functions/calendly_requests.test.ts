/** What the functions send to Calendly, where the sandbox does not look closely: addresses, headers, forms. */
import assert from "node:assert/strict";
import {
  Calendly,
  plainToken,
  RequestRefused,
  TemporaryFailure,
} from "../../supabase/functions/_shared/calendly/api.ts";
import type { Credential } from "../../supabase/functions/_shared/calendly/contract.ts";
import { ConnectionToken } from "../../supabase/functions/_shared/calendly/credential.ts";
import { Database } from "../../supabase/functions/_shared/calendly/database.ts";
import { ApiError } from "../../supabase/functions/_shared/calendly/errors.ts";
import { allKeys } from "../../supabase/functions/_shared/calendly/keys.ts";
import {
  authorizeUrl,
  exchangeCode,
  InvalidGrant,
  refreshGrant,
  revokeToken,
} from "../../supabase/functions/_shared/calendly/oauth.ts";
import {
  createSubscription,
  reviewSubscription,
} from "../../supabase/functions/_shared/calendly/subscriptions.ts";
import { encrypt, encryptToken } from "../../supabase/functions/_shared/calendly/tokens.ts";
import { finishConsent } from "../../supabase/functions/calendly-connect/consent.ts";
import { type Answers, collectErrors, Stub } from "./stub.ts";

const GRANT = { access_token: "access", refresh_token: "refresh", expires_in: 7200 };
const APP = { CALENDLY_CLIENT_ID: "app-1_x", CALENDLY_CLIENT_SECRET: "secret" };

async function credential(kind: Credential["kind"] = "personal_access_token"): Promise<Credential> {
  return {
    connection_id: "connection",
    kind,
    token_jwe: await encryptToken({ access_token: "pat" }, "connection"),
    version: 1,
    expires_soon: false,
  };
}

Deno.test("a URI that names no resource is not asked for", async (t) => {
  const uris = ["https://api.calendly.com/scheduled_events/..", "..", ".", "", "https://x.test/"];
  for (const uri of uris) {
    await t.step(JSON.stringify(uri), async () => {
      await using stub = new Stub({});
      const calendly = new Calendly(plainToken("pat"));
      const refused = (error: unknown) => error instanceof RequestRefused && error.status === 400;
      await assert.rejects(calendly.readEvent(uri), refused);
      await assert.rejects(calendly.readInvitees(uri), refused);
      await assert.rejects(calendly.deleteSubscription(uri), refused);
      assert.deepEqual(stub.names, []);
    });
  }
  await t.step("and one with other signs in it is, by its last segment alone", async () => {
    await using stub = new Stub({});
    const calendly = new Calendly(plainToken("pat"));
    for (const uri of ["https://evil.example/x/..%2f..", "https://x.test/a?b#c"]) {
      await assert.rejects(calendly.readEvent(uri), RequestRefused);
    }
    assert.deepEqual(stub.names, [
      "GET /scheduled_events/..%252f..",
      "GET /scheduled_events/a%3Fb%23c",
    ]);
  });
});

Deno.test("a token is decrypted once while it is used", async () => {
  await using _stub = new Stub({});
  const token = new ConnectionToken(new Database(), await credential());
  assert.equal(await token.current(), "pat");
  Deno.env.delete("CALENDLY_TOKEN_KEY");
  assert.equal(await token.current(), "pat");
});

Deno.test("keys are derived once, and again when CALENDLY_TOKEN_KEY changes", async () => {
  await using _stub = new Stub({});
  const keys = await allKeys();
  assert.equal(await allKeys(), keys);
  Deno.env.set("CALENDLY_TOKEN_KEY", "another key that encrypts the tokens");
  assert.notEqual((await allKeys())[0].id, keys[0].id);
});

Deno.test("id and secret of the app survive the Basic header, whatever is in them", async (t) => {
  for (const secret of ["secret", "with: a colon", "…", "a+b=c&d%20e", "-_.~!*'()"]) {
    await t.step(secret, async () => {
      await using stub = new Stub({ "POST /oauth/token": () => GRANT }, {
        ...APP,
        CALENDLY_CLIENT_SECRET: secret,
      });
      await refreshGrant("refresh");
      const [{ headers }] = stub.arrived;
      const pair = atob(headers.get("authorization")!.replace(/^Basic /, "")).split(":");
      assert.equal(pair.length, 2);
      // A server that form-decodes and one that percent-decodes read the same.
      const decoded = pair.map(decodeURIComponent);
      assert.deepEqual(decoded, ["app-1_x", secret]);
      assert.deepEqual(pair.map((part) => new URLSearchParams(`x=${part}`).get("x")), decoded);
      // A server that decodes nothing reads an id of the usual letters all the same.
      assert.equal(pair[0], "app-1_x");
    });
  }
});

Deno.test("the forms of OAuth are those of the standard", async () => {
  await using stub = new Stub(
    { "POST /oauth/token": () => GRANT, "POST /oauth/revoke": () => ({}) },
    { ...APP, SUPABASE_PUBLIC_URL: "https://supabase.example.com/" },
  );
  const redirect_uri = "https://supabase.example.com/functions/v1/calendly-connect/oauth/callback";
  assert.deepEqual(await exchangeCode("code", "verifier"), GRANT);
  assert.deepEqual(await refreshGrant("refresh"), GRANT);
  await revokeToken("refresh");
  const forms = stub.arrived.map(({ body }) => Object.fromEntries(new URLSearchParams(body)));
  assert.deepEqual(forms, [
    { grant_type: "authorization_code", code: "code", code_verifier: "verifier", redirect_uri },
    { grant_type: "refresh_token", refresh_token: "refresh" },
    { client_id: "app-1_x", client_secret: "secret", token: "refresh" },
  ]);
  const { searchParams } = new URL(authorizeUrl("state", "challenge"));
  assert.equal(searchParams.get("redirect_uri"), redirect_uri);
  assert.equal(searchParams.get("code_challenge_method"), "S256");
});

Deno.test("what the authorization server refuses is told apart", async (t) => {
  const doorkeeper = { "www-authenticate": 'Bearer realm="Doorkeeper", error="invalid_grant"' };
  const answers: [string, () => Response, unknown][] = [
    [
      "a spent token",
      () => Response.json({ error: "invalid_grant" }, { status: 400 }),
      InvalidGrant,
    ],
    [
      "a spent token, said in the header as well",
      () => Response.json({ error: "invalid_grant" }, { status: 401, headers: doorkeeper }),
      InvalidGrant,
    ],
    ["another client", () => Response.json({ error: "invalid_client" }, { status: 401 }), ApiError],
    ["too many requests", () => new Response("", { status: 429 }), TemporaryFailure],
    ["an outage", () => new Response("<html>", { status: 503 }), TemporaryFailure],
    ["an answer without a token", () => Response.json({}), TemporaryFailure],
    ["a page", () => new Response("<html>"), TemporaryFailure],
  ];
  for (const [what, answer, kind] of answers) {
    await t.step(what, async () => {
      await using stub = new Stub({ "POST /oauth/token": answer }, APP);
      await assert.rejects(refreshGrant("refresh"), kind as typeof Error);
      assert.equal(stub.arrived.length, 1, "a refresh token works once: nothing is repeated");
    });
  }
  await t.step("a wrong address is no outage", async () => {
    await using _stub = new Stub({}, { ...APP, CALENDLY_AUTH_URL: "auth.calendly.com" });
    await assert.rejects(
      refreshGrant("refresh"),
      (error) => error instanceof ApiError && error.code === "not_configured",
    );
  });
});

Deno.test("a consent that the app's secret spoils is put back as one that was begun before", async () => {
  const id = crypto.randomUUID();
  const answers: Answers = {
    "POST /oauth/token": () => Response.json({ error: "invalid_client" }, { status: 401 }),
    calendly_start_oauth: () => null,
  };
  await using stub = new Stub(answers, {
    ...APP,
    CALENDLY_RETURN_URL: "https://app.example.com/settings",
  });
  const taken = {
    id,
    verifier_jwe: await encrypt("verifier", id),
    scope: "user",
    members: "accounts",
    replace: false,
  };
  stub.answers.calendly_take_oauth_state = () => taken;
  await assert.rejects(
    finishConsent(new Database(), "ana", "code", "state"),
    (error) => error instanceof ApiError && error.code === "not_configured",
  );
  const [{ request: { state_digest, ...request } }] = stub.asked("calendly_start_oauth");
  assert.deepEqual(request, { auth_user_id: "ana", ...taken, again: true });
  assert.match(state_digest, /^[0-9a-f]{64}$/);
});

const BEGUN = {
  id: "0-1",
  connection_id: "connection",
  scope: "user",
  user: "u",
  organization: "o",
};

async function subscribing(answers: Answers, environment: Record<string, string>): Promise<Stub> {
  const stub = new Stub({}, environment);
  const begun = { ...BEGUN, credential: await credential() };
  stub.answers = {
    calendly_begin_subscription: () => begun,
    calendly_abandon_subscription: () => null,
    calendly_keep_subscription: () => ({ replaced: [] }),
    "GET /users/me": () => ({ resource: { uri: "u", current_organization: "o" } }),
    calendly_subscription_query: () => ({ user: "u", organization: "o", scope: "user" }),
    calendly_fail_review: () => null,
    "POST /webhook_subscriptions": () => ({ resource: { uri: "https://x.test/subscriptions/S" } }),
    ...answers,
  };
  return stub;
}

Deno.test("Calendly delivers to the public address", async () => {
  await using stub = await subscribing({}, { SUPABASE_PUBLIC_URL: "https://supabase.example.com" });
  await createSubscription(new Database(), { user_id: 7 });
  assert.deepEqual(stub.asked("calendly_begin_subscription"), [
    { request: { user_id: 7, project_url: stub.url } },
  ]);
  const [{ url }] = stub.asked("POST /webhook_subscriptions");
  assert.equal(url, "https://supabase.example.com/functions/v1/calendly-webhook/0-1");
});

Deno.test("without an address that Calendly reaches no subscription is asked for", async () => {
  await using stub = await subscribing({}, { SUPABASE_PUBLIC_URL: "http://kong:8000" });
  await assert.rejects(
    createSubscription(new Database(), { user_id: 7 }),
    (error) => error instanceof ApiError && error.code === "not_configured",
  );
  assert.deepEqual(stub.names, ["calendly_begin_subscription", "calendly_abandon_subscription"]);
  const [{ error }] = stub.asked("calendly_abandon_subscription");
  assert.match(error.hint, /Set it to this project's address/);
});

Deno.test("without such an address Calendly is not asked for its subscriptions either", async () => {
  await using stub = await subscribing({}, { SUPABASE_PUBLIC_URL: "http://kong:8000" });
  using errors = collectErrors();
  await reviewSubscription(new Database(), new Calendly(plainToken("pat")), await credential());
  assert.deepEqual(stub.names, ["calendly_fail_review"]);
  const [{ error }] = stub.asked("calendly_fail_review");
  assert.equal(error.code, "not_configured");
  assert.equal(errors.lines.length, 1);
  assert.match(errors.lines[0], /SUPABASE_PUBLIC_URL is needed/);
});

Deno.test("only what Calendly answers says that a subscription cannot be looked at", async (t) => {
  const raised = (code: string) => ({ code: "P0001", message: "No", details: code, hint: null });
  const refusing = (status: number, body: unknown) => () => Response.json(body, { status });
  const review = async (answers: Answers) => {
    await using stub = await subscribing({
      "GET /webhook_subscriptions": () => ({ collection: [], pagination: {} }),
      calendly_review_subscriptions: () => ({ make: false, delete: [] }),
      ...answers,
    }, { SUPABASE_PUBLIC_URL: "https://supabase.example.com" });
    using errors = collectErrors();
    await reviewSubscription(new Database(), new Calendly(plainToken("pat")), await credential());
    const [{ code, reason }, ...more] = errors.lines.map((line) => JSON.parse(line));
    assert.deepEqual(more, []);
    const [noted] = stub.asked("calendly_fail_review");
    return { code, reason, noted: noted?.error.code };
  };
  const ofTheDatabase: [string, number, unknown][] = [
    ["database_unavailable", 503, { code: "57P03", message: "starting up" }],
    ["database_unavailable", 405, { code: "25006", message: "read-only transaction" }],
    ["migrations_missing", 404, { code: "PGRST202", message: "no such function" }],
    ["schema_not_exposed", 406, { code: "PGRST106", message: "not exposed" }],
    ["key_claims_refused", 401, { code: "PGRST303", message: "issued in the future" }],
    ["database_outdated", 200, { make: "perhaps" }],
    ["not_connected", 400, raised("not_connected")],
    ["internal", 409, { code: "23505", message: "duplicate key" }],
  ];
  for (const [code, status, body] of ofTheDatabase) {
    for (const rpc of ["calendly_subscription_query", "calendly_review_subscriptions"]) {
      await t.step(`${rpc}: ${status} ${code}`, async () => {
        const told = await review({ [rpc]: refusing(status, body) });
        assert.deepEqual([told.code, told.noted], [code, undefined]);
        if (code === "internal") assert.match(told.reason, /23505 duplicate key/);
      });
    }
  }
  const ofCalendly: [string, string, () => unknown][] = [
    ["webhooks_refused", "GET /webhook_subscriptions", refusing(403, { title: "No" })],
    ["webhooks_refused", "GET /webhook_subscriptions", refusing(404, { title: "No" })],
    ["calendly_unavailable", "GET /webhook_subscriptions", refusing(429, {})],
    ["scope_missing", "GET /users/me", refusing(403, { title: "No", required_scopes: ["a"] })],
    ["no_organization", "calendly_subscription_query", refusing(400, raised("no_organization"))],
  ];
  for (const [code, name, answer] of ofCalendly) {
    await t.step(`${name}: ${code}`, async () => {
      const told = await review({ [name]: answer });
      assert.deepEqual([told.code, told.noted], [code, code]);
    });
  }
});

Deno.test("Postgres compares subscriptions by the address that it knows the project by", async () => {
  const listed = [
    { uri: "1", callback_url: "https://supabase.example.com/functions/v1/calendly-webhook/0-1" },
    { uri: "2", callback_url: "https://elsewhere.test/functions/v1/calendly-webhook/0-1" },
    { uri: "3" },
    null,
  ];
  await using stub = await subscribing({
    "GET /webhook_subscriptions": (_body, request) => {
      assert.deepEqual(Object.fromEntries(new URL(request.url).searchParams), {
        user: "u",
        organization: "o",
        scope: "user",
        count: "100",
      });
      return { collection: listed, pagination: {} };
    },
    calendly_review_subscriptions: () => ({ make: false, delete: [] }),
  }, { SUPABASE_PUBLIC_URL: "https://supabase.example.com" });
  using errors = collectErrors();
  await reviewSubscription(new Database(), new Calendly(plainToken("pat")), await credential());
  assert.deepEqual(errors.lines, []);
  const [review] = stub.asked("calendly_review_subscriptions");
  assert.deepEqual(review.listed, [
    { uri: "1", callback_url: `${stub.url}/functions/v1/calendly-webhook/0-1` },
    ...listed.slice(1),
  ]);
});
