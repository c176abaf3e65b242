/** The state of a sandbox: kept as JSON, gone on from, and left alone by what is refused. */
import assert from "node:assert/strict";
import * as fc from "fast-check";
import {
  createSandbox,
  loadSandbox,
  type Sandbox,
  SandboxError,
  type SavedState,
} from "../../sandbox/mod.ts";
import { type Verb, VERBS } from "../../sandbox/verbs.ts";
import { Client, NOW, oauthToken, pathOf } from "./support.ts";

/** Receives webhooks, and refuses every third one. */
class Receiver {
  received: string[] = [];

  readonly fetch: typeof fetch = (_url, init) => {
    this.received.push(String(init?.body));
    return Promise.resolve(new Response(null, { status: this.received.length % 3 ? 200 : 503 }));
  };
}

interface Place {
  sandbox: Sandbox;
  receiver: Receiver;
}

function newPlace(seed: number): Place {
  const receiver = new Receiver();
  const sandbox = createSandbox({ now: NOW, seed, events: 12, fetch: receiver.fetch });
  return { sandbox, receiver };
}

/** The same state, by way of the text of a file, with a receiver that has received as much. */
function reloaded({ sandbox, receiver }: Place): Place {
  const other = new Receiver();
  other.received = [...receiver.received];
  const text = JSON.stringify(sandbox.save());
  return { sandbox: loadSandbox(JSON.parse(text), { fetch: other.fetch }), receiver: other };
}

const pick = <T>(items: T[], n: number): T => items[n % items.length];

/** What a test does; `n` chooses among what there is. */
const STEPS: Record<string, (place: Place, n: number) => unknown> = {
  book: ({ sandbox }, n) =>
    sandbox.control.book({
      location: pick(["zoom", "physical", "google_conference", null], n),
      legacy_id: n % 2 === 0,
    }),
  book_a_seat({ sandbox }) {
    const group = sandbox.truth().scheduled_events.find(({ event }) =>
      event.invitees_counter.limit > 1 && event.status === "active"
    );
    return group && sandbox.control.book({ event: group.event.uri });
  },
  cancel: ({ sandbox }, n) => sandbox.control.cancel({ event: anEvent(sandbox, n) }),
  reschedule: ({ sandbox }, n) => sandbox.control.reschedule({ event: anEvent(sandbox, n) }),
  mark: ({ sandbox }, n) => sandbox.control.mark_no_show({ invitee: anInvitee(sandbox, n) }),
  undo: ({ sandbox }, n) => sandbox.control.undo_no_show({ invitee: anInvitee(sandbox, n) }),
  erase: ({ sandbox }, n) => sandbox.control.erase_invitee({ invitee: anInvitee(sandbox, n) }),
  override: ({ sandbox }, n) =>
    sandbox.control.override({
      uri: anEvent(sandbox, n),
      fields: { name: n, location: undefined },
    }),
  advance: ({ sandbox }, n) => sandbox.control.advance({ by: n * 3 }),
  limit: ({ sandbox }, n) => sandbox.control.set_rate_limit({ limit: pick([1, 5, null], n) }),
  fault: ({ sandbox }, n) =>
    sandbox.control.faults({
      path: "/scheduled_events",
      skip: n % 2,
      times: pick([1, 2, null], n),
      effect: pick([{ kind: "expired_page_token" }, { kind: "status", status: 503 }], n),
    }),
  async subscribe({ sandbox }, n) {
    const { organization, user } = sandbox.demo;
    return await asked(new Client(sandbox), "POST", "/webhook_subscriptions", {
      url: `http://127.0.0.1:1/${n % 3}`,
      events: ["invitee.created", "invitee.canceled"],
      organization: organization.uri,
      user: user.uri,
      scope: pick(["user", "organization"], n),
      signing_key: pick([undefined, "a key"], n),
    });
  },
  deliver: ({ sandbox }, n) =>
    sandbox.control.deliver(pick(["due", "all"], n), { order: pick(["created", "shuffled"], n) }),
  async list({ sandbox }, n) {
    const client = new Client(sandbox);
    const query = `user=${sandbox.demo.user.uri}&count=${1 + n % 5}`;
    const first = await asked(client, "GET", `/scheduled_events?${query}`);
    const token = first.body.pagination?.next_page_token;
    if (!token) return first;
    return [first, await asked(client, "GET", `/scheduled_events?${query}&page_token=${token}`)];
  },
  async app({ sandbox }) {
    const token = await oauthToken(sandbox, "users:read");
    return [token, await asked(new Client(sandbox, token), "GET", "/users/me")];
  },
  token: ({ sandbox }) => sandbox.control.create_token({ expires_at: "2026-03-02T10:05:00Z" }),
  user: ({ sandbox }, n) => sandbox.control.create_user({ email: `person.${n}@example.com` }),
  requests: ({ sandbox }) => sandbox.control.requests(),
};

function anEvent(sandbox: Sandbox, n: number): string {
  return pick(sandbox.truth().scheduled_events, n).event.uri;
}

function anInvitee(sandbox: Sandbox, n: number): string {
  const { invitees, event } = pick(sandbox.truth().scheduled_events, n);
  return invitees[0]?.uri ?? event.uri;
}

async function asked(client: Client, method: string, path: string, body?: unknown) {
  const answer = await client.send(
    method,
    path,
    body === undefined ? undefined : JSON.stringify(body),
  );
  const headers = Object.fromEntries(answer.headers);
  delete headers["x-request-id"]; // Random, and no part of the state.
  return { ...answer, headers };
}

type Step = [name: string, n: number];

/** What comes of each step, a refusal too. */
async function take(place: Place, steps: Step[]): Promise<unknown[]> {
  const outcomes = [];
  for (const [name, n] of steps) {
    try {
      outcomes.push(await STEPS[name](place, n));
    } catch (error) {
      if (!(error instanceof SandboxError)) throw error;
      outcomes.push({ refused: error.code });
    }
  }
  return outcomes;
}

Deno.test("a sandbox that was saved and loaded goes on as if it had not been", async () => {
  const steps = fc.array(fc.tuple(fc.constantFrom(...Object.keys(STEPS)), fc.nat(40)), {
    minLength: 5,
    maxLength: 40,
  });
  await fc.assert(
    fc.asyncProperty(fc.nat(1000), steps, steps, async (seed, before, after) => {
      const kept = newPlace(seed);
      await take(kept, before);
      const loaded = reloaded(kept);
      assert.deepEqual(loaded.sandbox.save(), kept.sandbox.save(), "as it was saved");
      assert.deepEqual(json(await take(loaded, after)), json(await take(kept, after)));
      assert.deepEqual(json(loaded.sandbox.truth()), json(kept.sandbox.truth()));
      assert.deepEqual(loaded.sandbox.save(), kept.sandbox.save(), "as it went on");
      assert.deepEqual(loaded.receiver.received, kept.receiver.received);
    }),
    { numRuns: 40, seed: 1 },
  );
});

function json(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value));
}

Deno.test("what happens to a sandbox after it was saved is not in the state", () => {
  const { sandbox } = newPlace(1);
  const state = sandbox.save();
  const text = JSON.stringify(state);
  sandbox.control.populate({ events: 20 });
  sandbox.control.cancel({ event: anEvent(sandbox, 3) });
  assert.equal(JSON.stringify(state), text);
  const loaded = loadSandbox(state);
  loaded.control.book();
  assert.equal(JSON.stringify(state), text);
});

Deno.test("with a running clock, what is due when a state is loaded is sent at once", async () => {
  const receiver = new Receiver();
  const sandbox = createSandbox({
    fetch: () => Promise.resolve(new Response(null, { status: 503 })),
  });
  try {
    sandbox.clock.advance("-1h");
    await STEPS.subscribe({ sandbox, receiver }, 0);
    sandbox.control.book();
    await sandbox.control.settled();
  } finally {
    sandbox.close();
  }
  const state = sandbox.save();
  // As if an hour had passed: the retry is overdue.
  const later = { ...state.clock, ahead: "0" } as SavedState["clock"];
  const loaded = loadSandbox({ ...state, clock: later }, { fetch: receiver.fetch });
  try {
    await loaded.control.settled();
    assert.equal(receiver.received.length, 1);
    assert.equal(loaded.control.deliveries()[0].state, "delivered");
  } finally {
    loaded.close();
  }
});

Deno.test("what is no state is refused", () => {
  const state = newPlace(1).sandbox.save();
  for (
    const wrong of [
      null,
      "state",
      {},
      { ...state, calendly_sandbox: 2 },
      { ...state, clock: { pinned: true, now: "noon" } },
      { ...state, more: 1 },
      { ...state, world: { ...state.world, users: [{}] } },
      { ...state, world: { ...state.world, users: [] } },
      { ...state, tokens: { ...state.tokens, apps: [] } },
    ]
  ) {
    assert.throws(() => loadSandbox(wrong), { code: "bad_state" }, JSON.stringify(wrong));
  }
});

/** For each verb an argument that works; what is made of it below is wrong in some way. */
function rightArguments(sandbox: Sandbox): Record<Verb, Record<string, unknown>> {
  const { organization, user } = sandbox.demo;
  const event_type = sandbox.control.create_event_type({ kind: "group", seats: 2 }).uri;
  const { event, invitee } = sandbox.control.book({ location: "zoom" });
  const other = sandbox.control.create_user({
    email: "other@example.com",
    organization: organization.uri,
  });
  const marked = sandbox.control.book().invitee;
  sandbox.control.mark_no_show({ invitee: marked.uri });
  const start_time = "2026-05-02T10:00:00Z";
  const end_time = "2026-05-02T11:00:00Z";
  return {
    create_organization: { name: "Other", plan: "basic", stage: "free" },
    create_user: {
      name: "New",
      email: "new@example.com",
      organization: organization.uri,
      role: "admin",
      timezone: "Europe/Madrid",
      locale: "es",
    },
    create_token: { user: user.uri, token: "abc", scopes: ["users:read"], expires_at: end_time },
    revoke_token: { token: sandbox.control.create_token().token },
    create_app: {
      client_id: "id",
      client_secret: "secret",
      kind: "web",
      name: "App",
      redirect_uris: ["http://127.0.0.1/"],
      signing_key: "key",
    },
    create_group: {
      name: "Group",
      organization: organization.uri,
      members: [user.uri],
      admins: [other.uri],
    },
    create_event_type: {
      user: user.uri,
      hosts: [other.uri],
      name: "Panel",
      kind: "group",
      pooling_type: "collective",
      duration: 15,
      seats: 2,
      locations: ["zoom"],
      custom_questions: [],
      buffer_minutes: 5,
      active: true,
    },
    join: { user: other.uri, organization: organization.uri, role: "admin" },
    leave: { user: other.uri },
    set_plan: { organization: organization.uri, plan: "teams", stage: "trial" },
    populate: {
      user: user.uri,
      events: 3,
      from: start_time,
      to: end_time,
      variety: "plain",
      with_invitees: 1,
    },
    book: {
      event_type,
      user: user.uri,
      start_time,
      end_time,
      invitee: { name: "Ana", email: "ana@example.com", tracking: { utm_term: "x" } },
      location: "zoom",
      conference: "pushed",
      guests: ["guest@example.com"],
      legacy_id: true,
      touch: false,
    },
    cancel: { invitee: invitee.uri, by: "host", reason: "Ill", touch: false, event_lags: true },
    reschedule: { invitee: invitee.uri, start_time, by: "host", reason: "Ill", user: other.uri },
    mark_no_show: { invitee: invitee.uri },
    undo_no_show: { invitee: marked.uri },
    reassign_host: { event: event.uri, to: other.uri, from: user.uri, touch: false },
    edit: {
      event: event.uri,
      set: { name: "New", start_time, end_time },
      guests: ["guest@example.com"],
      conference: "pushed",
      touch: false,
    },
    erase_event: { event: event.uri },
    erase_invitee: { invitee: invitee.uri },
    override: { uri: event.uri, fields: { name: 1 } },
    advance: { by: "1m" },
    set_clock: { now: start_time },
    set_rate_limit: { user: user.uri, limit: 5 },
    faults: { rules: [{ path: "/**", skip: 1, times: 2, effect: { kind: "slow", ms: 1 } }] },
    clear_faults: {},
    webhook_fault: { effect: "late", delay: "5m" },
    overview: { user: user.uri },
    requests: { method: "GET", path: "/users/me", status: 200, user: user.uri },
    clear_requests: {},
    deliveries: {},
    deliver: { which: "due", order: "created", duplicate: 1, drop: true, resign: true },
  };
}

/** Values that are wrong nearly everywhere. Where one is right, the verb may act. */
const STRANGE: unknown[] = [
  null,
  -1,
  0.5,
  NaN,
  1e300,
  "",
  "nowhere",
  "2026-02-30T10:00:00Z",
  "9999-12-31T23:59:59Z",
  "https://api.calendly.com/users/00000000-0000-4000-8000-000000000000",
  true,
  [],
  ["nowhere"],
  [null],
  {},
  { kind: "flood" },
  { uri: 1 },
  { start_time: "9999-12-31T23:59:59Z" },
];

Deno.test("every verb works with the right argument", async () => {
  for (const verb of Object.keys(VERBS) as Verb[]) {
    const { sandbox } = newPlace(1);
    await sandbox.control.run(verb, rightArguments(sandbox)[verb]);
  }
});

Deno.test("an argument that a verb refuses changes nothing", async () => {
  let refused = 0;
  for (const verb of Object.keys(VERBS) as Verb[]) {
    let { sandbox } = newPlace(1);
    let right = rightArguments(sandbox)[verb];
    for (const field of [...Object.keys(VERBS[verb].shape), "surplus"]) {
      for (const value of [...STRANGE, undefined]) {
        const input = structuredClone({ ...right, [field]: value });
        const before = sandbox.save();
        try {
          await sandbox.control.run(verb, input);
          ({ sandbox } = newPlace(1)); // The value was right, and the verb has acted.
          right = rightArguments(sandbox)[verb];
        } catch (error) {
          assert.ok(error instanceof SandboxError, `${verb} ${JSON.stringify(input)}: ${error}`);
          assert.deepEqual(sandbox.save(), before, `${verb} ${JSON.stringify(input)}`);
          refused += 1;
        }
      }
    }
  }
  assert.ok(refused > 1000, `only ${refused} were refused`);
});

Deno.test("a page token that has expired stays so in a loaded sandbox", async () => {
  const { sandbox } = newPlace(1);
  const page = async (place: Sandbox, token: string) =>
    (await new Client(place).events({ count: "1", page_token: token })).status;
  const { next_page_token } = (await new Client(sandbox).events({ count: "1" })).body.pagination;
  sandbox.control.faults({ effect: { kind: "expired_page_token" } });
  assert.equal(await page(sandbox, next_page_token), 400);
  assert.equal(await page(loadSandbox(sandbox.save()), next_page_token), 400);
});

Deno.test("a state over HTTP is the one that is saved", async () => {
  const { sandbox } = newPlace(1);
  const answer = await sandbox.fetch(new Request("http://x/_sandbox/save"));
  const loaded = loadSandbox(await answer.json());
  assert.deepEqual(loaded.save(), sandbox.save());
  const { uri } = loaded.control.book().event;
  assert.equal((await new Client(loaded).get(pathOf(uri))).status, 200);
});
