/** Who may ask for what, and how often. */
import assert from "node:assert/strict";
import { MISSING_OPERATIONS } from "../../sandbox/api/missing.ts";
import { ROUTES } from "../../sandbox/api/routes.ts";
import { Client, colleague, pathOf, pinned, stranger } from "./support.ts";

Deno.test("a request without a good token is 401, and says whether it is invalid, expired or revoked", async () => {
  const sandbox = pinned();
  const { control } = sandbox;
  const expiring = control.create_token({ expires_at: "2026-03-02T11:00:00Z" }).token;
  const revoked = control.create_token().token;
  control.revoke_token({ token: revoked });
  assert.equal((await new Client(sandbox, expiring).get("/users/me")).status, 200);
  control.advance({ by: "1h" });
  for (
    const [token, message] of [
      [null, "The access token is invalid"],
      ["nonsense", "The access token is invalid"],
      [expiring, "The access token expired"],
      [revoked, "The access token was revoked"],
    ] as const
  ) {
    const { status, body } = await new Client(sandbox, token).get("/users/me");
    assert.deepEqual([status, body], [401, { title: "Unauthenticated", message }]);
  }
});

Deno.test("a token without the scope gets 403 with the scopes it lacks; write includes read", async () => {
  const sandbox = pinned();
  const event = sandbox.control.book().event;
  const reader = new Client(
    sandbox,
    sandbox.control.create_token({ scopes: ["users:read", "scheduled_events:read"] }).token,
  );
  const refused = await reader.post(`${pathOf(event.uri)}/cancellation`, {});
  assert.deepEqual([refused.status, refused.body], [403, {
    title: "Insufficient scope",
    required_scopes: ["scheduled_events:write"],
  }]);
  const writer = new Client(
    sandbox,
    sandbox.control.create_token({ scopes: ["scheduled_events:write"] }).token,
  );
  assert.equal((await writer.get(pathOf(event.uri))).status, 200);
  assert.equal((await writer.get("/users/me")).status, 403);
  const newToken = new Client(sandbox, sandbox.control.create_token({ scopes: [] }).token);
  assert.equal((await newToken.get("/users/me")).status, 403);
});

Deno.test("a user alone may list only themselves; the organization is for owners and admins", async () => {
  const sandbox = pinned();
  const demo = new Client(sandbox);
  const member = colleague(sandbox);
  const other = stranger(sandbox);
  const { organization, user } = sandbox.demo;
  const refusal = async (client: Client, query: Record<string, string>) => {
    const { status, body } = await client.get("/scheduled_events", query);
    return [status, body.message];
  };
  assert.equal((await demo.events()).status, 200);
  assert.equal(
    (await demo.get("/scheduled_events", { organization: organization.uri })).status,
    200,
  );
  assert.equal(
    (await demo.get("/scheduled_events", {
      organization: organization.uri,
      user: member.user.uri,
    })).status,
    200,
  );
  assert.deepEqual(await refusal(demo, { user: member.user.uri }), [
    403,
    "Please also specify organization when requesting events for a user within your organization.",
  ]);
  assert.deepEqual(
    await refusal(demo, { organization: organization.uri, user: other.user.uri }),
    [403, "This user is not in your organization"],
  );
  assert.deepEqual(await refusal(member.client, { organization: organization.uri }), [
    403,
    "You do not have permission",
  ]);
  assert.deepEqual(await refusal(other.client, { organization: organization.uri }), [
    403,
    "You do not have permission to access this resource.",
  ]);
  assert.deepEqual((await demo.get("/scheduled_events")).status, 400);
  assert.deepEqual((await demo.get("/scheduled_events", { user: user.email })).status, 400);
});

Deno.test("an event is seen by its hosts and by the owners and admins of its organization", async () => {
  const sandbox = pinned();
  const member = colleague(sandbox);
  const admin = colleague(sandbox, "admin", "admin@example.com");
  const other = stranger(sandbox);
  const { event, invitee } = sandbox.control.book();
  for (const path of [pathOf(event.uri), `${pathOf(event.uri)}/invitees`, pathOf(invitee.uri)]) {
    assert.equal((await new Client(sandbox).get(path)).status, 200);
    assert.equal((await admin.client.get(path)).status, 200);
    assert.equal((await other.client.get(path)).status, 403);
    const { status, body } = await member.client.get(path);
    assert.deepEqual([status, body.message], [403, "You are not allowed to view this event"]);
  }
  assert.equal((await other.client.get("/scheduled_events/unknown")).status, 404);
});

Deno.test("users and organizations are seen from within the organization only", async () => {
  const sandbox = pinned();
  const { organization, user } = sandbox.demo;
  const member = colleague(sandbox);
  const other = stranger(sandbox);
  assert.equal((await member.client.get(pathOf(user.uri))).body.resource.email, user.email);
  assert.equal((await other.client.get(pathOf(user.uri))).status, 403);
  assert.equal((await member.client.get(pathOf(organization.uri))).body.resource.plan, "teams");
  assert.equal((await other.client.get(pathOf(organization.uri))).status, 403);
  const query = { organization: organization.uri };
  const listed = await member.client.get("/organization_memberships", query);
  assert.deepEqual(
    listed.body.collection.map((row: { role: string; user: { email: string } }) => [
      row.role,
      row.user.email,
    ]),
    [["owner", user.email], ["user", member.user.email]],
  );
  assert.equal((await other.client.get("/organization_memberships", query)).status, 403);
});

Deno.test("who leaves an organization is gone from it, and still lists events of then by user", async () => {
  const sandbox = pinned();
  const member = colleague(sandbox);
  const { event } = sandbox.control.book({ user: member.user.uri });
  sandbox.control.leave({ user: member.user.uri });
  const memberships = await new Client(sandbox).get("/organization_memberships", {
    organization: sandbox.demo.organization.uri,
  });
  assert.equal(memberships.body.collection.length, 1);
  const me = (await member.client.get("/users/me")).body.resource;
  assert.notEqual(me.current_organization, sandbox.demo.organization.uri);
  const own = await member.client.get("/scheduled_events", { user: member.user.uri });
  assert.deepEqual(own.body.collection.map((row: { uri: string }) => row.uri), [event.uri]);
  const { uri: organization } = sandbox.demo.organization;
  sandbox.control.join({ user: member.user.uri, organization, role: "admin" });
  assert.equal((await member.client.get("/scheduled_events", { organization })).status, 200);
});

Deno.test("a group's admin lists the events of the group's members", async () => {
  const sandbox = pinned();
  const lead = colleague(sandbox, "user", "lead@example.com");
  const member = colleague(sandbox);
  const group = sandbox.control.create_group({
    members: [lead.user.uri, member.user.uri],
    admins: [lead.user.uri],
  });
  sandbox.control.book();
  const { event } = sandbox.control.book({ user: member.user.uri });
  const listed = await lead.client.get("/scheduled_events", { group: group.uri });
  assert.deepEqual(listed.body.collection.map((row: { uri: string }) => row.uri), [event.uri]);
  assert.equal((await lead.client.get(pathOf(event.uri))).status, 200);
  assert.equal((await member.client.get("/scheduled_events", { group: group.uri })).status, 403);
});

Deno.test("the rate limit is counted per user over all tokens, told in headers, and ends in a minute", async () => {
  const sandbox = pinned();
  const first = new Client(sandbox);
  const second = new Client(sandbox, sandbox.control.create_token().token);
  const limits = ({ headers }: { headers: Headers }) =>
    ["limit", "remaining", "reset"].map((name) => headers.get(`x-ratelimit-${name}`));
  sandbox.control.set_rate_limit({ limit: 3 });
  assert.deepEqual(limits(await first.get("/users/me")), ["3", "2", "60"]);
  sandbox.clock.advance("20s");
  assert.deepEqual(limits(await second.get("/users/me")), ["3", "1", "40"]);
  assert.deepEqual(limits(await second.get("/nowhere")), ["3", "0", "40"]);
  const refused = await first.get("/users/me");
  assert.deepEqual([refused.status, ...limits(refused)], [429, "3", "0", "40"]);
  assert.equal(refused.headers.get("retry-after"), null);
  const other = colleague(sandbox);
  assert.equal((await other.client.get("/users/me")).status, 200);
  sandbox.clock.advance("40s");
  assert.deepEqual(limits(await first.get("/users/me")), ["3", "2", "60"]);
});

Deno.test("paid plans have 500 requests a minute, free ones 50, and the limit can be lifted", async () => {
  const sandbox = pinned();
  const client = new Client(sandbox);
  const limit = async () => (await client.get("/users/me")).headers.get("x-ratelimit-limit");
  assert.equal(await limit(), "500");
  sandbox.control.set_plan({ organization: sandbox.demo.organization.uri, stage: "free" });
  assert.equal(await limit(), "50");
  sandbox.control.set_rate_limit({ limit: null });
  for (let i = 0; i < 600; i++) assert.equal((await client.get("/users/me")).status, 200);
});

Deno.test("every answer carries the virtual clock's date", async () => {
  const sandbox = pinned();
  sandbox.clock.set("2030-01-02T03:04:05.999999Z");
  const { headers } = await new Client(sandbox).get("/users/me");
  assert.equal(headers.get("date"), "Wed, 02 Jan 2030 03:04:05 GMT");
});

Deno.test("an operation that the sandbox does not have answers 501 and says so", async () => {
  const sandbox = pinned();
  sandbox.control.set_rate_limit({ limit: null });
  const client = new Client(sandbox);
  for (const [method, path] of MISSING_OPERATIONS) {
    const { status, body } = await client.send(method, path.replace(/:\w+/g, "00000000"));
    assert.equal(status, 501, `${method} ${path}`);
    assert.match(body.message, new RegExp(`sandbox has no ${method} ${path.split("/:")[0]}`));
  }
  assert.equal((await client.get("/nowhere")).status, 404, "Calendly has no such thing either");
  assert.equal((await client.get("/scheduled_events/none")).status, 404, "a row that is missing");
  assert.equal((await new Client(sandbox, null).post("/invitees", {})).status, 401);
});

Deno.test("no operation is both simulated and missing", () => {
  const names = (operations: readonly (readonly unknown[])[]) =>
    operations.map(([method, path]) => `${method} ${String(path).replace(/:\w+/g, "*")}`);
  const simulated = names(ROUTES);
  assert.deepEqual(names(MISSING_OPERATIONS).filter((name) => simulated.includes(name)), []);
});
