/** What Calendly says of itself, rate limits and paging above all, is believed within bounds. */
import assert from "node:assert/strict";
import {
  Calendly,
  plainToken,
  TemporaryFailure,
} from "../../supabase/functions/_shared/calendly/api.ts";
import { Database } from "../../supabase/functions/_shared/calendly/database.ts";
import { secondsUntil, wholeNumber } from "../../supabase/functions/_shared/calendly/rate_limit.ts";
import { StepReader } from "../../supabase/functions/_shared/calendly/step_reader.ts";
import { sync } from "../../supabase/functions/_shared/calendly/sync.ts";
import { type Answers, Stub } from "./stub.ts";
import { STOP, stubOf } from "./stub_run.ts";

const CALENDLYS_CLOCK = new Headers({ date: "Mon, 02 Mar 2026 10:00:00 GMT" });
const MOMENT = Date.parse("2026-03-02T10:00:00Z") / 1000;
const INVITEES = "GET /scheduled_events/E/invitees";
const LISTING = "GET /scheduled_events";
const E = "https://api.calendly.com/scheduled_events/E";

Deno.test("a header that tells when something is over is read in every unit", async (t) => {
  const values: [string | null, number | undefined][] = [
    ["60", 60],
    [" 60 ", 60],
    ["0", 0],
    ["-5", 0],
    ["0.5", 0.5],
    ["31536000", 31536000],
    [`${MOMENT + 30}`, 30],
    [`${MOMENT + 30.25}`, 30.25],
    [`${(MOMENT + 30) * 1000}`, 30],
    [`${MOMENT - 30}`, 0],
    ["Mon, 02 Mar 2026 10:00:45 GMT", 45],
    ["Monday, 02-Mar-26 10:00:45 GMT", 45],
    ["Mon, 02 Mar 2026 09:00:00 GMT", 0],
    ["Mon, soon", undefined],
    ["soon", undefined],
    ["in 5 minutes", undefined],
    ["1e9", undefined],
    ["0x10", undefined],
    ["Infinity", undefined],
    ["NaN", undefined],
    ["60, 60", undefined],
    ["", undefined],
    [null, undefined],
  ];
  for (const [value, seconds] of values) {
    await t.step(`${value}`, () => {
      const read = secondsUntil(value, CALENDLYS_CLOCK);
      if (seconds === undefined) return assert.equal(read, undefined);
      assert.ok(Math.abs(read! - seconds) < 0.001, `${read}`);
    });
  }
  await t.step("by our own clock where Calendly tells none", () => {
    const soon = new Date(Date.now() + 3_600_000).toUTCString();
    for (const headers of [new Headers(), new Headers({ date: "today" })]) {
      const read = secondsUntil(soon, headers)!;
      assert.ok(read > 3000 && read <= 3600, `${read}`);
    }
  });
});

Deno.test("a number of requests is a whole number of a size that can be", () => {
  assert.deepEqual(["500", "0", " 7 ", "999999999"].map(wholeNumber), [500, 0, 7, 999999999]);
  for (const value of ["-1", "1.5", "1e3", "1000000000", "0x10", "many", "", " ", null]) {
    assert.equal(wholeNumber(value), undefined, `${value}`);
  }
});

/** What is told of a rate limit after one answer with these headers. */
async function rateAfter(headers: Record<string, string>) {
  const me = { resource: { uri: "u" } };
  await using _stub = new Stub({ "GET /users/me": () => Response.json(me, { headers }) });
  const calendly = new Calendly(plainToken("pat"));
  await calendly.me();
  return calendly.takeUsage().rate;
}

Deno.test("a rate limit that cannot be is none, and what can be is kept", async (t) => {
  const told: [string, string, string, unknown][] = [
    ["500", "499", "60", { limit: 500, remaining: 499, reset: 60 }],
    ["", "499", "60", { limit: null, remaining: 499, reset: 60 }],
    ["0", "499", "60", { limit: null, remaining: 499, reset: 60 }],
    ["10", "499", "60", { limit: null, remaining: 499, reset: 60 }],
    ["1e300", "499", "60", { limit: null, remaining: 499, reset: 60 }],
    ["500", "0", "31536000", { limit: 500, remaining: 0, reset: 31536000 }],
    ["500", "-1", "60", undefined],
    ["500", "1e300", "60", undefined],
    ["500", "", "60", undefined],
    ["500", "499", "", undefined],
    ["500", "499", "soon", undefined],
    ["500", "499", "0", undefined],
  ];
  for (const [limit, remaining, reset, rate] of told) {
    await t.step(`${limit} ${remaining} ${reset}`, async () => {
      assert.deepEqual(
        await rateAfter({
          "x-ratelimit-limit": limit,
          "x-ratelimit-remaining": remaining,
          "x-ratelimit-reset": reset,
        }),
        rate,
      );
    });
  }
});

Deno.test("how long a 429 lasts is its Retry-After, else the reset, else a minute", async (t) => {
  const headers: [Record<string, string>, number][] = [
    [{ "retry-after": "7", "x-ratelimit-reset": "9" }, 7],
    [{ "retry-after": "later", "x-ratelimit-reset": "9" }, 9],
    [{ "x-ratelimit-reset": "9" }, 9],
    [{ "retry-after": "", "x-ratelimit-reset": "" }, 60],
    [{}, 60],
  ];
  for (const [given, seconds] of headers) {
    await t.step(JSON.stringify(given), async () => {
      await using _stub = new Stub({
        "GET /users/me": () => new Response("", { status: 429, headers: given }),
      });
      await assert.rejects(
        new Calendly(plainToken("pat")).me(),
        (error) => error instanceof TemporaryFailure && error.retryAfter === seconds,
      );
    });
  }
});

/** Answers the pages of a listing by their token, "" for the first. */
function pages(byToken: (token: string) => { rows: unknown[]; pagination: unknown }) {
  return (_body: unknown, request: Request) => {
    const { rows, pagination } = byToken(new URL(request.url).searchParams.get("page_token") ?? "");
    return { collection: rows, pagination };
  };
}

function rowsOf(name: string, count = 2): unknown[] {
  return Array.from({ length: count }, (_, place) => ({ uri: `${name}${place}` }));
}

Deno.test("a listing goes on by whatever tells its next page", async (t) => {
  const ways: [string, unknown][] = [
    ["the token", { next_page_token: "2", next_page: "https://elsewhere.test/?page_token=3" }],
    ["a token that is a number", { next_page_token: 2 }],
    ["the token in next_page", { next_page: "https://calendly.com/x?count=1&page_token=2" }],
    ["the token in a path", { next_page: "/x?page_token=2", next_page_token: "" }],
  ];
  for (const [way, pagination] of ways) {
    await t.step(way, async () => {
      await using stub = new Stub({
        [INVITEES]: pages((token) =>
          token === ""
            ? { rows: rowsOf("a"), pagination }
            : { rows: rowsOf(token), pagination: { next_page: null, next_page_token: null } }
        ),
      });
      const { invitees } = await new Calendly(plainToken("pat")).readInvitees(E);
      assert.deepEqual(invitees, [...rowsOf("a"), ...rowsOf("2")]);
      assert.equal(stub.names.length, 2);
      assert.equal(stub.arrived[1].url.searchParams.get("count"), "100", "filters are repeated");
    });
  }
  for (const next_page of ["https://calendly.com/x?count=1", "::", "x"]) {
    await t.step(`it is not complete with the next page ${next_page}`, async () => {
      const answer = pages(() => ({ rows: rowsOf("a"), pagination: { next_page } }));
      await using _stub = new Stub({ [INVITEES]: answer, [LISTING]: answer });
      const calendly = new Calendly(plainToken("pat"));
      for (const reading of [calendly.readInvitees(E), calendly.listEvents({})]) {
        await assert.rejects(reading, TemporaryFailure);
      }
    });
  }
});

/** The token of the next page, by how often it was asked and by which token. */
const STUCK: [string, (token: string, asked: number) => string, same?: boolean][] = [
  ["with one token", () => "A"],
  ["with two tokens in turn", (token) => token === "A" ? "B" : "A"],
  ["with three tokens in turn", (token) => ({ A: "B", B: "C" })[token] ?? "A"],
  ["with new tokens and the same rows", (_token, asked) => `${asked}`, true],
];

Deno.test("a paging that does not advance ends", async (t) => {
  for (const [how, next, same] of STUCK) {
    await t.step(how, async () => {
      let asked = 0;
      const stuck = pages((token) => ({
        rows: same ? rowsOf("a") : rowsOf(`${++asked} `),
        pagination: { next_page_token: next(token, ++asked) },
      }));
      await using stub = new Stub({ [INVITEES]: stuck, "GET /webhook_subscriptions": stuck });
      const calendly = new Calendly(plainToken("pat"));
      await assert.rejects(calendly.readInvitees(E), /same page again/);
      await assert.rejects(calendly.listSubscriptions({}), /same page again/);
      assert.ok(stub.names.length <= 8, `${stub.names.length} requests`);
    });
  }
  await t.step("but for pages without rows before others", async () => {
    const answer = pages((token) => ({
      rows: token === "9" ? rowsOf("a") : [],
      pagination: token === "9" ? {} : { next_page_token: `${Number(token) + 1}` },
    }));
    await using _stub = new Stub({ [INVITEES]: answer });
    assert.equal((await new Calendly(plainToken("pat")).readInvitees(E)).invitees.length, 2);
  });
  await t.step("with pages without rows and without an end", async () => {
    const answer = pages((token) => ({
      rows: [],
      pagination: { next_page_token: `${Number(token) + 1}` },
    }));
    await using stub = new Stub({ [INVITEES]: answer });
    await assert.rejects(new Calendly(plainToken("pat")).readInvitees(E), /same page again/);
    assert.equal(stub.names.length, 11);
  });
  await t.step("but for a last page that shows the same", async () => {
    const answer = pages((token) => ({
      rows: rowsOf("a"),
      pagination: token === "" ? { next_page_token: "A" } : {},
    }));
    await using _stub = new Stub({ [INVITEES]: answer });
    assert.equal((await new Calendly(plainToken("pat")).readInvitees(E)).invitees.length, 4);
  });
});

const STEP = {
  do: "list_events",
  step: 1,
  wait_seconds: 0,
  query: { user: "u", min_start_time: "t" },
  ahead: false,
  concurrency: 1,
} as const;

Deno.test("a listing that does not advance is begun anew, as after an expired token", async (t) => {
  for (const [how, next, same] of STUCK) {
    await t.step(how, async () => {
      let asked = 0;
      await using _stub = new Stub({
        [LISTING]: pages((token) => ({
          rows: same ? rowsOf("a") : rowsOf(`${++asked} `),
          pagination: { next_page_token: next(token, ++asked) },
        })),
      });
      const reader = new StepReader(new Calendly(plainToken("pat")));
      let page_token: string | undefined;
      for (let steps = 0;; steps++) {
        assert.ok(steps < 8, "it goes on and on");
        const query = { ...STEP.query, ...(page_token ? { page_token } : {}) };
        const { result } = await reader.read({ ...STEP, query }) as {
          // deno-lint-ignore no-explicit-any -- what Postgres gets
          result: any;
        };
        if (result.interruption) {
          assert.equal(result.interruption.code, "page_token_expired");
          assert.equal(result.page, undefined, "and nothing of it is complete");
          break;
        }
        page_token = result.page.next_page_token;
      }
      // The new listing shows the very same again.
      const { result } = await reader.read(STEP);
      assert.equal((result.interruption as { code: string }).code, "page_token_expired");
      // One that begins later is another listing, and may use the same token.
      const later = { ...STEP, query: { user: "u", min_start_time: "later" } };
      assert.equal((await reader.read(later)).result.interruption, undefined);
    });
  }
});

Deno.test("of an event with 100,000 invitees the first 10,000 are read, and it is told", async () => {
  await using stub = await stubOf({
    do: "fetch_invitees",
    step: 1,
    wait_seconds: 0,
    event_uris: ["E"],
    ahead: { event_uris: [] },
    concurrency: 1,
  }, {
    [INVITEES]: pages((token) => {
      const page = Number(token);
      return {
        rows: rowsOf(`${page} `, 100),
        pagination: { next_page_token: page < 999 ? `${page + 1}` : null },
      };
    }),
    calendly_apply_step: () => STOP,
  });
  await sync(new Database(), { trigger: "manual", user_id: 7 });
  const [{ result: { invitees: [reading], requests } }] = stub.asked("calendly_apply_step");
  assert.deepEqual([reading.invitees.length, requests], [10_000, 100]);
  assert.equal(reading.problem, "has more than 10000 invitees: only the first 10000 are kept");
});

/** A step that reads the invitees of these events, which have nine further pages each. */
async function stubOfLongEvents(step: Record<string, unknown>, answers: Answers = {}) {
  const long = pages((token) => {
    const page = Number(token);
    return {
      rows: rowsOf(`${page} `),
      pagination: { next_page_token: page < 9 ? `${page + 1}` : null },
    };
  });
  return await stubOf({
    do: "fetch_invitees",
    step: 1,
    wait_seconds: 0,
    ahead: { event_uris: [] },
    concurrency: 1,
    ...step,
  }, {
    ...Object.fromEntries(
      ["A", "B", "C", "D"].map((name) => [`GET /scheduled_events/${name}/invitees`, long]),
    ),
    calendly_apply_step: () => STOP,
    ...answers,
  });
}

/** How many invitees of each event a step brought, and whether that is all of them. */
function brought(
  { invitees }: { invitees: { event_uri: string; invitees: unknown[]; problem?: string }[] },
) {
  return invitees.map(({ event_uri, invitees, problem }) => [event_uri, invitees.length, problem])
    .sort();
}

const USED_UP = (count: number) =>
  `has more than ${count} invitees: the requests of this run are used up for now, and all are read again later`;

Deno.test("events with more pages than they count do not exceed a worker's requests", async (t) => {
  await t.step("one after another", async () => {
    await using stub = await stubOfLongEvents({
      event_uris: ["A", "B", "C", "D"],
      requests_left: 15,
    });
    await sync(new Database(), { trigger: "manual", user_id: 7 });
    const [{ result }] = stub.asked("calendly_apply_step");
    assert.deepEqual(brought(result), [["A", 20, undefined], ["B", 10, USED_UP(10)]]);
    assert.deepEqual([result.requests, result.interruption], [15, undefined]);
  });
  await t.step("side by side", async () => {
    await using stub = await stubOfLongEvents({
      event_uris: ["A", "B", "C"],
      requests_left: 5,
      concurrency: 2,
    });
    await sync(new Database(), { trigger: "manual", user_id: 7 });
    const [{ result }] = stub.asked("calendly_apply_step");
    assert.equal(stub.arrived.filter(({ name }) => name.endsWith("/invitees")).length, 5);
    assert.equal(result.requests, 5);
    assert.deepEqual(result.invitees.map((read: { event_uri: string }) => read.event_uri).sort(), [
      "A",
      "B",
    ]);
    for (const [, count, problem] of brought(result)) {
      assert.equal(problem, USED_UP(Number(count)));
    }
  });
});

Deno.test("what is read ahead is made of the same requests as the step before and after", async () => {
  const next = {
    do: "fetch_invitees",
    step: 2,
    wait_seconds: 0,
    event_uris: ["B", "C"],
    ahead: { event_uris: [] },
    concurrency: 1,
    requests_left: 4,
  };
  const answers: unknown[] = [next, STOP];
  const one = () => ({ collection: rowsOf("a"), pagination: {} });
  await using stub: Stub = await stubOfLongEvents({
    event_uris: ["A"],
    ahead: { event_uris: ["B", "C"] },
    requests_left: 5,
  }, {
    "GET /scheduled_events/A/invitees": one,
    async calendly_apply_step() {
      if (answers.length === 2) await stub.arrival("GET /scheduled_events/B/invitees", 4);
      return answers.shift();
    },
  });
  await sync(new Database(), { trigger: "manual", user_id: 7 });
  const [first, second] = stub.asked("calendly_apply_step");
  assert.deepEqual(brought(first.result), [["A", 2, undefined]]);
  assert.deepEqual(brought(second.result), [["B", 8, USED_UP(8)]]);
  assert.deepEqual([first.result.requests, second.result.requests], [1, 4]);
  assert.deepEqual(stub.asked("GET /scheduled_events/C/invitees"), []);
});

Deno.test("what is read ahead stops at what Calendly's rate limit leaves", async () => {
  const answers: unknown[] = [STOP];
  await using stub: Stub = await stubOfLongEvents({
    event_uris: ["A"],
    ahead: { event_uris: ["B"] },
    requests_left: 100,
  }, {
    "GET /scheduled_events/A/invitees": () =>
      Response.json({ collection: [], pagination: {} }, {
        headers: { "x-ratelimit-remaining": "3", "x-ratelimit-reset": "30" },
      }),
    async calendly_apply_step() {
      await stub.arrival("GET /scheduled_events/B/invitees", 3);
      await new Promise((resolve) => setTimeout(resolve, 100));
      return answers.shift();
    },
  });
  await sync(new Database(), { trigger: "manual", user_id: 7 });
  assert.equal(stub.asked("GET /scheduled_events/B/invitees").length, 3);
});

Deno.test("of an event whose reading meets the rate limit the pages before it are kept", async () => {
  let asked = 0;
  await using stub = await stubOfLongEvents({ event_uris: ["A", "B"] }, {
    "GET /scheduled_events/A/invitees": () =>
      ++asked < 3
        ? { collection: rowsOf(`${asked} `), pagination: { next_page_token: `${asked}` } }
        : Response.json({}, { status: 429, headers: { "retry-after": "7" } }),
  });
  await sync(new Database(), { trigger: "manual", user_id: 7 });
  const [{ result }] = stub.asked("calendly_apply_step");
  assert.deepEqual(brought(result), [[
    "A",
    4,
    "has more than 4 invitees: Calendly's rate limit is used up, and all are read again later",
  ]]);
  assert.deepEqual(
    [result.interruption.code, result.interruption.retry_after],
    ["rate_limited", 7],
  );
});
