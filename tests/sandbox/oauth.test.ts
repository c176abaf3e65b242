/** The authorization server: PKCE, single-use codes, rotating refresh tokens. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { DEMO_CLIENT_ID, DEMO_CLIENT_SECRET, type Sandbox } from "../../sandbox/mod.ts";
import { Client, pinned } from "./support.ts";

const VERIFIER = "a-verifier-of-at-least-forty-three-characters-in-all";
const REDIRECT = "http://127.0.0.1:54321/callback";
const SCOPES = "users:read scheduled_events:read";
const BASIC = `Basic ${btoa(`${DEMO_CLIENT_ID}:${DEMO_CLIENT_SECRET}`)}`;

const authorization = (sandbox: Sandbox, fields: Record<string, string> = {}) => ({
  client_id: DEMO_CLIENT_ID,
  redirect_uri: REDIRECT,
  response_type: "code",
  scope: SCOPES,
  state: "the state",
  code_challenge: createHash("sha256").update(VERIFIER).digest("base64url"),
  code_challenge_method: "S256",
  user: sandbox.demo.user.uri,
  decision: "allow",
  ...fields,
});

function post(
  sandbox: Sandbox,
  path: string,
  fields: Record<string, string>,
  authorizationHeader: string | null = BASIC,
): Promise<Response> {
  return sandbox.fetch(
    new Request(`https://auth.calendly.com${path}`, {
      method: "POST",
      body: new URLSearchParams(fields),
      headers: authorizationHeader === null ? {} : { authorization: authorizationHeader },
    }),
  );
}

async function codeFor(sandbox: Sandbox): Promise<string> {
  const answer = await post(sandbox, "/oauth/authorize", authorization(sandbox), null);
  assert.equal(answer.status, 302);
  const target = new URL(answer.headers.get("location")!);
  assert.equal(target.origin + target.pathname, REDIRECT);
  assert.equal(target.searchParams.get("state"), "the state");
  return target.searchParams.get("code")!;
}

const exchange = (code: string, fields: Record<string, string> = {}) => ({
  grant_type: "authorization_code",
  code,
  redirect_uri: REDIRECT,
  code_verifier: VERIFIER,
  ...fields,
});

async function connect(sandbox: Sandbox) {
  const answer = await post(sandbox, "/oauth/token", exchange(await codeFor(sandbox)));
  assert.equal(answer.status, 200);
  return await answer.json();
}

const refresh = (sandbox: Sandbox, refresh_token: string) =>
  post(sandbox, "/oauth/token", { grant_type: "refresh_token", refresh_token });

async function assertError(answer: Response, status: number, error: string): Promise<void> {
  const body = await answer.json();
  assert.deepEqual([answer.status, body.error], [status, error]);
  assert.equal(typeof body.error_description, "string");
}

Deno.test("a person allows the app, and its code buys an access token that works for two hours", async () => {
  const sandbox = pinned();
  const page = await sandbox.fetch(
    new Request(
      `https://auth.calendly.com/oauth/authorize?${new URLSearchParams(authorization(sandbox))}`,
    ),
  );
  assert.match(await page.text(), /Demo app asks for access/);
  const tokens = await connect(sandbox);
  assert.deepEqual(
    [tokens.token_type, tokens.expires_in, tokens.scope, tokens.owner, tokens.organization],
    ["Bearer", 7200, SCOPES, sandbox.demo.user.uri, sandbox.demo.organization.uri],
  );
  const client = new Client(sandbox, tokens.access_token);
  assert.equal((await client.get("/users/me")).status, 200);
  assert.equal((await client.get("/event_types")).body.title, "Insufficient scope");
  sandbox.clock.advance("2h");
  assert.equal((await client.get("/users/me")).body.message, "The access token expired");
});

Deno.test("a person who denies sends the app back with access_denied", async () => {
  const sandbox = pinned();
  const answer = await post(
    sandbox,
    "/oauth/authorize",
    authorization(sandbox, { decision: "deny" }),
    null,
  );
  const target = new URL(answer.headers.get("location")!);
  assert.equal(target.searchParams.get("error"), "access_denied");
});

Deno.test("a code works once, for ten minutes, with its verifier and its redirect address", async () => {
  const sandbox = pinned();
  const used = await codeFor(sandbox);
  assert.equal((await post(sandbox, "/oauth/token", exchange(used))).status, 200);
  await assertError(await post(sandbox, "/oauth/token", exchange(used)), 400, "invalid_grant");
  for (const [name, value] of [["code_verifier", "another"], ["redirect_uri", `${REDIRECT}2`]]) {
    const fields = exchange(await codeFor(sandbox), { [name]: value });
    await assertError(await post(sandbox, "/oauth/token", fields), 400, "invalid_grant");
  }
  const old = await codeFor(sandbox);
  sandbox.clock.advance("10m");
  await assertError(await post(sandbox, "/oauth/token", exchange(old)), 400, "invalid_grant");
});

Deno.test("authorization without PKCE, for another redirect or an unknown scope is refused", async () => {
  const sandbox = pinned();
  for (
    const [fields, status, error] of [
      [{ code_challenge: "" }, 400, "invalid_request"],
      [{ code_challenge_method: "plain" }, 400, "invalid_request"],
      [{ redirect_uri: "https://evil.example.com/" }, 400, "invalid_redirect_uri"],
      [{ scope: "everything" }, 400, "invalid_scope"],
      [{ client_id: "nobody" }, 401, "invalid_client"],
    ] as [Record<string, string>, number, string][]
  ) {
    const fieldsOf = authorization(sandbox, fields);
    await assertError(await post(sandbox, "/oauth/authorize", fieldsOf, null), status, error);
  }
});

Deno.test("a refresh token works once: using it again is invalid_grant, the new one goes on", async () => {
  const sandbox = pinned();
  const first = await connect(sandbox);
  const second = await (await refresh(sandbox, first.refresh_token)).json();
  assert.notEqual(second.refresh_token, first.refresh_token);
  assert.equal((await new Client(sandbox, second.access_token).get("/users/me")).status, 200);
  await assertError(await refresh(sandbox, first.refresh_token), 400, "invalid_grant");
  assert.equal((await refresh(sandbox, second.refresh_token)).status, 200);
});

Deno.test("the ninth token request of a user in a minute is 429 and spends nothing", async () => {
  const sandbox = pinned();
  let { refresh_token } = await connect(sandbox);
  for (let i = 0; i < 7; i++) {
    ({ refresh_token } = await (await refresh(sandbox, refresh_token)).json());
  }
  assert.equal((await refresh(sandbox, refresh_token)).status, 429);
  sandbox.clock.advance("1m");
  assert.equal((await refresh(sandbox, refresh_token)).status, 200);
});

Deno.test("introspection tells the scopes of a live token, and revocation ends the pair", async () => {
  const sandbox = pinned();
  const tokens = await connect(sandbox);
  const introspect = async () =>
    await (await post(sandbox, "/oauth/introspect", { token: tokens.access_token })).json();
  const live = await introspect();
  assert.deepEqual(
    [live.active, live.scope, live.client_id, live.exp - live.iat, live.owner],
    [true, SCOPES, DEMO_CLIENT_ID, 7200, sandbox.demo.user.uri],
  );
  const revoked = await post(sandbox, "/oauth/revoke", { token: tokens.refresh_token });
  assert.equal(revoked.status, 200);
  assert.deepEqual(await introspect(), { active: false });
  const client = new Client(sandbox, tokens.access_token);
  assert.equal((await client.get("/users/me")).body.message, "The access token was revoked");
  await assertError(await refresh(sandbox, tokens.refresh_token), 400, "invalid_grant");
});

Deno.test("a web app needs its secret, a native one only its id; bodies are form-encoded", async () => {
  const sandbox = pinned();
  const { refresh_token } = await connect(sandbox);
  const grant = { grant_type: "refresh_token", refresh_token };
  const withoutSecret = await post(sandbox, "/oauth/token", {
    ...grant,
    client_id: DEMO_CLIENT_ID,
  }, null);
  await assertError(withoutSecret, 401, "invalid_client");
  const native = sandbox.control.create_app({ kind: "native" });
  const foreign = await post(
    sandbox,
    "/oauth/token",
    { ...grant, client_id: native.client_id },
    null,
  );
  await assertError(foreign, 400, "invalid_grant");
  const json = await sandbox.fetch(
    new Request("https://auth.calendly.com/oauth/token", {
      method: "POST",
      body: JSON.stringify(grant),
      headers: { authorization: BASIC, "content-type": "application/json" },
    }),
  );
  await assertError(json, 400, "invalid_request");
});

Deno.test("the consent page posts to where clients reach the sandbox", async () => {
  for (const publicUrl of [undefined, "https://calendly.test/sandbox"]) {
    const sandbox = pinned({ publicUrl });
    const query = new URLSearchParams(authorization(sandbox));
    const page = await sandbox.fetch(new Request(`http://x/oauth/authorize?${query}`));
    const [, action] = /action="([^"]*)"/.exec(await page.text())!;
    assert.equal(action, `${publicUrl ?? ""}/oauth/authorize`);
  }
});
