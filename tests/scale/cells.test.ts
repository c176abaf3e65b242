/**
 * Cells: two projects on one machine, each with its own database and functions, and one Calendly behind
 * both. See docs/scale.md.
 */
import assert from "node:assert/strict";
import type { Account, Stack } from "../../local/stack.ts";
import type { User as Host } from "../../sandbox/mod.ts";
import { type Answer, day, everythingStored, NOW, Project } from "../functions/support.ts";
import { needing } from "../harness/requirements.ts";
import { startTestStack } from "../harness/stack.ts";

const EVENTS = 6;

interface Member {
  cell: Stack;
  account: Account;
  host: Host;
  token: string;
}

Deno.test({
  ...needing("two cells side by side", "realPostgres"),
  async fn(t) {
    await using first = await Project.start("real");
    const { control } = first.sandbox;
    await using second = await startTestStack("real", {
      calendlyUrl: first.stack.calendlyUrl,
      shortenPauses: 10,
    });
    await second.sql("select calendly.set_clock($1)", [NOW]);
    const ours = await Promise.all(["ana", "ada"].map((name) => member(first.stack, name)));
    const theirs = await Promise.all(["ben", "bea"].map((name) => member(second, name)));

    async function member(cell: Stack, name: string): Promise<Member> {
      const email = `${name}@example.com`;
      const host = control.create_user({ name, email });
      const { token } = control.create_token({ user: host.uri });
      const range = { from: day(2), to: day(20) };
      control.populate({ user: host.uri, events: EVENTS, variety: "plain", ...range });
      return { cell, account: await cell.createUser({ email }), host, token };
    }

    await t.step("each cell syncs its own people, at the same time", async () => {
      for (const member of [...ours, ...theirs]) {
        const { status, body } = await connect(member);
        assert.equal(status, 201, JSON.stringify(body));
      }
      const answers = await Promise.all([...ours, ...theirs].map((member) => sync(member)));
      assert.deepEqual(answers.map(({ body }) => [body.status, body.created]), [
        ["complete", EVENTS],
        ["complete", EVENTS],
        ["complete", EVENTS],
        ["complete", EVENTS],
      ]);
    });

    await t.step("a delivery reaches the cell that subscribed to it", async () => {
      for (const member of [...ours, ...theirs]) {
        assert.equal((await call(member, "calendly-connect/webhooks", "POST")).status, 201);
      }
      const { event } = control.book({ user: theirs[0].host.uri, location: "physical" });
      const sent = await control.deliver("due");
      assert.deepEqual(sent.map(({ attempts }) => attempts.at(-1)!.status), [200]);
      assert.equal(await stored(second, event.uri), 1);
      assert.equal(await stored(first.stack, event.uri), 0);
    });

    await t.step("no cell knows anything of the other's people", async () => {
      const cells = [[first.stack, ours, theirs], [second, theirs, ours]] as const;
      for (const [stack, own, others] of cells) {
        const everything = await everythingStored({ stack });
        for (const { host } of own) assert.ok(everything.includes(host.uri));
        for (const { host, account } of others) {
          for (const name of [host.uri, host.email, account.auth_user_id]) {
            assert.ok(!everything.includes(name), name);
          }
        }
      }
    });

    await t.step("a cell refuses who is signed in to the other, and its secret key", async () => {
      const stranger = { ...ours[0], account: theirs[0].account };
      assert.equal((await sync(stranger)).status, 401);
      const { status } = await request(first.stack, "calendly-sync", "POST", {
        apikey: second.secretKey,
      }, { user_id: 2 });
      assert.equal(status, 401);
    });

    await t.step("the same Calendly user in both cells is fetched by both", async () => {
      const here = ours[0];
      const there = { ...theirs[1], host: here.host, token: here.token };
      assert.equal((await call(there, "calendly-connect", "DELETE", { erase: true })).status, 200);
      assert.equal((await connect(there)).status, 201);
      control.clear_requests();
      for (const person of [here, there]) {
        assert.equal((await sync(person, { full: true })).body.status, "complete");
      }
      const { body } = await sync(there, { full: true });
      const { count } = control.requests({ user: here.host.uri });
      assert.equal(count, 3 * body.requests, "all count against the limit of this Calendly user");

      assert.equal((await call(there, "calendly-connect/webhooks", "POST")).status, 201);
      const { event } = control.book({ user: here.host.uri, location: "physical" });
      const sent = await control.deliver("due");
      assert.deepEqual(sent.map(({ attempts }) => attempts.at(-1)!.status), [200, 200]);
      assert.deepEqual(
        [await stored(first.stack, event.uri), await stored(second, event.uri)],
        [1, 1],
      );

      assert.equal((await call(there, "calendly-connect", "DELETE", { erase: true })).status, 200);
      const connection = await call(here, "calendly-connect", "GET");
      assert.deepEqual([connection.body.state, connection.body.webhooks.state], [
        "active",
        "active",
      ]);
      assert.equal((await sync(here)).body.status, "complete");
      assert.equal(await stored(second, event.uri), 0);
    });
  },
});

const connect = (member: Member) =>
  call(member, "calendly-connect", "POST", { token: member.token, sync: false });
const sync = (member: Member, body = {}) => call(member, "calendly-sync", "POST", body);

/** A call of a function as a signed-in person. */
function call(
  { cell, account }: Member,
  path: string,
  method: string,
  body?: Record<string, unknown>,
): Promise<Answer> {
  const headers = {
    apikey: cell.publishableKey,
    authorization: `Bearer ${account.access_token}`,
  };
  return request(cell, path, method, headers, body);
}

async function request(
  cell: Stack,
  path: string,
  method: string,
  headers: Record<string, string>,
  body?: Record<string, unknown>,
): Promise<Answer> {
  const response = await fetch(`${cell.url}/functions/v1/${path}`, {
    method,
    headers: { ...headers, "content-type": "application/json" },
    body: body && JSON.stringify(body),
  });
  return { status: response.status, body: await response.json() };
}

/** How many rows a cell has of an event. */
async function stored(cell: Stack, eventUri: string): Promise<number> {
  const rows = await cell.sql(
    "select id from public.calendly_meetings where calendly_event_uri = $1",
    [eventUri],
  );
  return rows.length;
}
