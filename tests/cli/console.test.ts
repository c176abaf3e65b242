/**
 * `calendly-sync console`: which project it opens and with which keys, what it prints, what its server
 * answers to requests that no browser sends, and how it ends.
 */
import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { connect } from "node:net";
import { networkInterfaces } from "node:os";
import { browserCommand, openBrowser } from "../../cli/browser.ts";
import { askForLink, type Result } from "../../cli/commands/console.ts";
import { listen } from "../../cli/console/listen.ts";
import { createConsole } from "../../cli/console/server.ts";
import { findTargetWithKeys } from "../../cli/target.ts";
import { projectTest, until } from "../functions/support.ts";
import { freePort } from "../harness/cluster.ts";
import { temporaryFolder } from "../local/support.ts";
import { deployTest } from "./deploy_support.ts";
import { gateway, runProgram } from "./program.ts";

const NAMED = { SUPABASE_URL: "https://abc.example.com", SUPABASE_SECRET_KEY: "sb_secret_1" };

/** A JWT that names a role, as the keys of older projects are. */
function jwtOf(role: string): string {
  const part = (value: unknown) => btoa(JSON.stringify(value)).replaceAll("=", "");
  return [part({ alg: "HS256" }), part({ iss: "supabase", role }), "signature"].join(".");
}

Deno.test("the publishable key is the environment's, and never a secret one", async (t) => {
  await using folder = await temporaryFolder();
  const read = async (more: Record<string, string>) => {
    const env = { ...NAMED, ...more };
    const target = await findTargetWithKeys({ env, folder: folder.path, values: {} }, folder.path);
    assert.equal(target.isLocalStack, false);
    return await target.readPublishableKey();
  };
  for (const key of ["sb_publishable_1", jwtOf("anon")]) {
    assert.equal(await read({ SUPABASE_PUBLISHABLE_KEY: key }), key);
    assert.equal(await read({ SUPABASE_ANON_KEY: key }), key);
  }
  const refused = ["", "sb_secret_1", jwtOf("service_role"), "a.b.c", "anon", "sb_temp_1"];
  for (const key of refused) {
    await t.step(key.slice(0, 12) || "none", async () => {
      await assert.rejects(read({ SUPABASE_PUBLISHABLE_KEY: key }), (error: Error) => {
        assert.equal((error as { code?: string }).code, "no_publishable_key");
        if (key) assert.ok(!error.message.includes(key));
        return true;
      });
    });
  }
});

Deno.test("the local stack's keys are those of its file", async () => {
  await using folder = await temporaryFolder();
  const stack = {
    url: "http://127.0.0.1:54321",
    publishable_key: "sb_publishable_1",
    secret_key: "sb_secret_1",
  };
  await Deno.writeTextFile(`${folder.path}/stack.json`, JSON.stringify(stack));
  const target = await findTargetWithKeys(
    { env: {}, folder: folder.path, values: {} },
    folder.path,
  );
  assert.equal(target.isLocalStack, true);
  assert.equal(target.url, stack.url);
  assert.equal(await target.readPublishableKey(), "sb_publishable_1");
});

deployTest(
  "the keys of a linked project come by the Supabase CLI",
  async ({ project, api, app }) => {
    const { publishableKey, secretKey } = project.keys;
    const choice = { env: api.environment, folder: app.path, values: { url: project.url } };
    const target = await findTargetWithKeys(choice);
    assert.equal(target.secretKey, secretKey);
    assert.equal(await target.readPublishableKey(), publishableKey);
  },
);

Deno.test("the browser of this machine is opened, and none where nobody would see it", () => {
  const url = "http://127.0.0.1:1/console/open?code=a";
  assert.deepEqual(browserCommand(url, {}, "darwin"), ["open", [url]]);
  assert.equal(browserCommand(url, {}, "win32")![1].at(-1), url);
  assert.deepEqual(browserCommand(url, { DISPLAY: ":0" }, "linux"), ["xdg-open", [url]]);
  assert.deepEqual(browserCommand(url, { WAYLAND_DISPLAY: "w" }, "linux"), ["xdg-open", [url]]);
  assert.equal(browserCommand(url, {}, "linux"), undefined);
  assert.equal(browserCommand(url, { SSH_CONNECTION: "1" }, "darwin"), undefined);
  assert.equal(browserCommand(url, { DISPLAY: ":0", CI: "true" }, "linux"), undefined);
});

Deno.test("the browser's program gets a private page that leads on", async () => {
  await using folder = await temporaryFolder();
  const path = Deno.env.get("PATH")!;
  const reading = new AbortController();
  const link = "http://127.0.0.1:1/console/open?code=a&b";
  try {
    Deno.env.set("PATH", folder.path);
    // There is none: nothing happens.
    await openBrowser(link, { DISPLAY: ":0" }, reading.signal, 60_000);
    const script = `#!/bin/sh\necho "$1" > "${folder.path}/opened"\n`;
    await Deno.writeTextFile(`${folder.path}/xdg-open`, script, { mode: 0o755 });
    const opening = openBrowser(link, { DISPLAY: ":0" }, reading.signal, 60_000);
    const opened = () => Deno.readTextFile(`${folder.path}/opened`).catch(() => "");
    await until(async () => (await opened()).includes("\n"));
    const argument = await opened();
    assert.ok(!argument.includes("code"), "other users of the machine can read it");
    const file = new URL(argument.trim());
    assert.match(await Deno.readTextFile(file), /content="0; url=[^"]*\?code=a&#38;b"/);
    assert.equal((await Deno.stat(file)).mode! & 0o777, 0o600);
    assert.equal((await Deno.stat(new URL(".", file))).mode! & 0o777, 0o700);
    reading.abort();
    await opening;
    await assert.rejects(Deno.stat(new URL(".", file)), Deno.errors.NotFound);
  } finally {
    Deno.env.set("PATH", path);
  }
});

/** The running program, and what it has printed. */
async function start(env: Record<string, string>, ...args: string[]) {
  // Not by `deno task`: a terminal sends Ctrl-C to both, and a task that gets it alone may end with 130.
  const main = fileURLToPath(new URL("../../cli/main.ts", import.meta.url));
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--allow-all", main, "console", ...args],
    env: { SUPABASE_URL: "", SUPABASE_SECRET_KEY: "", NO_COLOR: "1", ...env },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const errors = new Response(child.stderr).text();
  let printed = "";
  const reader = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  while (!printed.includes("\n}")) {
    const { value, done } = await reader.read();
    if (done) assert.fail(`it ended: ${printed}${await errors}`);
    printed += value;
  }
  return {
    result: JSON.parse(printed) as Result,
    async interrupt() {
      child.kill("SIGINT");
      for (let read = await reader.read(); !read.done; read = await reader.read()) {
        printed += read.value;
      }
      const { code } = await child.status;
      return { code, output: printed + await errors };
    },
  };
}

projectTest("console serves a project until Ctrl-C, on this machine alone", async (project) => {
  const { url, secretKey, publishableKey } = project.stack;
  const ana = await project.person({ events: 2 });
  await ana.sync();
  const port = freePort();
  const env = {
    SUPABASE_URL: url,
    SUPABASE_SECRET_KEY: secretKey,
    SUPABASE_PUBLISHABLE_KEY: publishableKey,
  };
  const program = await start(env, "--json", "--no-open", "--port", String(port));
  const { result } = program;
  assert.equal(result.project, url);
  assert.equal(result.url, `http://127.0.0.1:${port}`);
  assert.ok(result.link.startsWith(`${result.url}/console/open?code=`));

  const page = await fetch(result.url);
  assert.match(await page.text(), /console\.js/);
  assert.match(
    page.headers.get("content-security-policy")!,
    new RegExp(`connect-src 'self' ${url} `),
  );
  const config = await (await fetch(`${result.url}/console/config`)).json();
  assert.deepEqual(
    [config.url, config.publishable_key, config.kind, config.realtime, config.sandbox],
    [url, publishableKey, "hosted", true, false],
  );
  const opened = await fetch(result.link, { redirect: "manual" });
  const headers = { cookie: opened.headers.get("set-cookie")!.split(";")[0], origin: result.url };
  const users = await fetch(`${result.url}/console/rest/v1/calendly_users?select=email`, {
    headers,
  });
  assert.deepEqual(await users.json(), [{ email: ana.host.email }]);
  const synced = await fetch(`${result.url}/console/functions/v1/calendly-sync`, {
    method: "POST",
    headers,
    body: JSON.stringify({ user_id: ana.id }),
  });
  assert.equal((await synced.json()).status, "complete");
  const missing = await fetch(`${result.url}/rest/v1/calendly_users`, { headers });
  assert.equal(missing.status, 404, "what is not the console's is not there");
  await missing.body?.cancel();
  const nothing = await fetch(`${result.url}/console/rest/v1/calendly_users`);
  assert.equal(nothing.status, 401);
  await nothing.body?.cancel();

  for (const address of foreignAddresses()) {
    await assert.rejects(fetch(`http://${address}:${port}/`), TypeError, address);
  }
  const taken = await runProgram(["console", "--port", String(port)], { env });
  assert.equal(taken.code, 1);
  assert.match(taken.stderr, /port_taken .*--port/s);

  const { code, output } = await program.interrupt();
  assert.equal(code, 0, output);
  assert.ok(!output.includes(secretKey));
  await assert.rejects(fetch(result.url), TypeError);
}, { on: "embedded" });

/** Addresses of this machine that others can reach. */
function foreignAddresses(): string[] {
  return Object.values(networkInterfaces()).flat()
    .filter((one) => one && one.family === "IPv4" && !one.internal)
    .map((one) => one!.address);
}

projectTest("console says what is wrong before it serves", async (project, t) => {
  const { url, secretKey, publishableKey } = project.stack;
  const cases: [code: string, exit: number, env: Record<string, string>, ...string[]][] = [
    ["no_publishable_key", 1, { SUPABASE_URL: url, SUPABASE_SECRET_KEY: secretKey }],
    ["wrong_key", 2, {
      SUPABASE_URL: url,
      SUPABASE_SECRET_KEY: "sb_secret_of_another",
      SUPABASE_PUBLISHABLE_KEY: publishableKey,
    }],
    ["invalid_argument", 1, {}, "--port=65536"],
    ["invalid_argument", 1, {}, "--port="],
  ];
  for (const [code, exit, env, ...args] of cases) {
    await t.step(`${code} ${args}`, async () => {
      const ended = await runProgram(["console", "--json", "--no-open", ...args], { env });
      assert.equal(ended.code, exit, ended.stderr);
      assert.equal(JSON.parse(ended.stdout).error.code, code);
      assert.ok(!(ended.stdout + ended.stderr).includes(secretKey));
    });
  }
}, { on: "embedded" });

projectTest("of the local stack there is a new link", async (project) => {
  const { stack } = project;
  const link = await askForLink(stack);
  assert.ok(link.startsWith(`${stack.url}/console/open?code=`));
  const opened = await fetch(link, { redirect: "manual" });
  assert.equal(opened.headers.get("location"), "/#/operations");

  const wrong = { ...stack, secretKey: "sb_secret_of_another" };
  await assert.rejects(askForLink(wrong), { code: "unexpected_answer" });
  const gone = { ...stack, url: "http://127.0.0.1:9" };
  await assert.rejects(askForLink(gone), { code: "project_unreachable" });
}, { on: "embedded" });

Deno.test("requests that no browser sends are refused", async (t) => {
  await using project = gateway("http://127.0.0.1:9", { "/": () => Response.json([]) });
  const failures: unknown[] = [];
  const { console, url, stop } = await listen(
    0,
    (origins) =>
      createConsole({
        files: () => Promise.resolve(new Map()),
        project: {
          url: project.url,
          publishableKey: "sb_publishable_1",
          secretKey: "sb_secret_1",
          kind: "hosted",
        },
        origins,
      }),
    (error) => failures.push(error),
  );
  const { host, port } = new URL(url);
  const [cookie] = (await fetch(console.link(), { redirect: "manual" })).headers
    .get("set-cookie")!.split(";");
  const path = "/console/rest/v1/calendly_users";
  const session = `Cookie: ${cookie}\r\n`;
  const write = `${session}Origin: ${url}\r\n`;
  const big = `Content-Length: 1000001\r\n\r\n${"x".repeat(1_000_001)}`;
  const cases: [what: string, request: string, status: RegExp][] = [
    ["a right one", `GET ${path} HTTP/1.1\r\nHost: ${host}\r\n${session}\r\n`, /200/],
    ["another host", `GET ${path} HTTP/1.1\r\nHost: evil.test\r\n${session}\r\n`, /421/],
    ["no port", `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\n${session}\r\n`, /421/],
    ["no host", `GET ${path} HTTP/1.0\r\n${session}\r\n`, /400/],
    [
      "a whole address",
      `GET http://${host}${path} HTTP/1.1\r\nHost: ${host}\r\n${session}\r\n`,
      /400/,
    ],
    [
      "a whole address of another host",
      `GET http://evil.test${path} HTTP/1.1\r\nHost: ${host}\r\n${session}\r\n`,
      /400/,
    ],
    [
      "a host in the path",
      `GET //evil.test${path} HTTP/1.1\r\nHost: ${host}\r\n${session}\r\n`,
      /404/,
    ],
    ["a user in the host", `GET ${path} HTTP/1.1\r\nHost: a@${host}\r\n${session}\r\n`, /421/],
    [
      "dots",
      `GET /console/x/../rest/v1/../../../etc HTTP/1.1\r\nHost: ${host}\r\n${session}\r\n`,
      /404/,
    ],
    ["no path", `OPTIONS * HTTP/1.1\r\nHost: ${host}\r\n${session}\r\n`, /400/],
    ["TRACE", `TRACE ${path} HTTP/1.1\r\nHost: ${host}\r\n${session}\r\n`, /405/],
    [
      "too much",
      `POST /console/functions/v1/calendly-sync HTTP/1.1\r\nHost: ${host}\r\n${write}${big}`,
      /413/,
    ],
  ];
  for (const [what, request, status] of cases) {
    await t.step(what, async () => {
      const answer = await exchange(Number(port), request);
      assert.match(answer.split("\r\n")[0], status);
    });
  }
  await t.step("half of one", async () => {
    const half = `POST ${path} HTTP/1.1\r\nHost: ${host}\r\nContent-Length: 9\r\n\r\nhalf`;
    const socket = connect(Number(port), "127.0.0.1");
    await new Promise((resolve) => socket.write(half, resolve));
    await exchange(Number(port), `GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`); // The server has it now.
    socket.destroy();
  });
  await stop();
  assert.deepEqual(failures, []);
});

/** What comes back to bytes as they are. */
function exchange(port: number, request: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let answer = "";
    const socket = connect(port, "127.0.0.1", () => socket.write(request));
    socket.on("data", (bytes) => {
      answer += bytes;
      socket.destroy();
      resolve(answer);
    });
    socket.on("error", (error) => answer || reject(error));
    socket.on("close", () => resolve(answer));
  });
}
