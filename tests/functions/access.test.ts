/** Who may call the functions, and what everybody else is told. */
import assert from "node:assert/strict";
import { corsHeaders } from "@supabase/supabase-js/cors";
import { generateKeyPair, SignJWT, UnsecuredJWT } from "jose";
import { day, type Project, projectTests } from "./support.ts";
import type { Interception } from "./wire.ts";

const FEW = { events: 3, variety: "plain", from: day(2), to: day(9) } as const;

type Headers = Record<string, string>;

async function call(
  project: Project,
  headers: Headers,
  { method = "POST", path = "calendly-sync", body }: {
    method?: string;
    path?: string;
    body?: BodyInit;
  } = {},
) {
  const answer = await project.fetch(path, { method, headers, body });
  if (answer.status >= 400) assertProperError(answer.body);
  assert.equal(answer.headers.get("access-control-allow-origin"), "*");
  assert.match(answer.headers.get("content-type")!, /^application\/json/);
  return { ...answer, code: answer.body?.error?.code };
}

/** An error has a code, says something to a person, and tells nothing of the inside. */
function assertProperError(body: { error: Record<string, string> }): void {
  assert.deepEqual(Object.keys(body), ["error"]);
  assert.match(body.error.code, /^[a-z_]+$/);
  assert.match(body.error.message, /^\S.{8,}\S$/);
  assert.doesNotMatch(
    JSON.stringify(body),
    /\.ts|node_modules|\bat .+:\d+:\d+|eyJ|sb_secret|pat_|relation/,
  );
}

projectTests("Access", {
  "only a person's valid JWT or a secret key is let in": async (project, t) => {
    const { stack } = project;
    const person = await project.person(FEW);
    const sub = person.account.auth_user_id;
    const hmac = (secret: string, claims: Record<string, unknown>, header = {}) =>
      new SignJWT({ role: "authenticated", ...claims }).setProtectedHeader({
        alg: "HS256",
        typ: "JWT",
        ...header,
      })
        .setSubject(sub).setAudience("authenticated").setIssuedAt().setExpirationTime("1h")
        .sign(new TextEncoder().encode(secret));
    const { privateKey } = await generateKeyPair("ES256");
    const foreign = await new SignJWT({ role: "authenticated" })
      .setProtectedHeader({ alg: "ES256", kid: "theirs" }).setSubject(sub).setExpirationTime("1h")
      .sign(privateKey);
    const unsigned = new UnsecuredJWT({ role: "authenticated" }).setSubject(sub).setExpirationTime(
      "1h",
    ).encode();
    const token = person.account.access_token;
    const bearer = (value: string): Headers => ({ authorization: `Bearer ${value}` });
    const invalid: [string, Headers, string][] = [
      ["nothing", {}, "not_authenticated"],
      ["a password", { authorization: `Basic ${btoa("me:secret")}` }, "not_authenticated"],
      ["an expired JWT", bearer(await stack.signJwt({ sub, expires: "-1m" })), "invalid_jwt"],
      ["a malformed JWT", bearer("a.b.c"), "invalid_jwt"],
      ["half a JWT", bearer(token.slice(0, -8)), "invalid_jwt"],
      ["a JWT of another project", bearer(await hmac("s".repeat(32), {})), "invalid_jwt"],
      ["a JWT of another project with asymmetric keys", bearer(foreign), "invalid_jwt"],
      ["an unsigned JWT", bearer(unsigned), "invalid_jwt"],
      [
        "a JWT of nobody's",
        bearer(await stack.signJwt({ sub: crypto.randomUUID() })),
        "invalid_jwt",
      ],
      [
        "a JWT that says it is the service role's",
        bearer(await hmac("s".repeat(32), { role: "service_role" })),
        "invalid_key",
      ],
      ["the publishable key", { apikey: stack.publishableKey }, "invalid_key"],
      ["the publishable key as a token", bearer(stack.publishableKey), "invalid_key"],
      ["another secret key", { apikey: "sb_secret_" + "x".repeat(31) }, "invalid_key"],
      ["half a secret key", { apikey: stack.secretKey.slice(0, -4) }, "invalid_key"],
      ["any word", bearer("letmein"), "invalid_key"],
    ];
    for (const [name, headers, code] of invalid) {
      await t.step(`${name} is not`, async () => {
        for (
          const [method, path] of [["POST", "calendly-sync"], ["POST", "calendly-connect"], [
            "GET",
            "calendly-connect",
          ], ["DELETE", "calendly-connect"]]
        ) {
          const answer = await call(project, headers, { method, path });
          assert.deepEqual([answer.status, answer.code], [401, code], `${method} ${path}`);
          assert.ok(answer.body.error.hint);
        }
        assert.equal((await person.runs()).length, 0);
      });
    }

    await t.step("a JWT is, whatever key comes with it", async () => {
      for (const apikey of [stack.publishableKey, "nonsense"]) {
        assert.equal((await call(project, { ...bearer(token), apikey })).status, 200);
      }
      assert.equal((await person.runs())[0].trigger, "manual");
    });

    await t.step("however the scheme is written", async () => {
      for (const scheme of ["bearer", "BEARER", "Bearer "]) {
        const headers = { authorization: `${scheme} ${token}`, apikey: stack.publishableKey };
        assert.equal((await call(project, headers)).status, 200, scheme);
      }
    });

    await t.step("a secret key is, in either header, for the user it names", async () => {
      const body = JSON.stringify({ user_id: person.id });
      for (const headers of [{ apikey: stack.secretKey }, bearer(stack.secretKey)]) {
        const answer = await call(project, headers, { body });
        assert.deepEqual([answer.status, answer.body.user_id], [200, person.id]);
      }
      await project.advance("1m");
      await call(project, { apikey: stack.secretKey }, { body });
      assert.equal((await person.runs())[0].trigger, "service");
    });

    await t.step(
      "a secret key connects whose token it sends, and must say whom it means",
      async () => {
        const headers = { apikey: stack.secretKey };
        const path = "calendly-connect";
        for (const method of ["GET", "DELETE"]) {
          const answer = await call(project, headers, { method, path });
          assert.deepEqual([answer.status, answer.code], [400, "user_id_required"]);
          assert.ok(answer.body.error.hint);
        }
        const found = await call(project, headers, {
          method: "GET",
          path: `${path}?user_id=${person.id}`,
        });
        assert.deepEqual([found.status, found.body.user_id], [200, person.id]);
        const nothing = await call(project, headers, { path });
        assert.deepEqual([nothing.status, nothing.code], [400, "invalid_body"]);
      },
    );
  },

  "while Auth is not itself, nobody is taken for a stranger": async (project, t) => {
    const person = await project.person(FEW);
    const released = Promise.withResolvers<Response>();
    const unwell: [string, Interception][] = [
      [
        "is asked too often",
        () => Promise.resolve(Response.json({ msg: "Slow" }, { status: 429 })),
      ],
      ["is away", () => Promise.resolve(new Response("<html>", { status: 503 }))],
      ["never answers", () => released.promise],
    ];
    for (const [what, interception] of unwell) {
      await t.step(`it ${what}`, async () => {
        project.wire.next("/auth/v1/user", interception);
        const { status, body: { error } } = await person.sync();
        assert.deepEqual([status, error.code], [503, "auth_unavailable"]);
        assert.ok(error.hint);
      });
    }
    released.resolve(new Response());
    assert.equal((await person.sync()).status, 200);
  },

  "whom a call is about": async (project, t) => {
    const [ann, bob] = [await project.person(FEW), await project.person(FEW)];

    await t.step("is the signed-in person, and nobody else", async () => {
      const { status, body } = await ann.sync({ user_id: bob.id });
      assert.deepEqual([status, body.error.code], [403, "another_user"]);
      assert.ok(body.error.hint);
      assert.equal((await bob.runs()).length, 0);
      assert.equal((await ann.sync({ user_id: ann.id })).body.user_id, ann.id);
      assert.equal((await bob.meetings()).length, 0);
    });

    const cho = await project.person(FEW);
    await cho.disconnect();
    const wrong: [string, unknown, number, string][] = [
      ["nobody", {}, 400, "user_id_required"],
      ["a user who is not there", { user_id: 987654321 }, 404, "unknown_user"],
      ["more users than there can be", { user_id: 3_000_000_000 }, 400, "invalid_body"],
      ["zero", { user_id: 0 }, 400, "invalid_body"],
      ["half a user", { user_id: 1.5 }, 400, "invalid_body"],
      ["a user by name", { user_id: "1" }, 400, "invalid_body"],
      ["a user who is not connected", { user_id: cho.id }, 409, "not_connected"],
    ];
    for (const [name, body, status, code] of wrong) {
      await t.step(`cannot be ${name} for a secret key`, async () => {
        const answer = await call(project, { apikey: project.stack.secretKey }, {
          body: JSON.stringify(body),
        });
        assert.deepEqual([answer.status, answer.code], [status, code]);
        assert.ok(answer.body.error.hint);
      });
    }

    await t.step("has nothing to sync or to end before the account connects", async () => {
      const dov = await project.person({ ...FEW, connected: false });
      for (const answer of [await dov.sync(), await dov.disconnect()]) {
        assert.deepEqual([answer.status, answer.body.error.code], [409, "not_connected"]);
        assert.ok(answer.body.error.hint);
      }
      const { status, body } = await dov.sync({ user_id: ann.id });
      assert.deepEqual([status, body.error.code], [403, "another_user"]);
      assert.equal((await dov.connection()).state, "disconnected");
      assert.equal((await dov.connect({ sync: false })).status, 201);
      assert.equal((await dov.sync()).status, 200);
    });
  },

  "what a call may say": async (project, t) => {
    const person = await project.person(FEW);
    const headers = { authorization: `Bearer ${person.account.access_token}` };

    const bodies: [string, BodyInit | undefined, number][] = [
      ["nothing", undefined, 200],
      ["an empty text", "", 200],
      ["an empty object", "{}", 200],
      ["white space", " \n", 200],
      ["text that is no JSON", "full=true", 400],
      ["half an object", '{"full": tr', 400],
      ["a list", "[]", 400],
      ["null", "null", 400],
      ["an unknown field", '{"fulll": true}', 400],
      ["a word for a boolean", '{"full": "yes"}', 400],
      ["bytes that are no text", new Uint8Array([0xff, 0xfe, 0x00]), 400],
      ["16 KiB", `{}${" ".repeat(16 * 1024 - 2)}`, 200],
      ["more than 16 KiB", `{}${" ".repeat(16 * 1024 - 1)}`, 413],
      ["megabytes", "x".repeat(3_000_000), 413],
    ];
    for (const [name, body, status] of bodies) {
      await t.step(`as its body: ${name} (${status})`, async () => {
        const answer = await call(project, headers, { body });
        assert.equal(answer.status, status);
        const code = { 200: undefined, 400: "invalid_body", 413: "body_too_large" }[status];
        assert.equal(answer.code, code);
        if (status === 400) assert.ok(answer.body.error.hint);
      });
    }

    const places: [string, string, number, string?][] = [
      ["GET", "calendly-sync", 405, "method_not_allowed"],
      ["PUT", "calendly-sync", 405, "method_not_allowed"],
      ["DELETE", "calendly-sync", 405, "method_not_allowed"],
      ["PATCH", "calendly-connect", 405, "method_not_allowed"],
      ["POST", "calendly-sync/nowhere", 404, "not_found"],
      ["GET", "calendly-connect/tokens", 404, "not_found"],
      ["POST", "calendly-sync/calendly-connect", 404, "not_found"],
      ["POST", "calendly-sync/", 200],
      ["GET", "calendly-connect/?verbose=1", 200],
    ];
    for (const [method, path, status, code] of places) {
      await t.step(`to which address: ${method} ${path} (${status})`, async () => {
        const answer = await call(project, headers, { method, path });
        assert.deepEqual([answer.status, answer.code], [status, code]);
      });
    }

    await t.step("from any page, with every header that supabase-js sends", async () => {
      for (const path of ["calendly-sync", "calendly-connect", "calendly-connect/webhooks"]) {
        const { status, headers } = await project.fetch(path, {
          method: "OPTIONS",
          headers: { origin: "https://app.example.com", "access-control-request-method": "POST" },
        });
        assert.equal(status, 204);
        assert.equal(headers.get("access-control-allow-origin"), "*");
        const allowed = headers.get("access-control-allow-headers")!.split(", ");
        for (const name of corsHeaders["Access-Control-Allow-Headers"].split(", ")) {
          assert.ok(allowed.includes(name), name);
        }
        assert.ok(allowed.includes("x-region") && allowed.includes("sentry-trace"));
        assert.match(headers.get("access-control-allow-methods")!, /GET.*POST.*DELETE/);
      }
    });
  },

  "what goes wrong inside stays inside": async (project, t) => {
    const person = await project.person(FEW);

    await t.step("before a sync has begun", async () => {
      await project.stack.sql("alter table calendly_sync_runs rename to misplaced");
      const { status, body } = await person.sync();
      assert.deepEqual([status, body.error.code], [500, "internal"]);
      assertProperError(body);
      await project.stack.sql("alter table misplaced rename to calendly_sync_runs");
    });

    await t.step("and in the middle of one, which fails and lets the next one begin", async () => {
      await project.stack.sql("alter table calendly.meeting_sync rename to misplaced");
      const { status, body } = await person.sync();
      assert.deepEqual([status, body.error.code], [500, "internal"]);
      assertProperError(body);
      const [run] = await person.runs();
      assert.deepEqual([run.status, run.error.code], ["failed", "internal"]);
      assert.equal((await person.connection()).last_error.code, "internal");
      await project.stack.sql("alter table calendly.misplaced rename to meeting_sync");
      assert.equal((await person.sync()).body.status, "complete");
    });
  },
});
