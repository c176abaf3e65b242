/** What comes next is read while Postgres applies a step: used only if it is asked for, counted once. */
import assert from "node:assert/strict";
import { Database } from "../../supabase/functions/_shared/calendly/database.ts";
import { sync } from "../../supabase/functions/_shared/calendly/sync.ts";
import { type Answers, collectErrors, Stub } from "./stub.ts";
import { RESULT, STOP, stubOf } from "./stub_run.ts";

const REQUEST = { user_id: 7, trigger: "service" } as const;
const LISTING = "GET /scheduled_events";
const RATE = { "x-ratelimit-limit": "50" };

/** Seconds in which an answer that was sent has arrived. */
const ARRIVED = 0.2;

function page(step: number, token: string | undefined, ahead: boolean, wait_seconds = 0) {
  const query = { user: "u", count: "2", ...(token ? { page_token: token } : {}) };
  return { do: "list_events", query, ahead, concurrency: 20, step, wait_seconds };
}

function invitees(
  step: number,
  event_uris: string[],
  ahead: string[],
  concurrency = 20,
  wait_seconds = 0,
) {
  return {
    do: "fetch_invitees",
    event_uris,
    ahead: { event_uris: ahead },
    concurrency,
    step,
    wait_seconds,
  };
}

/** The invitees of an event, named by it. */
const nameOf = (event: string) => `GET /scheduled_events/${event}/invitees`;
const one = (event: string) => ({ collection: [{ uri: `${event}/i` }], pagination: {} });
/** An answer that tells how many requests are left. */
const leaving = (remaining: number, body: unknown, reset = 30) =>
  Response.json(body, {
    headers: { ...RATE, "x-ratelimit-remaining": `${remaining}`, "x-ratelimit-reset": `${reset}` },
  });
const limited = () =>
  Response.json({ message: "too many" }, { status: 429, headers: { "retry-after": "5" } });
/** Never answers. `isAborted`: has the caller given up? Long before its time-out of 10 s, or not at all. */
function stalled() {
  const aborted = Promise.withResolvers<boolean>();
  return {
    answer: (_body: unknown, { signal }: Request) =>
      new Promise((resolve) => {
        const timer = setTimeout(() => aborted.resolve(false), 5000);
        signal.addEventListener("abort", () => {
          clearTimeout(timer);
          aborted.resolve(true);
          resolve(new Response());
        });
      }),
    isAborted: aborted.promise,
  };
}

/** The events of a step's readings, sorted, with what was wrong. */
const read = (result: { invitees: { event_uri: string; problem?: string }[] }) =>
  result.invitees.map(({ event_uri, problem }) => problem ? `${event_uri}: ${problem}` : event_uri)
    .sort();

/**
 * A run that begins with the step `first`. Each step is applied once these requests have arrived, the
 * earlier ones of the same name included; then comes what stands beside them.
 */
async function run(first: unknown, answers: Answers, turns: [arrived: string[], next: unknown][]) {
  const stub: Stub = await stubOf(first, {
    ...answers,
    async calendly_apply_step() {
      const [arrived, next] = turns.shift()!;
      for (const name of arrived) {
        await stub.arrival(name, arrived.filter((other) => other === name).length);
      }
      return next;
    },
  });
  return stub;
}

Deno.test("the next page is requested while the page before it is applied", async () => {
  const pages: Record<string, unknown> = {
    "": { collection: [1, 2], pagination: { next_page_token: "second" } },
    second: { collection: [3], pagination: {} },
  };
  // Postgres writes the same query in another order.
  const second = {
    ...page(2, undefined, true),
    query: { page_token: "second", count: "2", user: "u" },
  };
  const listing = (_body: unknown, request: Request) =>
    pages[new URL(request.url).searchParams.get("page_token") ?? ""];
  await using stub = await run(page(1, undefined, true), { [LISTING]: listing }, [
    [[LISTING, LISTING], second],
    [[], STOP],
  ]);
  await sync(new Database(), REQUEST);
  const [first, next] = stub.asked("calendly_apply_step");
  assert.deepEqual(first.result.page, { collection: [1, 2], next_page_token: "second" });
  assert.deepEqual(next.result.page, { collection: [3], next_page_token: null });
  assert.deepEqual([first.result.requests, next.result.requests], [1, 1]);
  assert.equal(stub.asked(LISTING).length, 2);
});

Deno.test("a page that was read ahead is dropped where another one is asked for", async () => {
  const answer = { collection: [], pagination: { next_page_token: "next" } };
  await using stub = await run(page(1, undefined, true), { [LISTING]: () => answer }, [
    [[LISTING, LISTING], page(2, "another", false)],
    [[], STOP],
  ]);
  await sync(new Database(), REQUEST);
  const tokens = stub.arrived.filter(({ name }) => name === LISTING)
    .map(({ url }) => url.searchParams.get("page_token"));
  assert.deepEqual(tokens, [null, "next", "another"]);
  const steps = stub.asked("calendly_apply_step").map(({ result }) => result.requests);
  assert.deepEqual(steps, [1, 2]);
});

Deno.test("no page is read ahead where Postgres does not want it, or there is none", async (t) => {
  for (const [ahead, token] of [[false, "next"], [true, null]] as const) {
    await t.step(`ahead: ${ahead}, token: ${token}`, async () => {
      const answer = { collection: [], pagination: { next_page_token: token } };
      await using stub = await run(page(1, undefined, ahead), { [LISTING]: () => answer }, [
        [[], STOP],
      ]);
      await sync(new Database(), REQUEST);
      assert.equal(stub.asked(LISTING).length, 1);
    });
  }
});

Deno.test("of the invitees that were read ahead a step takes those that it asks for", async () => {
  const events = ["a", "b", "c", "d", "e"];
  await using stub = await run(
    invitees(1, ["a"], ["b", "c", "d"]),
    Object.fromEntries(events.map((event) => [nameOf(event), () => one(event)])),
    [
      [["b", "c", "d"].map(nameOf), invitees(2, ["c", "e", "b"], [])],
      [[], STOP],
    ],
  );
  await sync(new Database(), REQUEST);
  const [first, second] = stub.asked("calendly_apply_step").map(({ result }) => result);
  assert.deepEqual([read(first), first.requests], [["a"], 1]);
  // the one that was dropped cost a request, too
  assert.deepEqual([read(second), second.requests], [["b", "c", "e"], 4]);
  for (const event of events) assert.equal(stub.asked(nameOf(event)).length, 1, event);
});

Deno.test("what was dropped is not used by a later step", async () => {
  await using stub = await run(
    invitees(1, ["a"], ["b"]),
    { [nameOf("a")]: () => one("a"), [nameOf("b")]: () => one("b"), [nameOf("c")]: limited },
    [
      [[nameOf("b")], invitees(2, ["c"], [])],
      [[], invitees(3, ["b"], [])],
      [[], STOP],
    ],
  );
  await sync(new Database(), REQUEST);
  const steps = stub.asked("calendly_apply_step").map(({ result }) => result);
  assert.deepEqual(steps.map(({ requests }) => requests), [1, 2, 1]);
  assert.deepEqual(steps.map(read), [["a"], [], ["b"]]);
});

Deno.test("no more requests run at once than Postgres allows, those ahead included", async () => {
  const events = Array.from({ length: 30 }, (_, place) => `e${place}`);
  let running = 0;
  let most = 0;
  const slowly = async (event: string) => {
    most = Math.max(most, ++running);
    await new Promise((resolve) => setTimeout(resolve, 2));
    running--;
    return one(event);
  };
  await using stub = await run(
    invitees(1, events.slice(0, 10), events.slice(10, 20), 3),
    Object.fromEntries(events.map((event) => [nameOf(event), () => slowly(event)])),
    [
      [[], invitees(2, events.slice(10, 20), events.slice(20), 3)],
      [[nameOf("e20")], invitees(3, events.slice(20), [], 3)],
      [[], STOP],
    ],
  );
  await sync(new Database(), REQUEST);
  assert.equal(most, 3);
  const results = stub.asked("calendly_apply_step").map(({ result }) => result);
  assert.deepEqual(results.map((result) => read(result).length), [10, 10, 10]);
  assert.deepEqual(results.map(({ requests }) => requests), [10, 10, 10]);
});

Deno.test("no more is read ahead than Calendly's last answers left", async (t) => {
  await t.step("no page where nothing is left", async () => {
    const answer = { collection: [], pagination: { next_page_token: "next" } };
    await using stub = await run(
      page(1, undefined, true),
      { [LISTING]: () => leaving(0, answer) },
      [
        [[], STOP],
      ],
    );
    await sync(new Database(), REQUEST);
    assert.equal(stub.asked(LISTING).length, 1);
  });

  await t.step("the invitees of as many events as requests are left", async () => {
    const events = ["a", "b", "c", "d", "e"];
    await using stub = await run(
      invitees(1, ["a", "b"], ["c", "d", "e"]),
      {
        ...Object.fromEntries(events.map((event) => [nameOf(event), () => one(event)])),
        [nameOf("a")]: () => leaving(2, one("a")),
        [nameOf("b")]: () => leaving(3, one("b")),
      },
      [[["c", "d"].map(nameOf), invitees(2, ["d"], [])], [[], STOP]],
    );
    await sync(new Database(), REQUEST);
    assert.deepEqual(events.map((event) => stub.asked(nameOf(event)).length), [1, 1, 1, 1, 0]);
  });
});

Deno.test("what failed ahead is read anew by the step that asks for it", async (t) => {
  const answers = {
    [nameOf("a")]: () => one("a"),
    [nameOf("b")]: () => one("b"),
    [nameOf("limited")]: limited,
    [nameOf("gone")]: () => Response.json({ message: "not found" }, { status: 404 }),
  };
  const firstLimited = (answer: unknown) => {
    let asked = 0;
    return () => asked++ === 0 ? limited() : answer;
  };

  await t.step("after the wait that Postgres asked for", async () => {
    await using stub = await run(
      invitees(1, ["a"], ["b"]),
      { ...answers, [nameOf("b")]: firstLimited(one("b")) },
      [[[nameOf("b")], invitees(2, ["b"], [], 20, ARRIVED)], [[], STOP]],
    );
    await sync(new Database(), REQUEST);
    const [, second] = stub.asked("calendly_apply_step").map(({ result }) => result);
    assert.deepEqual([read(second), second.requests, second.interruption], [["b"], 2, undefined]);
  });

  await t.step("a page, too", async () => {
    const answer = { collection: [], pagination: { next_page_token: "next" } };
    const second = firstLimited({ ...answer, pagination: { next_page_token: "last" } });
    const listing = (_body: unknown, { url }: Request) =>
      url.includes("next") ? second() : { ...answer, collection: [{ uri: "a" }] };
    await using stub = await run(page(1, undefined, true), { [LISTING]: listing }, [
      [[LISTING, LISTING], page(2, "next", false, ARRIVED)],
      [[], STOP],
    ]);
    await sync(new Database(), REQUEST);
    const [, result] = stub.asked("calendly_apply_step").map(({ result }) => result);
    assert.deepEqual([result.page?.next_page_token, result.requests], ["last", 2]);
  });

  await t.step("which it interrupts if it fails again; what was read is kept", async () => {
    await using stub = await run(invitees(1, ["a"], ["b", "limited"]), answers, [
      [[nameOf("b"), nameOf("limited")], invitees(2, ["limited", "b"], [], 20, ARRIVED)],
      [[], STOP],
    ]);
    await sync(new Database(), REQUEST);
    const [first, second] = stub.asked("calendly_apply_step").map(({ result }) => result);
    assert.equal(first.interruption, undefined);
    assert.deepEqual([read(second), second.requests], [["b"], 3]);
    const { code, retry_after, event_uri } = second.interruption;
    assert.deepEqual([code, retry_after, event_uri], ["rate_limited", 5, "limited"]);
  });

  await t.step("and by nobody else", async () => {
    await using stub = await run(invitees(1, ["a"], ["limited"]), answers, [
      [[nameOf("limited")], invitees(2, ["b"], [], 20, ARRIVED)],
      [[], STOP],
    ]);
    assert.equal((await sync(new Database(), REQUEST)).status, "complete");
    const [, second] = stub.asked("calendly_apply_step").map(({ result }) => result);
    assert.deepEqual([read(second), second.requests, second.interruption], [["b"], 2, undefined]);
  });

  await t.step("a refused event is an answer, and that step's problem", async () => {
    await using stub = await run(invitees(1, ["a"], ["gone"]), answers, [
      [[nameOf("gone")], invitees(2, ["gone"], [], 20, ARRIVED)],
      [[], STOP],
    ]);
    await sync(new Database(), REQUEST);
    const [, second] = stub.asked("calendly_apply_step").map(({ result }) => result);
    assert.deepEqual(read(second), ["gone: the invitees cannot be read: not found"]);
    assert.equal(second.requests, 1);
  });

  await t.step("a refused token fails the run at that step, not before", async () => {
    const refused = () => Response.json({ message: "revoked" }, { status: 401 });
    await using stub = await run(
      invitees(1, ["a"], ["b"]),
      { ...answers, [nameOf("b")]: refused },
      [
        [[nameOf("b")], invitees(2, ["b"], [], 20, ARRIVED)],
        [[], invitees(3, ["b"], [])],
      ],
    );
    using _errors = collectErrors();
    await assert.rejects(sync(new Database(), REQUEST), /refuses the token: revoked/);
    const requests = stub.asked("calendly_apply_step").map(({ result }) => result.requests);
    assert.deepEqual(requests, [1, 2]);
    assert.equal(stub.asked("calendly_fail_sync")[0].error.code, "token_refused");
  });
});

Deno.test("a rate limit that has reset since it was told is not reported", async (t) => {
  const answers = {
    [nameOf("a")]: () => leaving(5, one("a")),
    [nameOf("b")]: () => leaving(4, one("b"), ARRIVED),
    [nameOf("c")]: () => leaving(49, one("c")),
  };
  const cases: [string, string[], Record<string, number> | undefined][] = [
    ["all was read ahead of the wait", ["b"], undefined],
    ["some was read after it", ["b", "c"], { limit: 50, remaining: 49, reset: 30 }],
  ];
  for (const [what, events, rate] of cases) {
    await t.step(what, async () => {
      await using stub = await run(invitees(1, ["a"], ["b"]), answers, [
        [[nameOf("b")], invitees(2, events, [], 20, 2 * ARRIVED)],
        [[], STOP],
      ]);
      await sync(new Database(), REQUEST);
      const [first, second] = stub.asked("calendly_apply_step").map(({ result }) => result);
      assert.deepEqual(first.rate, { limit: 50, remaining: 5, reset: 30 });
      assert.deepEqual([read(second), second.rate], [events, rate]);
      assert.equal(stub.asked(nameOf("b")).length, 1);
    });
  }
});

Deno.test("nothing is read ahead of a step that was interrupted", async () => {
  await using stub = await run(
    invitees(1, ["limited"], ["b"]),
    { [nameOf("limited")]: limited, [nameOf("b")]: () => one("b") },
    [[[], invitees(2, ["b"], [])], [[], STOP]],
  );
  await sync(new Database(), REQUEST);
  const requests = stub.asked("calendly_apply_step").map(({ result }) => result.requests);
  assert.deepEqual(requests, [1, 1]);
});

Deno.test("what is read ahead ends with the run", async (t) => {
  const lost = () =>
    Response.json({ code: "P0001", message: "gone", details: "lease_lost" }, { status: 400 });
  const refused = () => Response.json({ code: "23514", message: "check" }, { status: 400 });
  const paused = { ...STOP, result: { ...RESULT, status: "paused" } };
  const ends: [string, unknown, string | undefined][] = [
    ["a run that is paused", paused, undefined],
    ["a run that fails", refused(), "internal"],
    ["a run that another worker has", lost(), "lease_lost"],
  ];
  for (const [what, answer, code] of ends) {
    await t.step(what, async () => {
      const ahead = stalled();
      await using stub = await run(invitees(1, ["a"], ["b", "c"], 1), {
        [nameOf("a")]: () => one("a"),
        [nameOf("b")]: ahead.answer,
      }, [[[nameOf("b")], answer]]);
      using _errors = collectErrors();
      const running = sync(new Database(), REQUEST);
      if (code) await assert.rejects(running);
      else assert.equal((await running).status, "paused");
      assert.ok(await ahead.isAborted);
      assert.equal(stub.asked(nameOf("c")).length, 0);
      // The request that was aborted is reported where there is still a run to report it to.
      const failed = stub.asked("calendly_fail_sync").map(({ error, requests }) => [
        error.code,
        requests,
      ]);
      assert.deepEqual(failed, code ? [[code, 1]] : []);
    });
  }
});

Deno.test("of answers that overtake each other the lowest rate limit counts", async () => {
  const remaining: Record<string, number> = { a: 38, b: 37, c: 39 };
  const answers = Object.fromEntries(
    Object.entries(remaining).map(([event, left], place) => [nameOf(event), async () => {
      await new Promise((resolve) => setTimeout(resolve, place * 5));
      return leaving(left, one(event));
    }]),
  );
  await using stub = await run(invitees(1, ["a", "b", "c"], []), answers, [[[], STOP]]);
  await sync(new Database(), REQUEST);
  const [{ result }] = stub.asked("calendly_apply_step");
  assert.deepEqual(result.rate, { limit: 50, remaining: 37, reset: 30 });
});
