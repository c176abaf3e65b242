/** The environment of the functions: what is wrong is named, with what would be right. */
import assert from "node:assert/strict";
import {
  publicUrl,
  publishableKey,
  secretKey,
  secretKeys,
  setting,
} from "../../supabase/functions/_shared/calendly/environment.ts";
import { ApiError } from "../../supabase/functions/_shared/calendly/errors.ts";
import { setEnvironment } from "./stub.ts";

const LONG = "x".repeat(32);

/** Fails unless reading ends in not_configured with such a message and a hint. */
function assertRefused(read: () => unknown, message: RegExp, hint: RegExp): void {
  assert.throws(read, (error) => {
    assert.ok(error instanceof ApiError);
    assert.deepEqual([error.code, error.status], ["not_configured", 503]);
    assert.match(error.message, message);
    assert.match(error.hint ?? "", hint);
    return true;
  });
}

Deno.test("an address must be http or https, and nothing more than an address", async (t) => {
  const wrong = [
    "api.calendly.com",
    "localhost:3000/settings",
    "javascript:alert(1)",
    "http:example.com",
    "ftp://example.com",
    "https://a b",
    "https://api.example.com?key=1",
    "https://api.example.com#x",
    "https://me:secret@api.example.com",
  ];
  for (const value of wrong) {
    for (const name of ["CALENDLY_API_URL", "CALENDLY_AUTH_URL", "SUPABASE_URL"] as const) {
      await t.step(`${name}=${value}`, () => {
        setEnvironment({ [name]: value });
        assertRefused(() => setting(name), new RegExp(`^${name} (is not|has more)`), /\w/);
      });
    }
  }
  for (const value of wrong.slice(0, 6)) {
    await t.step(`CALENDLY_RETURN_URL=${value}`, () => {
      setEnvironment({ CALENDLY_RETURN_URL: value });
      assertRefused(
        () => setting("CALENDLY_RETURN_URL"),
        /^CALENDLY_RETURN_URL is not an http or https address\.$/,
        /page of your app/,
      );
    });
  }
});

Deno.test("a right address is read without white space and a trailing slash", () => {
  setEnvironment({
    SUPABASE_URL: " https://abc.supabase.co/ ",
    CALENDLY_API_URL: "http://127.0.0.1:4010",
    CALENDLY_RETURN_URL: "https://app.example.com/settings?tab=calendly#top",
  });
  assert.equal(setting("SUPABASE_URL"), "https://abc.supabase.co");
  assert.equal(setting("CALENDLY_API_URL"), "http://127.0.0.1:4010");
  assert.equal(
    setting("CALENDLY_RETURN_URL"),
    "https://app.example.com/settings?tab=calendly#top",
  );
});

Deno.test("Calendly's own addresses are the default, also for an empty variable", () => {
  for (const environment of [{}, { CALENDLY_API_URL: "", CALENDLY_AUTH_URL: " " }]) {
    setEnvironment(environment as Record<string, string>);
    assert.equal(setting("CALENDLY_API_URL"), "https://api.calendly.com");
    assert.equal(setting("CALENDLY_AUTH_URL"), "https://auth.calendly.com");
  }
});

Deno.test("what is not set is named", async (t) => {
  const hints = {
    SUPABASE_URL: /Supabase sets it/,
    CALENDLY_CLIENT_ID: /OAuth app/,
    CALENDLY_CLIENT_SECRET: /OAuth app/,
    CALENDLY_RETURN_URL: /page of your app/,
    CALENDLY_TOKEN_KEY: /openssl/,
  };
  for (const [name, hint] of Object.entries(hints)) {
    await t.step(name, () => {
      for (const environment of [{}, { [name]: "" }, { [name]: "  " }]) {
        setEnvironment(environment as Record<string, string>);
        assertRefused(
          () => setting(name as keyof typeof hints),
          new RegExp(`^${name} is not set\\.$`),
          hint,
        );
      }
    });
  }
});

Deno.test("a list of keys may have blanks in it, but no short token key", () => {
  setEnvironment({
    CALENDLY_TOKEN_KEY: `${LONG}, , ${LONG}2,`,
    CALENDLY_WEBHOOK_SIGNING_KEY: ", one ,two,",
  });
  assert.deepEqual(setting("CALENDLY_TOKEN_KEY"), [LONG, `${LONG}2`]);
  assert.deepEqual(setting("CALENDLY_WEBHOOK_SIGNING_KEY"), ["one", "two"]);

  setEnvironment({ CALENDLY_TOKEN_KEY: `${LONG},short` });
  assertRefused(() => setting("CALENDLY_TOKEN_KEY"), /shorter than 32 characters/, /openssl/);
  setEnvironment({ CALENDLY_TOKEN_KEY: " , " });
  assertRefused(() => setting("CALENDLY_TOKEN_KEY"), /CALENDLY_TOKEN_KEY has no key/, /openssl/);
  setEnvironment({});
  assert.deepEqual(setting("CALENDLY_WEBHOOK_SIGNING_KEY"), []);
});

Deno.test("a value that is refused is not repeated in the message", () => {
  setEnvironment({ CALENDLY_TOKEN_KEY: "hunter2", SUPABASE_SECRET_KEYS: "sb_secret_hunter2" });
  for (const name of ["CALENDLY_TOKEN_KEY", "SUPABASE_SECRET_KEYS"] as const) {
    assert.throws(() => setting(name), (error) => {
      assert.ok(error instanceof ApiError);
      assert.doesNotMatch(JSON.stringify(error), /hunter2/);
      return true;
    });
  }
});

Deno.test("the platform's keys are a JSON object of texts", async (t) => {
  for (const value of ["null", "[]", '"key"', "{", '{"default": 1}', '{"default": ""}']) {
    await t.step(value, () => {
      setEnvironment({ SUPABASE_SECRET_KEYS: value, SUPABASE_PUBLISHABLE_KEYS: value });
      assertRefused(secretKey, /^SUPABASE_SECRET_KEYS is not/, /Supabase sets it/);
      assertRefused(publishableKey, /^SUPABASE_PUBLISHABLE_KEYS is not/, /Supabase sets it/);
    });
  }
  await t.step("none at all", () => {
    setEnvironment({});
    assertRefused(secretKey, /^SUPABASE_SECRET_KEYS has no key/, /Supabase sets it/);
    assertRefused(publishableKey, /^SUPABASE_PUBLISHABLE_KEYS has no key/, /Supabase sets it/);
  });
});

Deno.test("the default key comes first, then any other, then an older project's", () => {
  setEnvironment({
    SUPABASE_SECRET_KEYS: '{"cron": "b", "default": "a"}',
    SUPABASE_SERVICE_ROLE_KEY: "legacy",
    SUPABASE_PUBLISHABLE_KEYS: '{"web": "w"}',
    SUPABASE_ANON_KEY: "anon",
  });
  assert.equal(secretKey(), "a");
  assert.deepEqual(secretKeys(), { cron: "b", default: "a", service_role: "legacy" });
  assert.equal(publishableKey(), "w");
  setEnvironment({ SUPABASE_SECRET_KEYS: '{"cron": "b"}', SUPABASE_SERVICE_ROLE_KEY: "legacy" });
  assert.equal(secretKey(), "b");
  setEnvironment({ SUPABASE_SERVICE_ROLE_KEY: "legacy", SUPABASE_ANON_KEY: "anon" });
  assert.deepEqual([secretKey(), publishableKey()], ["legacy", "anon"]);
});

Deno.test("a key set of the platform's is read in both of its forms", () => {
  const key = { kty: "EC", crv: "P-256", kid: "1" };
  for (const value of [{ keys: [key] }, [key]]) {
    setEnvironment({ SUPABASE_JWKS: JSON.stringify(value) });
    assert.deepEqual(setting("SUPABASE_JWKS"), { keys: [key] });
  }
  for (const value of ["null", "{}", "[1]"]) {
    setEnvironment({ SUPABASE_JWKS: value });
    assertRefused(() => setting("SUPABASE_JWKS"), /is not a JSON Web Key Set/, /Supabase sets it/);
  }
});

Deno.test("the public address is SUPABASE_PUBLIC_URL, or else SUPABASE_URL", () => {
  const reachable = [
    "https://abc.supabase.co",
    "http://localhost:54321",
    "http://127.0.0.1:54321",
    "http://[::1]:54321",
    "http://172.15.0.1:8000",
    "http://172.32.0.1:8000",
    "http://192.169.0.1",
    "https://10.example.com",
  ];
  for (const url of reachable) {
    setEnvironment({ SUPABASE_URL: url });
    assert.equal(publicUrl(), url);
    setEnvironment({ SUPABASE_URL: "http://kong:8000", SUPABASE_PUBLIC_URL: `${url}/` });
    assert.equal(publicUrl(), url);
  }
});

Deno.test("an address inside the network is refused where Calendly or a browser must reach it", () => {
  const inward = [
    "http://kong:8000",
    "http://supabase_kong_app:8000",
    "http://host.docker.internal:54321",
    "http://kong.supabase.svc:8000",
    "http://kong.supabase.svc.cluster.local:8000",
    "http://kong.:8000",
    "http://kong.supabase.internal.:8000",
    "http://10.0.0.5:8000",
    "http://0xa.5:8000",
    "http://172.16.0.1:8000",
    "http://172.31.255.255:8000",
    "http://192.168.1.20:8000",
  ];
  for (const url of inward) {
    for (
      const environment of [
        { SUPABASE_URL: url },
        { SUPABASE_URL: "https://abc.supabase.co", SUPABASE_PUBLIC_URL: url },
      ]
    ) {
      setEnvironment(environment as Record<string, string>);
      assertRefused(publicUrl, /^SUPABASE_PUBLIC_URL is needed: /, /supabase\.example\.com/);
    }
  }
  setEnvironment({ SUPABASE_URL: "http://kong:8000", SUPABASE_PUBLIC_URL: "kong" });
  assertRefused(publicUrl, /^SUPABASE_PUBLIC_URL is not an http/, /Set it to/);
});
