/** The function dies, Postgres dies, at any point of a delivery: Calendly retries, and the row is there once. */
import assert from "node:assert/strict";
import fc from "fast-check";
import postgres from "postgres";
import { type Person, until } from "../functions/support.ts";
import { asDelivered, type Hooks, hookTest, silence } from "./support.ts";

const ROUNDS = Deno.env.get("PROOF") === "full" ? 20 : 5;
const FUNCTION = "calendly-webhook";

/** Milliseconds after which something happens in each round: a delivery takes some tens. */
function delays(): number[] {
  return fc.sample(fc.nat({ max: 40 }), { numRuns: ROUNDS, seed: 1 });
}

async function pause(ms: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, ms));
}

/** Lets Calendly retry until everything has arrived, and checks that all of it is there, once. */
async function arrives(hooks: Hooks, person: Person): Promise<void> {
  const pending = () => hooks.control.deliveries().filter(({ state }) => state === "pending");
  for (let retry = 0; pending().length > 0; retry++) {
    assert.ok(retry < 20, "Calendly would go on for a day, but this is enough");
    await hooks.project.advance("1h");
    await hooks.deliver();
  }
  const { scheduled_events } = hooks.project.sandbox.truth();
  assert.deepEqual(
    (await person.meetings()).map(({ raw }) => raw).sort(byUri),
    scheduled_events.map(({ event }) => asDelivered(event)).sort(byUri),
  );
  assert.deepEqual(
    (await person.invitees()).map(({ raw }) => raw).sort(byUri),
    scheduled_events.flatMap(({ invitees }) => invitees).sort(byUri),
  );
  const events = await hooks.events();
  assert.equal(events.length, hooks.control.deliveries().length);
  assert.ok(events.every(({ status, attempts }) => status === "processed" && attempts === 1));
}

function byUri(a: { uri: string }, b: { uri: string }): number {
  return a.uri < b.uri ? -1 : 1;
}

function book(hooks: Hooks, person: Person) {
  return hooks.control.book({ user: person.host.uri, location: "physical" });
}

hookTest("the function dies before its call", async (hooks) => {
  const person = await hooks.person();
  book(hooks, person);
  const held = hooks.project.wire.hold("calendly_receive_webhook");
  const delivering = hooks.deliver();
  await held.arrived;
  await hooks.project.stack.functions.kill(FUNCTION);
  assert.deepEqual(await delivering, [500]);
  held.release();
  await arrives(hooks, person);
});

hookTest("the function dies after its call", async (hooks) => {
  const person = await hooks.person();
  book(hooks, person);
  const applied = Promise.withResolvers<void>();
  const killed = Promise.withResolvers<void>();
  hooks.project.wire.next("calendly_receive_webhook", async (forward) => {
    const answer = await forward();
    applied.resolve();
    await killed.promise;
    return answer;
  });
  const delivering = hooks.deliver();
  await applied.promise;
  await hooks.project.stack.functions.kill(FUNCTION);
  killed.resolve();
  assert.deepEqual(await delivering, [500]);
  assert.equal((await person.meetings()).length, 1);
  await arrives(hooks, person);
});

hookTest("the function dies at any moment", async (hooks) => {
  const person = await hooks.person();
  let deaths = 0;
  for (const delay of delays()) {
    const { invitee } = book(hooks, person);
    if (delay % 2) hooks.control.reschedule({ invitee: invitee.uri, by: "invitee" });
    await hooks.project.stack.functions.warm();
    const delivering = hooks.deliver();
    await pause(delay);
    await hooks.project.stack.functions.kill(FUNCTION);
    deaths += (await delivering).filter((status) => status !== 200).length;
  }
  assert.ok(deaths > 0, "some deliveries were cut off");
  await arrives(hooks, person);
});

// The Data API tells of every connection that it loses, after a test's end, too.
silence();

/** Another connection to the server, that may end those of the project's database. */
async function withServer(
  hooks: Hooks,
  work: (server: postgres.Sql, database: string) => Promise<void>,
): Promise<void> {
  const url = new URL(hooks.project.stack.databaseUrl);
  const database = url.pathname.slice(1);
  url.pathname = "/postgres";
  const server = postgres(url.href, { max: 2, onnotice: () => {} });
  try {
    await work(server, database);
  } finally {
    await server.end();
  }
}

async function endConnections(server: postgres.Sql, database: string): Promise<void> {
  await server`
    select pg_terminate_backend(pid, 5000) from pg_stat_activity
    where datname = ${database} and backend_type = 'client backend'`;
}

hookTest("Postgres ends the connection in the middle of a delivery", async (hooks) => {
  const person = await hooks.person();
  const { event } = book(hooks, person);
  const holder = postgres(hooks.project.stack.databaseUrl, { max: 1, onnotice: () => {} });
  await withServer(hooks, async (server, database) => {
    // stored, not yet applied: it waits for the event
    const holding = await holder.reserve();
    await holding`select pg_advisory_lock(hashtextextended(${event.uri}, 0))`;
    const delivering = hooks.deliver();
    const waiting = () =>
      server<{ pid: number }[]>`
      select pid from pg_stat_activity where datname = ${database} and wait_event = 'advisory'`;
    await until(async () => (await waiting()).length === 1);
    const [{ pid }] = await waiting();
    await server`select pg_terminate_backend(${pid})`;
    assert.deepEqual(await delivering, [503]);
    assert.deepEqual(await hooks.events(), []);
    await holding`select pg_advisory_unlock_all()`;
    holding.release();
  });
  await holder.end();
  await arrives(hooks, person);
}, { on: "real" });

hookTest("Postgres goes down in the middle of deliveries and comes up again", async (hooks) => {
  const person = await hooks.person();
  await withServer(hooks, async (server, database) => {
    for (let delivery = 0; delivery < 10; delivery++) book(hooks, person);
    const sixth = hooks.project.wire.hold("calendly_receive_webhook", 5);
    const delivering = hooks.deliver();
    await sixth.arrived;
    await until(async () => (await hooks.events()).length >= 5);
    // what its clients see of a server that shuts down: they are cut off, and nobody gets in
    await server.unsafe(`alter database ${database} allow_connections false`);
    await endConnections(server, database);
    sixth.release();
    const statuses = await delivering;
    await server.unsafe(`alter database ${database} allow_connections true`);
    assert.ok(statuses.includes(200) && statuses.includes(503), statuses.join());
    assert.ok(statuses.every((status) => status === 200 || status === 503), statuses.join());
    // a connection that was idle may learn of it by the next query only
    await until(() => hooks.events().then(() => true, () => false));
  });
  await arrives(hooks, person);
}, { on: "real" });

hookTest("Postgres ends all connections at any moment", async (hooks) => {
  const person = await hooks.person();
  await withServer(hooks, async (server, database) => {
    for (const delay of delays()) {
      const { invitee } = book(hooks, person);
      if (delay % 2) hooks.control.reschedule({ invitee: invitee.uri, by: "invitee" });
      const delivering = hooks.deliver();
      await pause(delay);
      await endConnections(server, database);
      for (const status of await delivering) {
        assert.ok(status === 200 || status === 503, `${status}`);
      }
    }
    await until(() => hooks.events().then(() => true, () => false)); // As above.
  });
  await arrives(hooks, person);
}, { on: "real" });
