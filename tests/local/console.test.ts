/**
 * The console of a local stack: the page at its address, operations by the link, the sandbox's verbs, and
 * the project behind it as it is.
 */
import assert from "node:assert/strict";
import { readPage } from "../../local/console.ts";
import { stackTest } from "../harness/stack.ts";

stackTest(
  "the stack's address shows the console, and the Data API is where it was",
  async ({ stack }) => {
    const page = await fetch(stack.url);
    assert.equal(page.status, 200);
    assert.match(page.headers.get("content-type")!, /^text\/html/);
    const html = await page.text();
    for (const name of ["console.js", "console.css", "icon.svg"]) {
      assert.ok(html.includes(`"${name}"`), name);
      const file = await fetch(`${stack.url}/${name}`);
      assert.equal(file.status, 200);
      assert.ok((await file.text()).length > 0);
    }
    const { port } = new URL(stack.url);
    const byName = await fetch(`http://localhost:${port}/console/config`);
    const config = await byName.json();
    assert.equal(config.url, stack.url);
    assert.equal(config.publishable_key, stack.publishableKey);
    assert.equal(config.kind, "local");
    assert.equal(config.sandbox, true);
    assert.deepEqual(config.demo_user, stack.demoUser);
    for (const path of ["/nothing", "/console", "/rest/v2/x", "/stack.json", "/deno.json"]) {
      const { status, headers } = await fetch(stack.url + path);
      assert.equal(status, 404, path);
      assert.equal(headers.get("set-cookie"), null);
    }
    const table = `${stack.url}/rest/v1/calendly_users`;
    assert.equal((await fetch(table, { headers: { apikey: stack.secretKey } })).status, 200);
  },
  { on: "embedded" },
);

stackTest(
  "operations by the link: everybody's rows, functions and the sandbox",
  async ({ stack }) => {
    const opened = await fetch(stack.consoleLink(), { redirect: "manual" });
    assert.equal(opened.headers.get("location"), "/#/operations");
    const cookie = opened.headers.get("set-cookie")!.split(";")[0];
    const ask = async (path: string, body?: unknown) => {
      const response = await fetch(`${stack.url}/console/${path}`, {
        method: body ? "POST" : "GET",
        headers: { cookie, origin: stack.url },
        body: body ? JSON.stringify(body) : undefined,
      });
      const text = await response.text();
      assert.ok(!text.includes(stack.secretKey));
      return { status: response.status, body: JSON.parse(text) };
    };
    const [{ id: auth_user_id }] = await stack.sql("select id from auth.users");
    const connection = { token: stack.sandbox!.demo.token, auth_user_id, sync: false };
    assert.equal((await ask("functions/v1/calendly-connect", connection)).status, 201);
    const users = await ask("rest/v1/calendly_users?select=auth_user_id");
    assert.deepEqual(users, { status: 200, body: [{ auth_user_id }] });
    const health = await ask("rest/v1/rpc/calendly_health", {});
    assert.equal(health.body.status, "healthy");
    assert.equal((await ask("functions/v1/calendly-sync/health")).body.status, "healthy");
    const invitee = { name: "Ada Lovelace", email: "ada@example.com" };
    const booked = await ask("sandbox/book", { invitee });
    assert.equal(booked.body.invitee.name, "Ada Lovelace");
    const state = await ask("sandbox/state", {});
    assert.equal(state.body.scheduled_events.length, 1);
    const unknown = await ask("sandbox/unbook", {});
    assert.deepEqual([unknown.status, unknown.body.error.code], [400, "unknown_verb"]);
    const wrong = await ask("sandbox/book", { nobody: 1 });
    assert.deepEqual([wrong.status, wrong.body.error.code], [400, "unknown_field"]);

    const strange = await fetch(`${stack.url}/console/rest/v1/calendly_users`);
    assert.equal(strange.status, 401);
    await strange.body?.cancel();
    const link = await fetch(`${stack.url}/console/link`, {
      method: "POST",
      headers: { authorization: `Bearer ${stack.secretKey}` },
    });
    const { link: another } = await link.json();
    assert.ok(another.startsWith(`${stack.url}/console/open?code=`));
  },
);

Deno.test("the page is built once for the same sources", async () => {
  const [one, other] = await Promise.all([readPage(), readPage()]);
  assert.deepEqual([...one.keys()].sort(), [...other.keys()].sort());
  assert.strictEqual(await readPage(), await readPage());
});
