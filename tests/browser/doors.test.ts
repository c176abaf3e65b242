/**
 * The two doors in a real browser: everybody's own meetings, and operations by a one-time link. No other
 * page gets in, and nothing that a browser sends or gets has the secret key in it.
 */
import assert from "node:assert/strict";
import { listen } from "../../cli/console/listen.ts";
import { createConsole } from "../../cli/console/server.ts";
import { readPage } from "../../local/console.ts";
import { browserTest, openPage, type Page, REBOUND } from "./support.ts";

browserTest("operations open by the link, once and in one browser alone", async ({ project }) => {
  const { stack } = project;
  const ana = await project.person({ events: 2 });
  await ana.sync();
  const link = stack.consoleLink();
  const operator = await openPage(project);
  assert.equal(await hasOperations(operator), false);
  await operator.goto(link);
  assert.equal(operator.url(), `${stack.url}/#/operations`);
  assert.equal(await hasOperations(operator), true);
  await operator.reload();
  assert.equal(await hasOperations(operator), true, "the session outlasts the page");
  const users = await ask(operator, "/console/rest/v1/calendly_users");
  assert.match(users.text, new RegExp(ana.host.email));
  assert.equal(await operator.evaluate(() => document.cookie), "", "no script reads the session");

  const other = await openPage(project, { as: ana, expectErrors: [/401/] });
  await other.goto(link);
  assert.equal(other.url(), `${stack.url}/#/operations?link=used`);
  assert.equal(await hasOperations(other), false);
  for (const path of ["rest/v1/calendly_users", "functions/v1/calendly-sync/health"]) {
    const { status, text } = await ask(other, `/console/${path}`);
    assert.equal(status, 401);
    assert.doesNotMatch(text, /@example\.com/);
  }
});

browserTest("the secret key is in nothing that a browser sends or gets", async ({ project }) => {
  const { stack } = project;
  const ana = await project.person({ events: 2 });
  await ana.sync();
  const operator = await openPage(project, { as: ana });
  const exchanged = record(operator);
  await operator.goto(stack.consoleLink());
  for (const part of ["", "/people", "/runs", "/deliveries", "/schedule", "/alerts"]) {
    await operator.goto(`${stack.url}/#/operations${part}`);
  }
  await operator.goto(`${stack.url}/#/meetings`);
  await operator.waitForLoadState("networkidle");
  await ask(operator, "/console/config");
  await ask(operator, "/console/rest/v1/calendly_users");
  await ask(operator, "/console/functions/v1/calendly-sync/health");
  await ask(operator, "/console/rest/v1/rpc/calendly_health", {});
  await ask(operator, "/console/sandbox/state", {});
  const everything = await exchanged();
  for (const expected of [ana.host.email, "console.js", stack.publishableKey, "healthy"]) {
    assert.ok(everything.includes(expected), `not recorded: ${expected}`);
  }
  assert.ok(!everything.includes(stack.secretKey));
  const stored = await operator.context().storageState();
  assert.ok(!JSON.stringify(stored).includes(stack.secretKey));
});

browserTest(
  "a page of another port, of another site or in a frame gets nothing",
  async ({ project }) => {
    const { stack } = project;
    const ana = await project.person({ events: 1 });
    await ana.sync();
    const operator = await openPage(project, { operations: true });
    await using elsewhere = servePages(stack.url);
    const { port } = new URL(stack.url);

    // In the operator's browser, whose cookie goes to every port of this machine.
    for (const origin of [elsewhere.url, elsewhere.url.replace("127.0.0.1", "localhost")]) {
      const page = await operator.context().newPage();
      await page.goto(origin);
      for (const path of ["config", "rest/v1/calendly_users"]) {
        const read = await page.evaluate(async (address) => {
          const answer = await fetch(address, { credentials: "include" }).catch(() => undefined);
          return answer ? await answer.text() : "refused";
        }, `${stack.url}/console/${path}`);
        assert.equal(read, "refused");
      }
      // Sent without asking first, as forms are: what is refused must not be done.
      await page.evaluate(async (address) => {
        const body = JSON.stringify({ invitee: { name: "Mallory", email: "mallory@example.com" } });
        await fetch(address, { method: "POST", mode: "no-cors", credentials: "include", body });
      }, `${stack.url}/console/sandbox/book`);
      assert.doesNotMatch(JSON.stringify(project.sandbox.truth()), /mallory/);
    }

    const framing = await operator.context().newPage();
    await framing.goto(`${elsewhere.url}/frame`);
    const frame = framing.frames()[1];
    assert.ok(frame, "there is a frame");
    assert.equal(await frame.evaluate(() => document.querySelector("#app")), null);

    const rebound = await operator.context().newPage();
    const answer = await rebound.goto(`http://${REBOUND}:${port}/`);
    assert.equal(answer!.status(), 421);
    assert.match(await answer!.text(), /wrong_host/);
  },
);

browserTest(
  "the console of a hosted project works from another address than the project's",
  async ({ project }) => {
    const { stack } = project;
    const ana = await project.person({ events: 2 });
    await ana.sync();
    const page = await readPage();
    const failures: unknown[] = [];
    const { url, console, stop } = await listen(
      0,
      (origins) =>
        createConsole({
          files: () => Promise.resolve(page),
          project: { ...stack, kind: "hosted" },
          origins,
          realtime: true,
        }),
      (error) => failures.push(error),
    );
    try {
      const browser = await openPage(project, { address: url });
      const exchanged = record(browser);
      const { email, password } = stack.demoUser;
      await browser.getByLabel(/mail/i).fill(email);
      await browser.getByLabel(/password/i).fill(password);
      await browser.getByLabel(/password/i).press("Enter");
      await browser.getByText(email).first().waitFor();
      await browser.goto(console.link());
      assert.equal(browser.url(), `${url}/#/operations`);
      assert.equal(await hasOperations(browser), true);
      const users = await ask(browser, "/console/rest/v1/calendly_users");
      assert.match(users.text, new RegExp(ana.host.email));
      await browser.waitForLoadState("networkidle");
      assert.ok(!(await exchanged()).includes(stack.secretKey));
      assert.deepEqual(failures, []);
    } finally {
      await stop();
    }
  },
);

function servePages(consoleUrl: string) {
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, (request) => {
    const body = request.url.endsWith("/frame") ? `<iframe src="${consoleUrl}/"></iframe>` : "";
    return new Response(`<!doctype html>${body}`, { headers: { "content-type": "text/html" } });
  });
  return {
    url: `http://127.0.0.1:${server.addr.port}`,
    [Symbol.asyncDispose]: () => server.shutdown(),
  };
}

/** A request by a script of the page itself. */
async function ask(page: Page, path: string, body?: unknown) {
  return await page.evaluate(async ({ path, body }) => {
    const response = await fetch(
      path,
      body === undefined ? {} : {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify(body),
      },
    );
    return { status: response.status, text: await response.text() };
  }, { path, body });
}

async function hasOperations(page: Page): Promise<boolean> {
  return JSON.parse((await ask(page, "/console/config")).text).operations;
}

/** All that the page's browser sends and gets from now on, as text. */
function record(page: Page): () => Promise<string> {
  const parts: Promise<string>[] = [];
  page.context().on("response", (response) => {
    const request = response.request();
    parts.push((async () =>
      JSON.stringify([
        request.url(),
        request.postData(),
        await request.allHeaders(),
        await response.allHeaders(),
        // A redirect has no body.
        await response.text().catch(() => ""),
      ]))());
  });
  return async () => (await Promise.all(parts)).join("\n");
}
