/** Who a caller is, and for whom it may act: what is passed on to SQL, and what is refused before. */
import assert from "node:assert/strict";
import { exportJWK, generateKeyPair, SignJWT } from "jose";
import connect from "../../supabase/functions/calendly-connect/index.ts";
import sync from "../../supabase/functions/calendly-sync/index.ts";
import { decryptToken, encrypt } from "../../supabase/functions/_shared/calendly/tokens.ts";
import { type Answers, collectErrors, SECRET_KEY, Stub } from "./stub.ts";

const ANA = "5e0c8c0e-0000-4000-8000-00000000a0a0";
const BEN = "5e0c8c0e-0000-4000-8000-00000000be00";
const USER = "https://api.calendly.com/users/ANA";

const { privateKey, publicKey } = await generateKeyPair("ES256");
const JWKS = { keys: [{ ...await exportJWK(publicKey), kid: "1", alg: "ES256" }] };

/** A JWT of the project's own key. */
function jwt(sub: string | undefined, role = "authenticated"): Promise<string> {
  const token = new SignJWT({ role }).setProtectedHeader({ alg: "ES256", kid: "1" })
    .setExpirationTime("1h");
  return (sub === undefined ? token : token.setSubject(sub)).sign(privateKey);
}

const STATUS = { state: "active", scope: "user", user_id: 7 };

const ANSWERS: Answers = {
  "GET /auth/v1/.well-known/jwks.json": () => JWKS,
  "GET /users/me": () => ({ resource: { uri: USER, name: "Ana", email: "ana@example.com" } }),
  calendly_prepare_connection: () => ({ connection_id: "the connection" }),
  calendly_connect: () => STATUS,
  calendly_connection_status: () => STATUS,
  calendly_disconnect: () => STATUS,
  calendly_disable_webhooks: () => ({ ended: [], credential: null, status: STATUS }),
  calendly_claim_revocation: () => ({ status: "idle" }),
  calendly_begin_sync: () => ({ status: "in_progress", run_id: "run" }),
};

const asUser = async (sub: string) => ({ authorization: `Bearer ${await jwt(sub)}` });
const asServer = () => Promise.resolve({ apikey: SECRET_KEY });

/** What goes on after an answer, as the platform is told of it. */
const pending: Promise<unknown>[] = [];
Object.assign(globalThis, {
  EdgeRuntime: { waitUntil: (work: Promise<unknown>) => void pending.push(work) },
});

/** Calls a function, and waits for what goes on after its answer. */
async function call(
  path: string,
  method: string,
  headers: Record<string, string>,
  body?: unknown,
) {
  const handler = path.startsWith("calendly-sync") ? sync : connect;
  const response = await handler.fetch(
    new Request(`http://project.test/functions/v1/${path}`, {
      method,
      headers,
      body: body === undefined ? undefined : JSON.stringify(body),
    }),
  );
  const answer = await response.json();
  await Promise.all(pending.splice(0));
  // deno-lint-ignore no-explicit-any -- each test knows what it asked for
  return { status: response.status, body: answer as any };
}

Deno.test("a server connects a person with an account, or without one", async () => {
  await using stub = new Stub(ANSWERS);
  for (const body of [{}, { auth_user_id: BEN }]) {
    const answer = await call("calendly-connect", "POST", await asServer(), {
      token: "pat",
      sync: false,
      ...body,
    });
    assert.deepEqual(answer, { status: 201, body: STATUS });
  }
  const connections = stub.asked("calendly_connect").map(({ connection }) => connection);
  assert.deepEqual(connections.map(({ auth_user_id }) => auth_user_id), [undefined, BEN]);
  const { token_jwe, ...connection } = connections[0];
  assert.deepEqual(connection, {
    kind: "personal_access_token",
    scope: "user",
    members: "accounts",
    replace: false,
    connection_id: "the connection",
    calendly_user_uri: USER,
    calendly_organization_uri: null,
    calendly_user_name: "Ana",
    calendly_user_email: "ana@example.com",
    project_url: stub.url,
  });
  assert.deepEqual(await decryptToken(token_jwe, "the connection"), { access_token: "pat" });
  assert.deepEqual(stub.asked("calendly_prepare_connection")[0], { calendly_user_uri: USER });
  assert.deepEqual(stub.asked("calendly_begin_sync"), []);
});

Deno.test("the first sync is that of the row which was connected, and its failure is logged", async () => {
  await using stub = new Stub(ANSWERS);
  using errors = collectErrors();
  await call("calendly-connect", "POST", await asServer(), { token: "pat" });
  assert.match(errors.lines[0], /"The first sync of a new connection failed".*running/);
  assert.deepEqual(stub.asked("calendly_begin_sync"), [
    { request: { user_id: 7, trigger: "connect", project_url: stub.url } },
  ]);
});

Deno.test("an organization's owner chooses whether hosts without an account are kept", async () => {
  await using stub = new Stub(ANSWERS);
  const headers = await asUser(ANA);
  const everyone = { token: "pat", sync: false, scope: "organization", members: "everyone" };
  assert.equal((await call("calendly-connect", "POST", headers, everyone)).status, 201);
  const [{ connection }] = stub.asked("calendly_connect");
  assert.deepEqual(
    [connection.scope, connection.members, connection.auth_user_id],
    ["organization", "everyone", ANA],
  );

  for (const wrong of [{ ...everyone, scope: "user" }, { ...everyone, members: "some" }]) {
    const { status, body } = await call("calendly-connect", "POST", headers, wrong);
    assert.deepEqual([status, body.error.code], [400, "invalid_body"]);
    assert.match(body.error.message, /^members: /);
  }
  assert.equal(stub.asked("calendly_connect").length, 1);
});

Deno.test("what cannot be stored is noticed before Calendly is asked", async () => {
  await using stub = new Stub(ANSWERS);
  Deno.env.set("CALENDLY_TOKEN_KEY", "short");
  using _errors = collectErrors();
  const { status, body } = await call("calendly-connect", "POST", await asServer(), {
    token: "pat",
  });
  assert.deepEqual([status, body.error.code], [503, "not_configured"]);
  assert.deepEqual(stub.names, []);
});

Deno.test("a grant is given back only where it was certainly not stored", async (t) => {
  const refused = () =>
    Response.json({ code: "P0001", details: "calendly_user_taken", message: "No" }, {
      status: 400,
    });
  const answers: [string, () => unknown, string | undefined, number][] = [
    ["stored", () => STATUS, undefined, 0],
    ["refused", refused, "calendly_user_taken", 1],
    ["an answer that is lost", () => new Response("", { status: 503 }), "database_unavailable", 0],
    ["an answer without a key", () => ({ state: "active" }), "database_outdated", 0],
    [
      "an answer of a newer database",
      () => ({ ...STATUS, state: "idle" }),
      "functions_outdated",
      0,
    ],
  ];
  for (const [what, answer, code, revoked] of answers) {
    await t.step(what, async () => {
      await using stub = new Stub({ ...ANSWERS, calendly_connect: answer }, {
        CALENDLY_CLIENT_ID: "app",
        CALENDLY_CLIENT_SECRET: "secret",
        CALENDLY_RETURN_URL: "https://app.example.com/settings",
      });
      using _errors = collectErrors();
      const verifier_jwe = await encrypt("verifier", "consent");
      Object.assign(stub.answers, {
        calendly_take_oauth_state: () => ({
          id: "consent",
          verifier_jwe,
          scope: "user",
          members: "accounts",
          replace: false,
        }),
        "POST /oauth/token": () => ({ access_token: "a", refresh_token: "r", expires_in: 7200 }),
        "POST /oauth/revoke": () => ({}),
      });
      const { body } = await call("calendly-connect/oauth/finish", "POST", await asUser(ANA), {
        code: "code",
        state: "state",
        sync: false,
      });
      assert.equal(body.error?.code, code);
      assert.equal(stub.asked("POST /oauth/revoke").length, revoked);
    });
  }
});

const ABOUT: [method: string, path: string, rpc: string][] = [
  ["GET", "calendly-connect", "calendly_connection_status"],
  ["DELETE", "calendly-connect", "calendly_disconnect"],
  ["DELETE", "calendly-connect/webhooks", "calendly_disable_webhooks"],
  ["POST", "calendly-connect/webhooks", "calendly_begin_subscription"],
];

/** The subscription cannot be made in these tests: whom it is for is all that counts. */
const NO_SUBSCRIPTION: Answers = {
  calendly_begin_subscription: () =>
    Response.json({ code: "P0001", details: "not_connected", message: "No" }, { status: 400 }),
};

Deno.test("a server names whom it means, in the body or in the query", async (t) => {
  for (const [method, path, rpc] of ABOUT) {
    await t.step(`${method} ${path}`, async () => {
      await using stub = new Stub({ ...ANSWERS, ...NO_SUBSCRIPTION });
      const headers = await asServer();
      const named: [string, unknown, Record<string, unknown>][] = [
        [`${path}?user_id=7`, undefined, { user_id: 7 }],
        [`${path}?auth_user_id=${ANA}`, undefined, { auth_user_id: ANA }],
      ];
      if (method !== "GET") {
        named.push(
          [path, { user_id: 7 }, { user_id: 7 }],
          [path, { auth_user_id: ANA }, { auth_user_id: ANA }],
          [`${path}?user_id=8`, { user_id: 7 }, { user_id: 7 }],
        );
      }
      for (const [address, body, expected] of named) {
        await call(address, method, headers, body);
        const { user_id, auth_user_id } = stub.asked(rpc).at(-1).request;
        assert.deepEqual({ user_id, auth_user_id }, {
          user_id: undefined,
          auth_user_id: undefined,
          ...expected,
        });
      }
      assert.equal(stub.asked(rpc).length, named.length);

      const wrong: [string, string][] = [
        ["", "user_id_required"],
        ["?user_id=none", "invalid_query"],
        ["?user_id=0", "invalid_query"],
        ["?user_id=", "invalid_query"],
        ["?auth_user_id=7", "invalid_query"],
      ];
      for (const [query, code] of wrong) {
        const { status, body } = await call(path + query, method, headers);
        assert.deepEqual([status, body.error.code], [400, code], query);
        assert.ok(body.error.hint);
      }
      assert.equal(stub.asked(rpc).length, named.length);
    });
  }
});

Deno.test("a signed-in person acts for nobody else", async (t) => {
  for (const [method, path, rpc] of ABOUT) {
    await t.step(`${method} ${path}`, async () => {
      await using stub = new Stub({ ...ANSWERS, ...NO_SUBSCRIPTION });
      const headers = await asUser(ANA);
      const { status, body } = await call(`${path}?auth_user_id=${BEN}`, method, headers);
      assert.deepEqual([status, body.error.code], [403, "another_user"]);
      assert.ok(!stub.names.includes(rpc));

      // Postgres compares a user_id with the account: both are passed on.
      await call(`${path}?user_id=8`, method, headers);
      await call(`${path}?auth_user_id=${ANA.toUpperCase()}`, method, headers);
      const requests = stub.asked(rpc).map(({ request }) => request);
      assert.deepEqual(requests.map((r) => [r.user_id, r.auth_user_id]), [
        [8, ANA],
        [undefined, ANA],
      ]);
    });
  }
  await t.step("POST calendly-connect", async () => {
    await using stub = new Stub(ANSWERS);
    const { status, body } = await call("calendly-connect", "POST", await asUser(ANA), {
      token: "pat",
      auth_user_id: BEN,
    });
    assert.deepEqual([status, body.error.code], [403, "another_user"]);
    assert.ok(!stub.names.includes("GET /users/me"));
  });
  await t.step("POST calendly-sync", async () => {
    await using stub = new Stub(ANSWERS);
    await call("calendly-sync", "POST", await asUser(ANA), { user_id: 8 });
    const [{ request }] = stub.asked("calendly_begin_sync");
    assert.deepEqual([request.user_id, request.auth_user_id], [8, ANA]);
  });
  await t.step("and a server not by OAuth", async () => {
    await using _stub = new Stub(ANSWERS);
    for (const path of ["start", "finish"]) {
      const { status, body } = await call(`calendly-connect/oauth/${path}`, "POST", {
        apikey: SECRET_KEY,
      });
      assert.deepEqual([status, body.error.code], [401, "not_authenticated"]);
    }
  });
});

Deno.test("a JWT is checked by the project's key set", async (t) => {
  const now = Math.floor(Date.now() / 1000);
  const { privateKey: foreign } = await generateKeyPair("ES256");
  const signed = (key: CryptoKey, kid: string, expires = now + 60) =>
    new SignJWT({ role: "authenticated" }).setProtectedHeader({ alg: "ES256", kid }).setSubject(ANA)
      .setExpirationTime(expires).sign(key);
  const refused: [string, string][] = [
    ["signed by another key of the same name", await signed(foreign, "1")],
    ["signed by an unknown key", await signed(foreign, "2")],
    ["that has expired", await signed(privateKey, "1", now - 1)],
    ["of another role", await jwt(ANA, "viewer")],
    ["without a subject", await jwt(undefined)],
    ["whose subject is not a uuid", await jwt("ana")],
  ];
  for (const source of ["fetched", "given"]) {
    await using stub = new Stub(
      ANSWERS,
      source === "given" ? { SUPABASE_JWKS: JSON.stringify(JWKS) } : {},
    );
    for (const [what, token] of refused) {
      await t.step(`one ${what} is refused (${source} keys)`, async () => {
        const { status, body } = await call("calendly-connect", "GET", {
          authorization: `Bearer ${token}`,
        });
        assert.deepEqual([status, body.error.code], [401, "invalid_jwt"]);
      });
    }
    await t.step(`a good one is not (${source} keys)`, async () => {
      assert.equal((await call("calendly-connect", "GET", await asUser(ANA))).status, 200);
    });
    assert.deepEqual(
      stub.asked("GET /auth/v1/.well-known/jwks.json").length > 0,
      source === "fetched",
    );
  }
  await t.step("keys that cannot be read are no fault of the person's", async () => {
    for (
      const answer of [
        () => new Response("<html>", { status: 503 }),
        () => new Response("<html>"),
        () => ({ keys: 1 }),
      ]
    ) {
      await using _stub = new Stub({ "GET /auth/v1/.well-known/jwks.json": answer });
      using _errors = collectErrors();
      const { status, body } = await call("calendly-connect", "GET", await asUser(ANA));
      assert.deepEqual([status, body.error.code], [503, "auth_unavailable"]);
    }
  });
});

Deno.test("a JWT of a shared secret is checked by Auth", async (t) => {
  const token = await new SignJWT({ role: "authenticated" }).setProtectedHeader({ alg: "HS256" })
    .setSubject(ANA).sign(new TextEncoder().encode("s".repeat(32)));
  const headers = { authorization: `Bearer ${token}` };
  const answers: [string, () => unknown, number, string | undefined][] = [
    ["knows the person", () => ({ id: ANA }), 200, undefined],
    ["names somebody who has no uuid", () => ({ id: "ana" }), 401, "invalid_jwt"],
    [
      "refuses it",
      () => Response.json({ msg: "invalid JWT" }, { status: 403 }),
      401,
      "invalid_jwt",
    ],
    ["refuses it without a word", () => new Response("", { status: 401 }), 401, "invalid_jwt"],
    ["answers nonsense", () => new Response("<html>"), 503, "auth_unavailable"],
    ["is asked too often", () => new Response("", { status: 429 }), 503, "auth_unavailable"],
    ["is down", () => new Response("", { status: 500 }), 503, "auth_unavailable"],
  ];
  for (const [what, answer, status, code] of answers) {
    await t.step(`which ${what}`, async () => {
      await using stub = new Stub({ ...ANSWERS, "GET /auth/v1/user": answer });
      using _errors = collectErrors();
      const result = await call("calendly-connect", "GET", headers);
      assert.deepEqual([result.status, result.body.error?.code], [status, code]);
      const [asked] = stub.arrived;
      assert.equal(asked.headers.get("apikey"), "sb_publishable_of_the_stub");
      assert.equal(asked.headers.get("authorization"), headers.authorization);
    });
  }
  await t.step("and without a publishable key that cannot be asked", async () => {
    await using stub = new Stub(ANSWERS);
    Deno.env.delete("SUPABASE_PUBLISHABLE_KEYS");
    using _errors = collectErrors();
    const { status, body } = await call("calendly-connect", "GET", headers);
    assert.deepEqual([status, body.error.code], [503, "not_configured"]);
    assert.match(body.error.message, /SUPABASE_PUBLISHABLE_KEYS/);
    assert.deepEqual(stub.names, []);
  });
});

Deno.test("each of the project's secret keys is accepted, and nothing like them", async () => {
  await using _stub = new Stub(ANSWERS, {
    SUPABASE_SECRET_KEYS: '{"default": "sb_secret_one", "cron": "sb_secret_two"}',
    SUPABASE_SERVICE_ROLE_KEY: "legacy",
  });
  const accepted = ["sb_secret_one", "sb_secret_two", "legacy"];
  const refused = ["sb_secret_on", "sb_secret_one1", "SB_SECRET_ONE", "default", "undefined"];
  for (const key of [...accepted, ...refused]) {
    const either: Record<string, string>[] = [{ apikey: key }, { authorization: `Bearer ${key}` }];
    for (const headers of either) {
      const { status, body } = await call("calendly-connect?user_id=7", "GET", headers);
      assert.equal(status, accepted.includes(key) ? 200 : 401, key);
      if (status === 401) assert.equal(body.error.code, "invalid_key");
    }
  }
});
