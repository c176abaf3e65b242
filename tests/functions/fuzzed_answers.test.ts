/**
 * Calendly's answers as they may be one day: refusals with details of any shape, rate limits in any unit,
 * pagings that lead nowhere. Whatever comes, a sync ends, asks Calendly a bounded number of times and says
 * why it is not complete, without personal data; once Calendly answers as it should, everything is there.
 */
import assert from "node:assert/strict";
import fc from "fast-check";
import { assertMirrors } from "./mirror.ts";
import { type Answer, day, type Person, type Project, projectTest } from "./support.ts";

const RUNS = Deno.env.get("PROOF") === "full" ? 100 : 4;
const EVENTS = 5;
/** Three pages of two events, and the invitees of five. */
const REQUESTS = 3 + EVENTS;

const CAUSE = "the cause of this refusal";
const PERSONAL = ["jane.doe@fuzz.example", "+1 202 555 0123"];

/** What replaces an answer of Calendly's, or a part of it. */
interface Fault {
  path: "events" | "invitees";
  /** So many requests to the path are answered as they should be before. */
  skip: number;
  times: number;
  headers: Record<string, string>;
  refusal: { status: number; body: unknown } | null;
  pagination: Record<string, unknown> | null;
}

const texts = fc.constantFrom(
  ...["", " ", "is not known", `${CAUSE}.`, "x".repeat(3000), "a\u0000b"],
  ...PERSONAL.map((personal) => `${personal} is not known`),
);
const anything = fc.oneof(texts, fc.constantFrom<unknown>(null, 0, true, [], {}, [[{}]]));
const detail = fc.oneof(
  anything,
  fc.record({ parameter: anything, message: anything, code: anything }, { requiredKeys: [] }),
);
const refusal = fc.record({
  status: fc.constantFrom(400, 401, 403, 404, 409, 422, 429, 500, 503, 520),
  body: fc.oneof(
    fc.constantFrom<unknown>("<html>No</html>", "", [], null),
    fc.record({
      title: anything,
      message: anything,
      details: fc.oneof(anything, detail, fc.array(detail, { maxLength: 8 })),
      required_scopes: fc.array(texts, { maxLength: 2 }),
    }, { requiredKeys: [] }),
  ),
});
const seconds = fc.constantFrom(
  ...["0", "-5", "1", "60", "3600", "31536000", "1e9", "soon", "", "Infinity", "9".repeat(400)],
  ...["1772445630", "1772445630000", "1672445630", "Mon, 02 Mar 2036 10:00:00 GMT"],
);
const counts = fc.constantFrom("0", "1", "-1", "1.5", "500", "1e300", "many", "");
/** A refusal that tells the cause somewhere in its details. */
const refusalWithCause = fc.record({
  status: fc.constantFrom(400, 403, 404, 409, 422),
  body: fc.record({
    title: fc.constant("Invalid Argument"),
    message: anything,
    details: fc.tuple(
      fc.array(detail, { maxLength: 2 }),
      fc.constantFrom<unknown>(CAUSE, { message: CAUSE }, { parameter: "count", message: CAUSE }),
      fc.array(detail, { maxLength: 4 }),
    ).map(([before, cause, after]) => [...before, cause, ...after]),
  }),
});
const headers = fc.record({
  "x-ratelimit-limit": counts,
  "x-ratelimit-remaining": counts,
  "x-ratelimit-reset": seconds,
  "retry-after": seconds,
  date: fc.constantFrom("Mon, 02 Mar 2026 10:00:00 GMT", "Thu, 01 Jan 1970 00:00:00 GMT", "today"),
}, { requiredKeys: [] });
const tokens = fc.constantFrom<unknown>("same", "", null, 7, -1, true, {}, "x".repeat(3000));
const pagination = fc.record({
  count: fc.constantFrom<unknown>(0, -1, 1e9, null, "2"),
  next_page_token: tokens,
  next_page: fc.constantFrom<unknown>(
    ...[null, "", 7, "::", "https://calendly.example/x", "https://calendly.example/?page_token=a"],
  ),
}, { requiredKeys: [] });
const faults: fc.Arbitrary<Fault[]> = fc.array(
  fc.record({
    path: fc.constantFrom("events", "invitees"),
    skip: fc.nat({ max: 3 }),
    times: fc.integer({ min: 1, max: 3 }),
    headers,
    refusal: fc.option(refusal),
    pagination: fc.option(pagination),
  }),
  { minLength: 1, maxLength: 3 },
);

const refusals = fc.record({
  path: fc.constantFrom("events" as const, "invitees" as const),
  skip: fc.nat({ max: 3 }),
  times: fc.constant(10),
  headers: fc.constant({}),
  refusal: refusalWithCause,
  pagination: fc.constant(null),
});

projectTest(
  "whatever Calendly answers, a sync ends, says why and loses nothing",
  async (project) => {
    await project.stack.sql("update calendly.settings set page_size = 2, invitee_batch = 2");
    await project.set("worker_time", "5 seconds");
    await fc.assert(
      fc.asyncProperty(faults, async (struck) => {
        const person = await withMeetings(project);
        {
          using _faults = strike(project, person, struck);
          for (let click = 0; click < 4; click++) {
            await isAnswered(person, await person.sync(), struck.some(hidesPages));
          }
        }
        await isWithoutPersonalData(person);
        await recovers(person);
      }),
      { numRuns: RUNS, seed: 1 },
    );
  },
  { shortenPauses: 100 },
);

projectTest("why Calendly refuses something is told, whatever else it says", async (project) => {
  await project.stack.sql("update calendly.settings set page_size = 2, invitee_batch = 2");
  await fc.assert(
    fc.asyncProperty(refusals, async (refused) => {
      const person = await withMeetings(project);
      const answers = [];
      {
        using _faults = strike(project, person, [refused]);
        for (let click = 0; click < 2; click++) answers.push((await person.sync()).body);
      }
      const told = JSON.stringify([answers, await person.runs(), await person.connection()]);
      assert.ok(told.includes(CAUSE), told);
      await isWithoutPersonalData(person);
      await recovers(person);
    }),
    { numRuns: RUNS, seed: 1 },
  );
}, { shortenPauses: 100 });

async function withMeetings(project: Project): Promise<Person> {
  const person = await project.person({
    events: EVENTS,
    variety: "plain",
    from: day(2, project.now),
    to: day(9, project.now),
  });
  person.requests();
  return person;
}

/** Replaces answers to the person's requests until it is disposed of. */
function strike(project: Project, person: Person, struck: Fault[]): Disposable {
  const left = struck.map((fault) => ({ ...fault }));
  const { fetch } = project.sandbox;
  project.sandbox.fetch = async (request) => {
    const isTheirs = request.headers.get("authorization") === `Bearer ${person.token}`;
    const [, path] = new URL(request.url).pathname.match(/^\/scheduled_events(\/.+)?$/) ?? [""];
    const isListing = path === undefined;
    const fault = isTheirs && path !== ""
      ? left.find((each) => (each.path === "events") === isListing && each.times > 0)
      : undefined;
    if (!fault || fault.skip-- > 0) return await fetch(request);
    fault.times--;
    return await changed(fault, await fetch(request));
  };
  return { [Symbol.dispose]: () => void (project.sandbox.fetch = fetch) };
}

async function changed(fault: Fault, response: Response): Promise<Response> {
  const headers = { ...Object.fromEntries(response.headers), ...fault.headers };
  if (fault.refusal) {
    const { status, body } = fault.refusal;
    await response.body?.cancel();
    return new Response(typeof body === "string" ? body : JSON.stringify(body), {
      status,
      headers,
    });
  }
  const body = await response.json();
  return Response.json({ ...body, pagination: fault.pagination ?? body.pagination }, { headers });
}

/** Whether nothing of the listing says that there is another page: nobody can tell then. */
function hidesPages({ path, refusal, pagination }: Fault): boolean {
  const { next_page_token, next_page } = pagination ?? { next_page: "as it is" };
  return path === "events" && !refusal && (next_page_token ?? "") === "" &&
    (typeof next_page !== "string" || next_page === "");
}

/** The sync has ended, and says what it has not brought. */
async function isAnswered(person: Person, { status, body }: Answer, areHidden: boolean) {
  const told = JSON.stringify(body);
  const asked = person.requests();
  assert.ok(asked <= 6 * REQUESTS, `${asked} requests`);
  if (status !== 200) {
    assert.ok(body.error.code && body.error.message && body.error.hint, told);
    assert.notEqual(body.error.code, "internal", told);
    return;
  }
  if (body.status === "paused") {
    assert.ok(body.reason.code && body.reason.message, told);
    const pause = Date.parse(body.resume_at) - Date.parse(person.project.now);
    assert.ok(pause >= 0 && pause <= 3_600_000, `a pause until ${body.resume_at}`);
    return;
  }
  assert.equal(body.status, "complete", told);
  if (areHidden) return;
  const stored = [(await person.meetings()).length, (await person.invitees()).length];
  // What an earlier run has told is fetched again later.
  if ((await person.runs()).every(({ rejected }) => rejected === 0)) {
    assert.deepEqual(stored, [EVENTS, EVENTS], `${told}: nothing tells what is missing`);
  }
}

async function isWithoutPersonalData(person: Person) {
  const connection = await person.connection();
  const kept = [connection, await person.runs(), person.project.logs()].map((each) =>
    JSON.stringify(each)
  );
  for (const text of kept) {
    for (const secret of [...PERSONAL, person.token]) {
      assert.ok(!text.includes(secret), `${secret} is kept: ${text.slice(0, 2000)}`);
    }
  }
}

/** With Calendly as it should be, some syncs later everything is there. */
async function recovers(person: Person) {
  if ((await person.connection()).state === "reconnect_required") {
    assert.equal((await person.connect({ sync: false })).status, 201);
  }
  for (let click = 0; click < 4; click++) {
    await person.project.advance("2h");
    await person.sync();
  }
  const { status, body } = await person.sync({ full: true });
  assert.deepEqual([status, body.status, body.rejected], [200, "complete", 0]);
  await assertMirrors(person);
}
