/** What the sandbox's panel computes: words, faults in force, and forms from the schemas of the verbs. */
import assert from "node:assert/strict";
import { createSandbox, type Sandbox } from "../../sandbox/mod.ts";
import { describeVerbs, type Verb } from "../../sandbox/verbs.ts";
import { argumentOf, complaints, fieldsOf, type JsonSchema } from "../../web/sandbox/schema.ts";
import {
  aheadWords,
  countFaults,
  exampleInvitee,
  FAULTS,
  isActive,
  merge,
  namesOf,
  sortBookings,
  waitingOf,
} from "../../web/sandbox/words.ts";

const NOW = "2026-03-02T10:00:00.000000Z";

function newSandbox(): Sandbox {
  return createSandbox({ now: NOW });
}

function fieldsOfVerb(verb: Verb) {
  return fieldsOf(describeVerbs()[verb].arguments as JsonSchema);
}

Deno.test("each fault is in force once its rules are taken, for this host alone", () => {
  for (const fault of FAULTS) {
    const { control, demo } = newSandbox();
    const user = demo.user.uri;
    assert.equal(isActive(fault, control.overview(), user), false, fault.id);
    if (fault.webhooks) control.webhook_fault(fault.webhooks);
    else control.faults(fault.rules!(user));
    const overview = control.overview();
    assert.deepEqual(
      FAULTS.filter((one) => isActive(one, overview, user)).map(({ id }) => id),
      [fault.id],
    );
    assert.equal(countFaults(overview), 1);
    if (fault.rules) assert.equal(isActive(fault, overview, "another"), false);
    control.clear_faults();
    assert.equal(countFaults(control.overview()), 0);
  }
});

Deno.test("bookings to come and past ones are told apart by the sandbox's clock", () => {
  const { control } = newSandbox();
  control.book({ start_time: "2026-03-03T10:00:00Z", invitee: { name: "Ines" } });
  const { event } = control.book({ start_time: "2026-03-04T10:00:00Z", invitee: { name: "Tom" } });
  control.book({ start_time: "2026-03-05T10:00:00Z", invitee: null });
  control.cancel({ event: event.uri });
  const names = () => {
    const { coming, past } = sortBookings(control.overview());
    return { coming: coming.map(namesOf), past: past.map(namesOf) };
  };
  assert.deepEqual(names(), { coming: ["Ines", "nobody"], past: [] });
  control.advance({ by: "2d" });
  assert.deepEqual(names(), { coming: ["nobody"], past: ["Ines"] });
});

Deno.test("names are those of the seats that are taken", () => {
  const invitee = (name: string, status: "active" | "canceled" = "active") => ({
    uri: name,
    name,
    status,
    no_show: false,
  });
  const booking = (...invitees: ReturnType<typeof invitee>[]) => ({
    uri: "",
    name: null,
    start_time: NOW,
    status: "active" as const,
    hosts: [],
    invitees,
  });
  assert.equal(namesOf(booking()), "nobody");
  assert.equal(namesOf(booking(invitee("A"), invitee("B", "canceled"))), "A");
  assert.equal(namesOf(booking(invitee("A"), invitee("B"))), "A and 1 other");
  assert.equal(namesOf(booking(invitee("A"), invitee("B"), invitee("C"))), "A and 2 others");
});

Deno.test("an example invitee is another one each time, with an address that Calendly takes", () => {
  const { control } = newSandbox();
  const invitees = Array.from({ length: 20 }, (_, number) => exampleInvitee(number));
  assert.equal(new Set(invitees.map(({ email }) => email)).size, 20);
  for (const invitee of invitees) {
    assert.match(invitee.email, /^[a-z.0-9]+@example\.com$/);
    control.book({ invitee });
  }
});

Deno.test("how far the clock is ahead is told in hours and days", () => {
  const real = Date.parse(NOW);
  const words = (hours: number) =>
    aheadWords(new Date(real + hours * 3_600_000).toISOString(), real);
  assert.equal(words(0.2), "as real time");
  assert.equal(words(1), "1 hour ahead of real time");
  assert.equal(words(25), "25 hours ahead of real time");
  assert.equal(words(24), "1 day ahead of real time");
  assert.equal(words(-48), "2 days behind real time");
});

Deno.test("requests and webhooks are one list, the latest first", async () => {
  const sandbox = createSandbox({
    now: NOW,
    fetch: () => Promise.resolve(new Response(null, { status: 500 })),
  });
  const { control, demo } = sandbox;
  const ask = (path: string, body?: unknown) =>
    sandbox.fetch(
      new Request(`http://sandbox${path}`, {
        method: body ? "POST" : "GET",
        headers: { authorization: `Bearer ${demo.token}`, "content-type": "application/json" },
        body: body ? JSON.stringify(body) : undefined,
      }),
    );
  await ask("/webhook_subscriptions", {
    url: "http://127.0.0.1:1/hook",
    events: ["invitee.created"],
    organization: demo.organization.uri,
    user: demo.user.uri,
    scope: "user",
  });
  control.advance({ by: "1m" });
  control.webhook_fault({ effect: "lost" });
  control.book({ invitee: { name: "Lost" } });
  control.advance({ by: "1m" });
  control.webhook_fault({ effect: "late" });
  control.book({ invitee: { name: "Late" } });
  control.advance({ by: "1m" });
  control.clear_faults();
  const { event } = control.book({ invitee: { name: "Failed" } });
  await control.deliver([control.deliveries().at(-1)!.id]);
  control.advance({ by: "1m" });
  control.faults({ effect: { kind: "rate_limited" } });
  await ask(new URL(event.uri).pathname);

  const overview = control.overview();
  assert.deepEqual(
    merge(overview).map(({ kind, what, tone, outcome }) => `${kind}: ${what}: ${tone} ${outcome}`),
    [
      "request: GET /scheduled_events/…: warn 429 (fault)",
      "webhook: invitee.created Failed: warn 500, tried again",
      "webhook: invitee.created Late: paused waits",
      "webhook: invitee.created Lost: bad lost",
      "request: POST /webhook_subscriptions: good 201",
    ],
  );
  assert.equal(new Set(merge(overview).map(({ key }) => key)).size, 5);
  assert.deepEqual(waitingOf(overview), [], "the times of both have come");
});

Deno.test("every verb has a form, and what is typed is the verb's argument", () => {
  for (const verb of Object.keys(describeVerbs()) as Verb[]) {
    for (const { name, label, kind, choices } of fieldsOfVerb(verb)) {
      assert.ok(label, `${verb}.${name}`);
      assert.equal(kind === "choice", choices.length > 0, `${verb}.${name}`);
    }
  }
  const kinds = Object.fromEntries(fieldsOfVerb("book").map(({ name, kind }) => [name, kind]));
  assert.deepEqual(kinds, {
    event_type: "text",
    user: "text",
    event: "text",
    start_time: "text",
    end_time: "text",
    invitee: "json",
    location: "text_or_json",
    conference: "choice",
    guests: "json",
    legacy_id: "yes_no",
    touch: "yes_no",
  });
  const argument = argumentOf(fieldsOfVerb("book"), {
    start_time: " 2026-03-05T10:00:00Z ",
    invitee: '{"name": "Ines"}',
    touch: "no",
    user: "",
    location: "zoom",
  });
  assert.deepEqual(argument, {
    start_time: "2026-03-05T10:00:00Z",
    invitee: { name: "Ines" },
    location: "zoom",
    touch: false,
  });
  assert.equal(newSandbox().control.book(argument).invitee.name, "Ines");
  assert.deepEqual(argumentOf(fieldsOfVerb("advance"), { by: "90s" }), { by: "90s" });
  assert.deepEqual(argumentOf(fieldsOfVerb("deliver"), { which: '["a"]' }), { which: ["a"] });
  assert.deepEqual(argumentOf(fieldsOfVerb("populate"), { events: "3" }), { events: 3 });
  assert.throws(() => argumentOf(fieldsOfVerb("book"), { invitee: "Ines" }), /invitee: .*not JSON/);
});

Deno.test("a refusal is shown at the fields that it is about", () => {
  const { control } = newSandbox();
  const refusal = (verb: Verb, argument: Record<string, unknown>) => {
    try {
      control.run(verb, argument);
    } catch (error) {
      return complaints(fieldsOfVerb(verb), (error as Error).message);
    }
    return assert.fail("it was not refused");
  };
  const found = refusal("book", { start_time: "tomorrow", guests: ["nobody"] });
  assert.deepEqual(Object.keys(found), ["start_time", "guests"]);
  assert.match(found.start_time, /^must be an ISO 8601 time/);
  assert.match(found.guests, /^must be an e-mail address/);
  assert.deepEqual(refusal("cancel", { event: "nowhere" }), {});
});
