/**
 * The console's server: what it serves, whom it lets in, what it passes on, and that none of its checks can
 * be got around. Behind it stands a project that answers with what it was sent.
 */
import assert from "node:assert/strict";
import { brotliDecompressSync, gunzipSync } from "node:zlib";
import { type ConsoleOptions, createConsole, VerbRefused } from "../../cli/console/server.ts";
import { VERSION } from "../../supabase/functions/_shared/calendly/version.ts";

const ORIGIN = "http://127.0.0.1:54399";
const SECRET = "sb_secret_do-not-show-me";
const FILES = new Map([
  ["index.html", "<!doctype html>"],
  ["console.js", "start()"],
  ["console.css", "body {}"],
  ["icon.svg", "<svg/>"],
].map(([name, text]) => [name, new TextEncoder().encode(text)]));

/** What the project was asked. */
interface Asked {
  method: string;
  path: string;
  headers: Record<string, string>;
  body: string;
}

/** Repeats all that it gets, and has headers that must not come back. */
function echo(answer?: (asked: Asked) => Response) {
  const asked: Asked[] = [];
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, async (request) => {
    const { pathname, search } = new URL(request.url);
    const one = {
      method: request.method,
      path: pathname + search,
      headers: Object.fromEntries(request.headers),
      body: await request.text(),
    };
    asked.push(one);
    return answer?.(one) ?? Response.json(one, {
      headers: {
        "access-control-allow-origin": "*",
        "content-range": "0-0/1",
        "set-cookie": "project=1",
        "x-repeated": one.headers.apikey,
      },
    });
  });
  return {
    asked,
    url: `http://127.0.0.1:${server.addr.port}`,
    [Symbol.asyncDispose]: () => server.shutdown(),
  };
}

class Browser {
  cookie = "";
  /** Everything that came back, headers included. */
  seen = "";

  constructor(private readonly console: ReturnType<typeof createConsole>) {}

  async ask(path: string, init: RequestInit & { address?: string } = {}) {
    const { address = ORIGIN, ...rest } = init;
    const headers = new Headers({ cookie: this.cookie, "sec-fetch-site": "same-origin" });
    if (rest.method && !["GET", "HEAD"].includes(rest.method)) headers.set("origin", ORIGIN);
    for (const [name, value] of new Headers(rest.headers)) {
      if (value === "") headers.delete(name);
      else headers.set(name, value);
    }
    const request = new Request(address + path, { ...rest, headers });
    const response = await this.console.fetch(request);
    assert.ok(response, `${path} is none of the console's`);
    const text = await response.text();
    this.seen += text + JSON.stringify([...response.headers]);
    const isJson = response.headers.get("content-type")?.includes("json");
    return {
      status: response.status,
      headers: response.headers,
      text,
      body: isJson && text ? JSON.parse(text) : undefined,
    };
  }

  post(path: string, body: unknown = {}, headers: Record<string, string> = {}) {
    return this.ask(path, { method: "POST", body: JSON.stringify(body), headers });
  }

  async signIn(): Promise<this> {
    const { headers } = await this.ask(pathOf(this.console.link()));
    this.cookie = headers.get("set-cookie")!.split(";")[0];
    return this;
  }
}

function pathOf(link: string): string {
  const { pathname, search } = new URL(link);
  return pathname + search;
}

function consoleFor(url: string, options: Partial<ConsoleOptions> = {}) {
  const console = createConsole({
    files: () => Promise.resolve(FILES),
    project: { url, publishableKey: "sb_publishable_1", secretKey: SECRET, kind: "hosted" },
    origins: [ORIGIN, "http://localhost:54399"],
    ...options,
  });
  return { console, browser: new Browser(console) };
}

async function assertRefused(
  answering: Promise<{ status: number; body: { error: Record<string, string> } }>,
  status: number,
  code: string,
): Promise<void> {
  const { status: got, body } = await answering;
  assert.deepEqual([got, body?.error?.code], [status, code]);
  assert.deepEqual(Object.keys(body.error), ["code", "message", "hint"]);
  assert.ok(body.error.message && body.error.hint);
}

// The page ----------------------------------------------------------------------------------------

Deno.test("the page is served with a content security policy without exceptions", async () => {
  const { browser } = consoleFor("https://abc.supabase.co");
  for (const [path, type] of [["/", "text/html"], ["/console.js", "text/javascript"]]) {
    const { status, headers } = await browser.ask(path);
    assert.equal(status, 200);
    assert.ok(headers.get("content-type")!.startsWith(type));
    assert.equal(headers.get("x-content-type-options"), "nosniff");
    assert.equal(headers.get("referrer-policy"), "no-referrer");
    assert.equal(headers.get("cache-control"), "no-cache");
    assert.equal(headers.get("access-control-allow-origin"), null);
    assert.deepEqual(headers.get("content-security-policy")!.split("; "), [
      "default-src 'none'",
      "script-src 'self'",
      "style-src 'self'",
      "img-src 'self' data:",
      "font-src 'self'",
      "connect-src 'self' https://abc.supabase.co wss://abc.supabase.co",
      "base-uri 'none'",
      "form-action 'none'",
      "frame-ancestors 'none'",
    ]);
  }
});

Deno.test("a file that the browser has is not sent again", async () => {
  const { browser } = consoleFor("https://abc.supabase.co");
  const etag = (await browser.ask("/console.js")).headers.get("etag")!;
  const again = await browser.ask("/console.js", { headers: { "if-none-match": etag } });
  assert.deepEqual([again.status, again.text], [304, ""]);
  const other = await browser.ask("/console.css", { headers: { "if-none-match": etag } });
  assert.equal(other.status, 200);
});

Deno.test("a file is compressed for whoever takes it so", async () => {
  const { console } = consoleFor("https://abc.supabase.co");
  const cases: [
    accepted: string,
    encoding: string | null,
    read: (bytes: Uint8Array) => Uint8Array,
  ][] = [
    ["gzip, deflate, br, zstd", "br", brotliDecompressSync],
    ["gzip, deflate", "gzip", gunzipSync],
    ["identity", null, (bytes) => bytes],
  ];
  for (const [accepted, encoding, read] of cases) {
    const headers = { "accept-encoding": accepted };
    const response = await console.fetch(new Request(`${ORIGIN}/console.js`, { headers }));
    assert.equal(response!.headers.get("content-encoding"), encoding);
    assert.equal(response!.headers.get("vary"), "accept-encoding");
    const bytes = read(new Uint8Array(await response!.arrayBuffer()));
    assert.equal(new TextDecoder().decode(bytes), "start()");
  }
});

Deno.test("what is no file of the page and not below /console/ is left to others", async () => {
  let asked = 0;
  const { console } = consoleFor("https://abc.supabase.co", {
    files: () => {
      asked++;
      return Promise.resolve(FILES);
    },
  });
  const others = ["/rest/v1/calendly_users", "/console", "/unknown.js", "/etc/passwd", "/.env"];
  for (const path of [...others, "/..%2fcli/main.js", "/a/../../deno.json", "//index.html"]) {
    assert.equal(await console.fetch(new Request(ORIGIN + path)), undefined, path);
  }
  assert.equal(await console.fetch(new Request(`${ORIGIN}/`, { method: "POST" })), undefined);
  assert.equal(asked, 1, "only what could be a file is looked for: unknown.js");
});

Deno.test("config tells the page what it needs, and no secret", async () => {
  const demoUser = { email: "demo@example.com", password: "demo" };
  const sandbox = () => Promise.resolve();
  const { browser } = consoleFor(ORIGIN, { realtime: true, sandbox, demoUser });
  const expected = {
    url: ORIGIN,
    publishable_key: "sb_publishable_1",
    kind: "hosted",
    operations: false,
    realtime: true,
    sandbox: true,
    demo_user: demoUser,
    version: VERSION,
  };
  assert.deepEqual((await browser.ask("/console/config")).body, expected);
  await browser.signIn();
  const { body, headers } = await browser.ask("/console/config");
  assert.deepEqual(body, { ...expected, operations: true });
  assert.equal(headers.get("cache-control"), "no-store");
  const plain = await consoleFor(ORIGIN).browser.ask("/console/config");
  assert.deepEqual([plain.body.realtime, plain.body.sandbox, plain.body.demo_user], [
    false,
    false,
    undefined,
  ]);
});

// The link and the session ------------------------------------------------------------------------

Deno.test("a link opens operations once", async () => {
  await using project = echo();
  const { console, browser } = consoleFor(project.url);
  const link = console.link();
  assert.match(link, /^http:\/\/127\.0\.0\.1:54399\/console\/open\?code=[\w-]{22}$/);
  const first = await browser.ask(pathOf(link));
  assert.deepEqual([first.status, first.headers.get("location")], [303, "/#/operations"]);
  assert.match(
    first.headers.get("set-cookie")!,
    /^calendly_console_54399=[\w-]{22}; Path=\/console; HttpOnly; SameSite=Strict$/,
  );
  const second = await browser.ask(pathOf(link));
  assert.deepEqual([second.status, second.headers.get("location")], [
    303,
    "/#/operations?link=used",
  ]);
  assert.equal(second.headers.get("set-cookie"), null);

  browser.cookie = first.headers.get("set-cookie")!.split(";")[0];
  const repeated = await browser.ask(pathOf(link));
  assert.equal(repeated.headers.get("location"), "/#/operations", "this browser is in already");
  assert.equal((await browser.ask("/console/rest/v1/calendly_users")).status, 200);
});

Deno.test("a link ends after ten minutes, a wrong code opens nothing", async () => {
  let now = 0;
  const { console, browser } = consoleFor("https://abc.supabase.co", { now: () => now });
  const link = console.link();
  const other = console.link();
  now = 10 * 60_000 - 1;
  assert.ok((await browser.ask(pathOf(link))).headers.get("set-cookie"));
  now++;
  for (
    const path of [pathOf(other), "/console/open", "/console/open?code=", "/console/open?code=x"]
  ) {
    const { headers } = await browser.ask(path);
    assert.equal(headers.get("location"), "/#/operations?link=used");
    assert.equal(headers.get("set-cookie"), null);
  }
});

Deno.test("a browser that looks ahead does not use a link up", async () => {
  const { console, browser } = consoleFor("https://abc.supabase.co");
  const path = pathOf(console.link());
  const ahead = await browser.ask(path, { headers: { "sec-purpose": "prefetch;prerender" } });
  assert.deepEqual([ahead.status, ahead.headers.get("set-cookie")], [503, null]);
  assert.ok((await browser.ask(path)).headers.get("set-cookie"));
});

Deno.test("who has the secret key gets a new link, and nobody else", async () => {
  const { browser } = consoleFor("https://abc.supabase.co");
  const post = (headers: Record<string, string>) =>
    browser.post("/console/link", {}, { origin: "", "sec-fetch-site": "", ...headers });
  const { status, body } = await post({ authorization: `Bearer ${SECRET}` });
  assert.equal(status, 200);
  assert.ok((await browser.ask(pathOf(body.link))).headers.get("set-cookie"));
  for (const key of ["", "Bearer ", `Bearer ${SECRET}x`, `Bearer ${SECRET.slice(1)}`, SECRET]) {
    await assertRefused(post({ authorization: key }), 401, "wrong_key");
  }
  const withKey = { authorization: `Bearer ${SECRET}` };
  await assertRefused(post({ ...withKey, origin: "https://evil.example" }), 403, "wrong_origin");
  await assertRefused(browser.ask("/console/link"), 401, "no_session");
});

Deno.test("without a session nothing is passed on", async () => {
  await using project = echo();
  const { console, browser } = consoleFor(project.url, { sandbox: () => Promise.resolve("done") });
  const session = (await new Browser(console).signIn()).cookie;
  const [name, value] = session.split("=");
  const guesses = [
    "",
    `${name}=`,
    `${name}=undefined`,
    `${name}=${value}x`,
    `${name}=${value.slice(0, -1)}`,
    `${name}="${value}"`,
    `calendly_console=${value}`,
    `${name.toUpperCase()}=${value}`,
    `other=${session}`,
    pathOf(console.link()).replace("/console/open?code", name),
  ];
  for (const cookie of guesses) {
    browser.cookie = cookie;
    const asking = [
      browser.ask("/console/rest/v1/calendly_users"),
      browser.post("/console/rest/v1/rpc/calendly_health"),
      browser.post("/console/functions/v1/calendly-sync"),
      browser.post("/console/sandbox/book"),
      browser.ask("/console/anything"),
    ];
    for (const answer of asking) await assertRefused(answer, 401, "no_session");
    assert.equal((await browser.ask("/console/config")).body.operations, false);
  }
  const head = await browser.ask("/console/rest/v1/calendly_users", { method: "HEAD" });
  assert.deepEqual([head.status, head.text], [401, ""]);
  assert.deepEqual(project.asked, []);
  browser.cookie = `a=b; ${session};c=d`;
  assert.equal((await browser.ask("/console/rest/v1/calendly_users")).status, 200);
});

// Where requests come from ------------------------------------------------------------------------

Deno.test("a name that leads here by DNS is refused", async () => {
  await using project = echo();
  const { browser } = consoleFor(project.url);
  await browser.signIn();
  const paths = ["/", "/console.js", "/console/config", "/console/rest/v1/calendly_users"];
  const addresses = [
    "http://evil.example:54399",
    "http://evil.example",
    "http://127.0.0.1:54398",
    "http://127.0.0.1.evil.example:54399",
    "http://0.0.0.0:54399",
    "http://localhost.:54399",
  ];
  for (const path of [...paths, "/console/open?code=x"]) {
    for (const address of addresses) {
      await assertRefused(browser.ask(path, { address }), 421, "wrong_host");
    }
    const headers = { host: "evil.example:54399" };
    await assertRefused(browser.ask(path, { headers }), 421, "wrong_host");
  }
  assert.deepEqual(project.asked, []);
  assert.equal(
    (await browser.ask("/console/config", { address: "http://localhost:54399" })).status,
    200,
  );
});

Deno.test("another page, another port of this machine included, gets nothing", async () => {
  await using project = echo();
  const { browser } = consoleFor(project.url, { sandbox: () => Promise.resolve("done") });
  await browser.signIn();
  const foreign: Record<string, string>[] = [
    { origin: "https://evil.example" },
    { origin: "http://127.0.0.1:3000" },
    { origin: "http://127.0.0.1" },
    { origin: "https://127.0.0.1:54399" },
    { origin: "null" },
    { origin: `${ORIGIN}.evil.example` },
    { "sec-fetch-site": "cross-site" },
    { "sec-fetch-site": "same-site" },
    { "sec-fetch-site": "anything" },
  ];
  for (const headers of foreign) {
    const asking = [
      browser.ask("/console/config", { headers }),
      browser.ask("/console/rest/v1/calendly_users", { headers }),
      browser.post("/console/rest/v1/rpc/calendly_replay_dead", {}, headers),
      browser.post("/console/functions/v1/calendly-sync", {}, headers),
      browser.post("/console/sandbox/book", {}, headers),
    ];
    for (const answer of asking) await assertRefused(answer, 403, "wrong_origin");
  }
  await assertRefused(
    browser.post("/console/functions/v1/calendly-sync", {}, { origin: "" }),
    403,
    "wrong_origin",
  );
  const preflight = await browser.ask("/console/rest/v1/calendly_users", {
    method: "OPTIONS",
    headers: { origin: "https://evil.example", "access-control-request-method": "GET" },
  });
  assert.equal(preflight.status, 403);
  assert.equal(preflight.headers.get("access-control-allow-origin"), null);
  assert.deepEqual(project.asked, []);
  // What is sent only by programs and old browsers, not by another page.
  const headers = { "sec-fetch-site": "" };
  assert.equal((await browser.ask("/console/rest/v1/calendly_users", { headers })).status, 200);
});

Deno.test("at port 80 browsers leave the port out", async () => {
  await using project = echo();
  const { console, browser } = consoleFor(project.url, { origins: ["http://127.0.0.1:80"] });
  const address = "http://127.0.0.1";
  assert.ok(console.link().startsWith(`${address}/console/open?`));
  const opened = await browser.ask(pathOf(console.link()), { address });
  browser.cookie = opened.headers.get("set-cookie")!.split(";")[0];
  const written = await browser.ask("/console/functions/v1/calendly-sync", {
    method: "POST",
    headers: { origin: address },
    address,
  });
  assert.equal(written.status, 200);
});

// What is passed on -------------------------------------------------------------------------------

Deno.test("tables are read with the project's key, and the answer has no header of the project", async () => {
  await using project = echo();
  const { browser } = consoleFor(project.url);
  await browser.signIn();
  const select = encodeURIComponent(
    "id,host:calendly_users!calendly_meetings_user_id_fkey(email),...calendly_invitees!inner(email),count(),n:id.max()",
  );
  const { status, body, headers } = await browser.ask(
    `/console/rest/v1/calendly_meetings?select=${select}&id=eq.1&order=id.desc`,
    { headers: { prefer: "count=exact", range: "0-9", "range-unit": "items" } },
  );
  assert.equal(status, 200);
  assert.equal(headers.get("content-range"), "0-0/1");
  for (const name of ["set-cookie", "x-repeated", "access-control-allow-origin"]) {
    assert.equal(headers.get(name), null, name);
  }
  const [asked] = project.asked;
  assert.equal(asked.method, "GET");
  const sent = new URL(asked.path, project.url);
  assert.equal(sent.pathname, "/rest/v1/calendly_meetings");
  assert.equal(sent.searchParams.get("select"), decodeURIComponent(select));
  assert.equal(sent.searchParams.get("id"), "eq.1");
  assert.equal(asked.headers.apikey, SECRET);
  assert.equal(asked.headers.authorization, `Bearer ${SECRET}`);
  assert.equal(asked.headers.prefer, "count=exact");
  assert.equal(asked.headers.range, "0-9");
  assert.equal(body.headers.apikey, "…", "an answer that repeats the key is cleaned");
  assert.equal(headers.get("content-security-policy"), "default-src 'none'; sandbox");

  const head = await browser.ask("/console/rest/v1/calendly_users", { method: "HEAD" });
  assert.deepEqual([head.status, head.text, project.asked[1].method], [200, "", "HEAD"]);
  assert.ok(!browser.seen.includes(SECRET));
});

Deno.test("no header of the browser chooses a key, a schema, a method or a write", async () => {
  await using project = echo();
  const { browser } = consoleFor(project.url);
  await browser.signIn();
  const headers = {
    accept: "application/vnd.pgrst.plan+json",
    "accept-profile": "vault",
    apikey: "another-key",
    authorization: "Bearer another-key",
    "content-profile": "vault",
    prefer: "tx=rollback, count=planned, return=representation, handling=lenient",
    "x-forwarded-host": "evil.example",
    "x-http-method-override": "DELETE",
    "x-region": "us-east-1",
  };
  await browser.ask("/console/rest/v1/calendly_users", { headers });
  await browser.post("/console/rest/v1/rpc/calendly_health", { a: 1 }, headers);
  await browser.post("/console/functions/v1/calendly-sync", { user_id: 1 }, headers);
  const [read, rpc, called] = project.asked;
  const own = ({ headers }: Asked) =>
    Object.fromEntries(
      Object.entries(headers).filter(([name]) =>
        !/^(host|user-agent|accept-(encoding|language)|content-length|connection)$/.test(name)
      ),
    );
  const key = { apikey: SECRET, authorization: `Bearer ${SECRET}` };
  const [accept, prefer] = ["application/json", "count=planned"];
  assert.deepEqual(own(read), { accept, "accept-profile": "public", prefer, ...key });
  const json = { "content-type": "application/json" };
  assert.deepEqual(own(rpc), { accept, "content-profile": "public", prefer, ...key, ...json });
  assert.deepEqual(own(called), { accept: "*/*", apikey: SECRET, ...json });
  assert.deepEqual([rpc.body, called.body], ['{"a":1}', '{"user_id":1}']);
});

Deno.test("other tables, functions, methods and paths are refused", async () => {
  await using project = echo();
  const { browser } = consoleFor(project.url, { sandbox: () => Promise.resolve("done") });
  await browser.signIn();
  const refused: [method: string, path: string][] = [
    ["GET", "rest/v1/secrets"],
    ["GET", "rest/v1/"],
    ["GET", "rest/v1"],
    ["GET", "rest/v2/calendly_users"],
    ["GET", "rest/v1/Calendly_users"],
    ["GET", "rest/v1/calendly_users/"],
    ["GET", "rest/v1//calendly_users"],
    ["GET", "rest/v1/calendly_users%20"],
    ["GET", "rest/v1/calendly_users%2f..%2fsecrets"],
    ["GET", "rest/v1/%2e%2e%2fauth%2fv1%2fadmin%2fusers"],
    ["GET", "rest/v1/calendly_users/../../../auth/v1/admin/users"],
    ["GET", "rest/v1/calendly_users/%2e%2e/secrets"],
    ["GET", "rest/v1/calendly_users;secrets"],
    ["GET", "rest/v1/calendly_users,secrets"],
    ["GET", "rest/v1/rpc"],
    ["GET", "rest/v1/rpc/calendly_health"],
    ["GET", "rest/v1/__proto__"],
    ["POST", "rest/v1/calendly_users"],
    ["PATCH", "rest/v1/calendly_users?id=eq.1"],
    ["PUT", "rest/v1/calendly_users?id=eq.1"],
    ["DELETE", "rest/v1/calendly_users?id=eq.1"],
    ["POST", "rest/v1/rpc/calendly_list_credentials"],
    ["POST", "rest/v1/rpc/calendly_configure"],
    ["POST", "rest/v1/rpc/calendly_health/x"],
    ["POST", "rest/v1/rpc/calendly_health%2f"],
    ["DELETE", "rest/v1/rpc/calendly_health"],
    ["GET", "functions/v1/calendly-sync"],
    ["DELETE", "functions/v1/calendly-sync"],
    ["POST", "functions/v1/calendly-sync/nudge"],
    ["POST", "functions/v1/calendly-webhook"],
    ["POST", "functions/v1/calendly-connect/oauth/start"],
    ["POST", "functions/v1/calendly-sync%2fnudge"],
    ["POST", "functions/v1/calendly-sync/"],
    ["POST", "functions/v1/send-money"],
    ["GET", "auth/v1/admin/users"],
    ["GET", "storage/v1/bucket"],
    ["GET", "sandbox/book"],
    ["POST", "sandbox/"],
    ["POST", "sandbox/book/x"],
    ["POST", "sandbox/constructor.name"],
    ["POST", "config"],
    ["POST", "open?code=x"],
    ["GET", "rest/v1/calendly_users?apikey=another-key"],
    ["POST", "functions/v1/calendly-sync?ApiKey=another-key"],
  ];
  for (const [method, path] of refused) {
    const answering = browser.ask(`/console/${path}`, { method });
    await assertRefused(answering, 404, "not_allowed").catch((error) => {
      throw new Error(`${method} ${path}`, { cause: error });
    });
  }
  assert.deepEqual(project.asked, []);
});

Deno.test("a select cannot embed another table", async () => {
  await using project = echo();
  const { browser } = consoleFor(project.url);
  await browser.signIn();
  const refused = [
    "*,other(*)",
    "*,...other(*)",
    "*,x:other(*)",
    "*,calendly_meetings:other(*)",
    "*,other!inner(*)",
    "*,calendly_users!other(*)",
    "*,calendly_users!inner!other(*)",
    "*,other()",
    "*,other!inner()",
    "*,calendly_meetings(*,other(*))",
    "*,calendly_meetings(calendly_invitees(*),other(*))",
    "other(calendly_users(*))",
    '*,"other"(*)',
    '*,"calendly_users"(*)',
    "*,other (*)",
    "*, other\n(*)",
    "*,other( )",
    "*,user_id(*)",
    "*,Other(*)",
    "*,ｏther(*)",
    "*,counter()",
    "*,count(*)",
    "*,other.sum(*)",
    "*,a->b(*)",
  ];
  for (const select of refused) {
    for (const path of ["calendly_users", "rpc/calendly_health"]) {
      const method = path === "calendly_users" ? "GET" : "POST";
      const ask = (query: string) => browser.ask(`/console/rest/v1/${path}?${query}`, { method });
      const encoded = `select=${encodeURIComponent(select)}`;
      for (const query of [encoded, `select=id&${encoded}`, `${encoded}&select=id`]) {
        const { status, body } = await ask(query);
        assert.deepEqual([status, body.error?.code], [404, "not_allowed"], query);
      }
    }
  }
  assert.deepEqual(project.asked, []);
  const allowed = [
    "*",
    "id, state",
    "last_error->>code,created_at::date",
    "*,calendly_users(email)",
    "*,calendly_meetings(id,calendly_invitees(email,no_show_uri))",
    "state,count()",
    "state,n:count(),latest:id.max()",
    "*,calendly_invitees()",
  ];
  for (const select of allowed) {
    const query = `select=${encodeURIComponent(select)}`;
    const { status } = await browser.ask(`/console/rest/v1/calendly_users?${query}`);
    assert.equal(status, 200, select);
  }
});

Deno.test("the page's calls of functions are passed on", async () => {
  await using project = echo();
  const { browser } = consoleFor(project.url);
  await browser.signIn();
  const health = await browser.ask("/console/functions/v1/calendly-sync/health");
  assert.equal(health.status, 200);
  await browser.ask("/console/functions/v1/calendly-connect?user_id=7");
  await browser.ask("/console/functions/v1/calendly-connect", {
    method: "DELETE",
    body: '{"user_id":7}',
  });
  assert.deepEqual(project.asked.map(({ method, path, body }) => [method, path, body]), [
    ["GET", "/functions/v1/calendly-sync/health", ""],
    ["GET", "/functions/v1/calendly-connect?user_id=7", ""],
    ["DELETE", "/functions/v1/calendly-connect", '{"user_id":7}'],
  ]);
});

Deno.test("the project's refusals come back as they are", async () => {
  await using project = echo(({ path }) =>
    path.startsWith("/rest")
      ? Response.json({ code: "PGRST205", message: `no table for ${SECRET}` }, {
        status: 404,
        headers: { "content-range": SECRET },
      })
      : Response.json({ error: { code: "rate_limited" } }, {
        status: 429,
        headers: { "retry-after": "7" },
      })
  );
  const { browser } = consoleFor(project.url);
  await browser.signIn();
  const table = await browser.ask("/console/rest/v1/calendly_users");
  assert.deepEqual([table.status, table.body], [404, {
    code: "PGRST205",
    message: "no table for …",
  }]);
  const called = await browser.post("/console/functions/v1/calendly-sync");
  assert.deepEqual([called.status, called.headers.get("retry-after")], [429, "7"]);
  assert.ok(!browser.seen.includes(SECRET));
});

Deno.test("a project that redirects or does not answer is told, and the key goes nowhere else", async () => {
  await using elsewhere = echo();
  await using project = echo(() => Response.redirect(`${elsewhere.url}/rest/v1/`, 307));
  const away = await (await consoleFor(project.url).browser.signIn())
    .ask("/console/rest/v1/calendly_users");
  assert.deepEqual([away.status, away.body.error.code], [502, "project_unreachable"]);
  assert.deepEqual(elsewhere.asked, []);
  const nobody = await (await consoleFor("http://127.0.0.1:9").browser.signIn())
    .ask("/console/rest/v1/calendly_users");
  assert.deepEqual([nobody.status, nobody.body.error.code], [502, "project_unreachable"]);
});

Deno.test("verbs of the sandbox are done, and their refusals told", async () => {
  const done: unknown[] = [];
  const { browser } = consoleFor("https://abc.supabase.co", {
    sandbox: (verb, args) => {
      done.push([verb, args]);
      if (verb !== "book") {
        throw new VerbRefused("unknown_verb", "There is no verb.", "book");
      }
      return Promise.resolve({ event: "e" });
    },
  });
  await browser.signIn();
  const booked = await browser.post("/console/sandbox/book", { invitee: "Ada" });
  assert.deepEqual([booked.status, booked.body], [200, { event: "e" }]);
  const { status, body } = await browser.post("/console/sandbox/unbook");
  assert.equal(status, 400);
  assert.deepEqual(body.error, {
    code: "unknown_verb",
    message: "There is no verb.",
    hint: "book",
  });
  const broken = await browser.ask("/console/sandbox/book", { method: "POST", body: "{" });
  assert.deepEqual([broken.status, broken.body.error.code], [400, "invalid_json"]);
  assert.deepEqual(done, [["book", { invitee: "Ada" }], ["unbook", {}]]);
  const hosted = await consoleFor("https://abc.supabase.co").browser.signIn();
  await assertRefused(hosted.post("/console/sandbox/book"), 404, "not_allowed");
});

Deno.test("a fault while a verb is done is no refusal of the sandbox", async () => {
  const fault = Object.assign(new Error("connect"), { code: "ECONNREFUSED" });
  const { browser } = consoleFor("https://abc.supabase.co", {
    sandbox: () => Promise.reject(fault),
  });
  await browser.signIn();
  await assert.rejects(browser.post("/console/sandbox/book"), fault);
});
