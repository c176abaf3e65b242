/** No secret is to be read in a log, an answer or the database, whatever has happened. */
import assert from "node:assert/strict";
import {
  connectByOAuth,
  derivedKey,
  subscriptionsOf,
  watchTokens,
} from "../connections/support.ts";
import { day, type Project, until } from "../functions/support.ts";
import { INVITEES, LISTING } from "../functions/interrupted_person.ts";
import { contents } from "../guest/catalogue.ts";
import { hookTest, SIGNING_KEY } from "../webhooks/support.ts";

const TOKEN_KEY = "the key that encrypts and is told to nobody";
const FEW = { events: 3, variety: "plain", from: day(2), to: day(9) } as const;

hookTest("whatever happens, no secret is told", async (hooks, t) => {
  const { project, control } = hooks;
  using tokens = watchTokens(project);
  using answers = listen(project);
  const secrets: Record<string, string> = {
    "CALENDLY_TOKEN_KEY": TOKEN_KEY,
    "CALENDLY_WEBHOOK_SIGNING_KEY": SIGNING_KEY,
    "CALENDLY_CLIENT_SECRET": project.sandbox.demo.app.client_secret,
    "the project's secret key": project.stack.secretKey,
  };
  const ann = await project.person(FEW);
  const bob = await project.person({ ...FEW, connected: false });

  // what works
  await connectByOAuth(bob);
  for (const person of [ann, bob]) {
    assert.equal((await person.invoke("calendly-connect/webhooks", "POST")).status, 201);
    assert.equal((await person.sync()).body.status, "complete");
    await person.connection();
    for (const { callback_url } of subscriptionsOf(person)) {
      secrets[`the key of subscription ${callback_url}`] = derivedKey(TOKEN_KEY, callback_url);
    }
  }
  control.book({ user: ann.host.uri });
  assert.deepEqual([...new Set(await hooks.deliver())], [200]);
  await project.advance("3h");
  await bob.sync();

  // what does not: each of them tells what it was asked with
  const echo = (status: number, token: string) => ({
    kind: "status" as const,
    status,
    body: { title: `Not for ${token}`, message: `The token ${token} may not do that` },
  });
  for (const status of [400, 401, 403, 404, 429, 500, 302]) {
    for (const path of [LISTING, INVITEES]) {
      control.faults({ path, user: ann.host.uri, times: 3, effect: echo(status, ann.token) });
      await ann.sync({ full: true });
      control.clear_faults();
      await ann.connect({ sync: false });
    }
  }
  const said = (await ann.runs()).map(({ error }) => error?.message);
  assert.ok(said.some((message) => message?.includes("The token … may not do that")), `${said}`);
  const wrong = `${ann.token}x`;
  assert.equal((await ann.connect({ token: wrong })).status, 422);
  control.revoke_token({ token: ann.token });
  assert.equal((await ann.sync()).status, 424);
  for (const [rpc, times] of [["calendly_begin_sync", 1], ["calendly_apply_step", 4]] as const) {
    project.wire.refuse(rpc, times);
    assert.equal((await bob.sync()).status, 503);
  }
  await project.stack.sql("alter table calendly_sync_runs rename to misplaced");
  assert.equal((await bob.sync()).status, 500);
  await project.stack.sql("alter table misplaced rename to calendly_sync_runs");

  control.book({ user: ann.host.uri });
  const [body] = await hooks.take();
  assert.equal((await hooks.send(body, { key: "a wrong key" })).status, 401);
  assert.equal((await hooks.send({ event: "invitee.created", payload: {} })).status, 200);
  assert.equal((await hooks.send("no JSON")).status, 400);
  for (const headers of [{ apikey: `${project.stack.secretKey}x` }, { apikey: "sb_secret_x" }]) {
    assert.equal((await project.fetch("calendly-sync", { method: "POST", headers })).status, 401);
  }
  await bob.disconnect({ erase: true });
  await until(() => project.wire.calls.includes("calendly_finish_revocation"));

  assert.ok(tokens.given.length >= 2, "one token to connect, one by refreshing");
  for (const { access_token, refresh_token } of tokens.given) {
    Object.assign(secrets, {
      [`access token ${access_token}`]: access_token,
      [`refresh token ${refresh_token}`]: refresh_token,
    });
  }
  Object.assign(secrets, {
    "Ann's token": ann.token,
    "Ann's JWT": ann.account.access_token,
    "Bob's JWT": bob.account.access_token,
  });

  const told = {
    "the logs": [...project.logs(), ...project.stack.functions.logs("calendly-webhook")].join("\n"),
    "the answers": answers.heard.join("\n"),
    "the database": JSON.stringify(
      await contents({ query: project.stack.sql }),
    ),
  };
  for (const [where, text] of Object.entries(told)) {
    await t.step(`not in ${where}`, () => {
      assert.ok(text.includes(ann.host.uri) || text.includes("Calendly sync failed"));
      for (const [name, secret] of Object.entries(secrets)) {
        for (const form of forms(secret)) {
          assert.ok(!text.includes(form), `${name} as ${form.slice(0, 12)}… in ${where}`);
        }
      }
    });
  }
}, { env: { CALENDLY_TOKEN_KEY: TOKEN_KEY } });

/** A secret as itself, or as anybody would find it again; of a long one its own, last part. */
function forms(secret: string): string[] {
  const bytes = new TextEncoder().encode(secret);
  return [
    secret.slice(-40),
    encodeURIComponent(secret),
    bytes.toHex(),
    bytes.toBase64().slice(0, -4),
  ];
}

/** Notes what the functions answer. */
function listen({ stack }: Project): { heard: string[] } & Disposable {
  const heard: string[] = [];
  const { fetch } = globalThis;
  globalThis.fetch = async (input, init) => {
    const response = await fetch(input, init);
    const url = input instanceof Request ? input.url : String(input);
    if (url.startsWith(`${stack.url}/functions/`)) {
      heard.push(JSON.stringify([...response.headers]), await response.clone().text());
    }
    return response;
  };
  return { heard, [Symbol.dispose]: () => void (globalThis.fetch = fetch) };
}
