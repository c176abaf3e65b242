/**
 * Every endpoint of every function, as found in their sources: who is let in, and that nothing that a caller
 * can write into a request gets further than it should. An endpoint without a decision fails.
 */
import assert from "node:assert/strict";
import { type Project, projectTest } from "../functions/support.ts";
import { catalogue, contents } from "../guest/catalogue.ts";

type Caller = "anybody" | "Calendly" | "a person" | "a server";

/** Who may use each endpoint, and whether it reads a body. */
const DECISIONS: Record<string, { for: Caller[]; reads?: true }> = {
  "POST calendly-sync": { for: ["a person", "a server"], reads: true },
  "POST calendly-sync/nudge": { for: ["anybody"] },
  "GET calendly-sync/health": { for: ["anybody"] },
  "GET calendly-sync/metrics": { for: ["a server"] },
  "GET calendly-webhook/test": { for: ["anybody"] },
  "POST calendly-webhook": { for: ["Calendly"], reads: true },
  "POST calendly-webhook/:subscription": { for: ["Calendly"], reads: true },
  "POST calendly-connect": { for: ["a person", "a server"], reads: true },
  "GET calendly-connect": { for: ["a person", "a server"] },
  "DELETE calendly-connect": { for: ["a person", "a server"], reads: true },
  "POST calendly-connect/webhooks": { for: ["a person", "a server"], reads: true },
  "DELETE calendly-connect/webhooks": { for: ["a person", "a server"], reads: true },
  "POST calendly-connect/oauth/start": { for: ["a person"], reads: true },
  "POST calendly-connect/oauth/finish": { for: ["a person"], reads: true },
  "GET calendly-connect/oauth/callback": { for: ["anybody"] },
};
const ENDPOINTS = Object.keys(DECISIONS);
const ID = "5eed5eed-0000-4000-8000-000000000001";

/** Text that would do harm wherever it were taken for anything but text. */
const HOSTILE =
  `x'); drop table public.calendly_meetings; --"\\ $$;\${{7*7}}%s{0}<script>\r\nset-cookie: a=b`;

Deno.test("every endpoint has been decided on", async () => {
  const found: string[] = [];
  for (const name of ["calendly-sync", "calendly-webhook", "calendly-connect"]) {
    const source = await Deno.readTextFile(
      new URL(`../../supabase/functions/${name}/index.ts`, import.meta.url),
    );
    const routes = source.slice(source.indexOf("export const routes"));
    for (const [, method, path] of routes.matchAll(/"([A-Z]+) (\/[^"]*)":/g)) {
      found.push(`${method} ${name}${path === "/" ? "" : path}`);
    }
  }
  assert.deepEqual(found.sort(), ENDPOINTS.toSorted());
});

projectTest("Every endpoint", async (project, t) => {
  const { stack } = project;
  const person = await project.person({ events: 3, variety: "plain" });
  await person.sync();
  const bearer = (token: string) => ({ authorization: `Bearer ${token}` });
  const token = person.account.access_token;
  const callers: Record<string, [caller: Caller | undefined, headers: Record<string, string>]> = {
    "nobody": [undefined, {}],
    "the publishable key": [undefined, { apikey: stack.publishableKey }],
    "the publishable key as a token": [undefined, bearer(stack.publishableKey)],
    "the publishable key in both places": [
      undefined,
      { apikey: stack.publishableKey, ...bearer(stack.publishableKey) },
    ],
    "the publishable key beside the JWT of nobody": [undefined, {
      apikey: stack.publishableKey,
      ...bearer(await stack.signJwt({ sub: crypto.randomUUID() })),
    }],
    "the publishable key of an old project": [
      undefined,
      bearer(await stack.signJwt({ sub: crypto.randomUUID(), role: "anon" })),
    ],
    "a person": ["a person", { apikey: stack.publishableKey, ...bearer(token) }],
    "a secret key": ["a server", { apikey: stack.secretKey }],
  };
  const snapshot = () => everything(project);
  const before = await snapshot();

  for (const [name, [caller, headers]] of Object.entries(callers)) {
    for (const endpoint of ENDPOINTS) {
      const allowed = DECISIONS[endpoint].for;
      if (caller && allowed.includes(caller)) continue; // what that does is told elsewhere
      const open = allowed.includes("anybody");
      await t.step(`${endpoint} is ${open ? "open" : "closed"} to ${name}`, async () => {
        const { status, body } = await call(project, endpoint, { headers });
        if (open) return assert.ok(status < 400, `${status} ${body}`);
        assert.equal(status, 401, body);
        assert.match(JSON.parse(body).error.code, /^(not_|invalid_)/);
      });
    }
  }
  await t.step("and whoever is not let in has changed nothing", async () => {
    assert.deepEqual(await snapshot(), before);
  });

  for (const endpoint of ENDPOINTS.filter((endpoint) => DECISIONS[endpoint].reads)) {
    await t.step(`${endpoint} takes no body that it was not made for`, async () => {
      const isSigned = DECISIONS[endpoint].for.includes("Calendly");
      const limit = isSigned ? 256 * 1024 : 16 * 1024;
      const nested = (open: string, close: string) => open.repeat(2000) + close.repeat(2000);
      const bodies: [body: string, status: number][] = [
        ["x".repeat(limit + 1), 413],
        [`{"a":"${"x".repeat(limit)}"}`, 413],
        [nested("[", "]"), 400],
        [nested('{"a":', "}").replace(":}", ":1}"), 400],
        [HOSTILE, 400],
        [JSON.stringify({ [HOSTILE]: HOSTILE }), 400],
        ["[]", 400],
        ["\u0000", 400],
      ];
      for (const [body, expected] of bodies) {
        const answer = await call(project, endpoint, { headers: callers["a person"][1], body });
        // what is not signed is not looked at
        const status = isSigned && expected === 400 ? 401 : expected;
        assert.equal(answer.status, status, `${body.slice(0, 20)}: ${answer.body}`);
      }
    });
  }

  const fields: [endpoint: string, body: Record<string, unknown>, field: string, status: number][] =
    [
      ["POST calendly-connect", {}, "token", 400],
      ["POST calendly-connect", { token: person.token }, "scope", 400],
      ["POST calendly-connect", { token: person.token }, "sync", 400],
      ["POST calendly-connect/oauth/start", {}, "scope", 400],
      ["POST calendly-connect/oauth/finish", { state: "x" }, "code", 409],
      ["POST calendly-connect/oauth/finish", { code: "x" }, "state", 409],
      ["POST calendly-sync", {}, "user_id", 400],
      ["POST calendly-sync", {}, "full", 400],
      ["DELETE calendly-connect", {}, "erase", 400],
    ];
  for (const [endpoint, body, field, status] of fields) {
    await t.step(`${endpoint} takes ${field} for what it says`, async () => {
      for (const text of [HOSTILE, "", "\u0000\ud800", "x".repeat(12_000)]) {
        const answer = await call(project, endpoint, {
          headers: callers["a person"][1],
          body: JSON.stringify({ ...body, [field]: text }),
        });
        assert.ok(answer.status === status || answer.status === 400, answer.body);
        assertQuiet(answer.body);
      }
    });
  }
  await t.step("a token of signs alone goes to Calendly, which does not know it", async () => {
    const answer = await call(project, "POST calendly-connect", {
      headers: callers["a person"][1],
      body: JSON.stringify({ token: HOSTILE.replaceAll(/\s/g, "/**/") }),
    });
    assert.equal(answer.status, 422, answer.body);
    assertQuiet(answer.body);
  });

  await t.step("a path is a name and nothing else", async () => {
    for (const name of ["calendly-sync", "calendly-webhook", "calendly-connect"]) {
      for (const segment of [HOSTILE, "../calendly-sync", "%", "\u0000", "x".repeat(4000), ID]) {
        const path = `${name}/${encodeURIComponent(segment)}`;
        for (const method of ["GET", "POST", "DELETE"]) {
          const answer = await call(project, `${method} ${path}`, {
            headers: callers["a person"][1],
          });
          assert.ok([401, 404, 405].includes(answer.status), `${method} ${path}: ${answer.status}`);
          assertQuiet(answer.body);
        }
      }
    }
  });

  await t.step(
    "a query says nothing, but to the callback, which passes it on as text",
    async () => {
      const search = new URLSearchParams(
        ["user_id", "full", "code", "state", "error", "select", "redirect_to"]
          .map((name) => [name, HOSTILE]),
      );
      for (const endpoint of ENDPOINTS) {
        const answer = await call(project, endpoint, { search: `?${search}` });
        const plain = await call(project, endpoint);
        assert.equal(answer.status, plain.status, endpoint);
        const location = answer.headers.get("location");
        assert.equal(answer.headers.get("set-cookie"), null);
        if (!location) continue;
        const target = new URL(location);
        assert.equal(target.origin + target.pathname, `${project.stack.url}/`);
        assert.deepEqual([...target.searchParams.keys()], ["code", "state", "error"]);
        assert.equal(target.searchParams.get("state"), HOSTILE);
      }
    },
  );

  await t.step("and after all that everything is as it was", async () => {
    assert.deepEqual(await snapshot(), before);
  });
});

function call(
  project: Project,
  endpoint: string,
  { headers = {}, body, search = "" }: {
    headers?: Record<string, string>;
    body?: string;
    search?: string;
  } = {},
): Promise<{ status: number; headers: Headers; body: string }> {
  const [method, path] = endpoint.replace(":subscription", ID).split(" ");
  return fetch(`${project.stack.url}/functions/v1/${path}${search}`, {
    method,
    headers,
    body,
    redirect: "manual",
  }).then(async (response) => ({
    status: response.status,
    headers: response.headers,
    body: await response.text(),
  }));
}

/** Nothing of the inside: no SQL, no path, no stack, and not the text given back as markup. */
function assertQuiet(body: string): void {
  assert.doesNotMatch(body, /syntax error|relation|PGRST|SQLSTATE|\.ts\b|\bat .+:\d+:\d+/);
}

/** All that is stored and how, but for what passes by itself. */
async function everything(project: Project): Promise<unknown> {
  const database = { query: project.stack.sql };
  const { "calendly.project": _, ...rows } = await contents(database);
  return { rows, structure: await catalogue(database) };
}
