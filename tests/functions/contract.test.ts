/** The contract between SQL and the functions: what does not fit it is told, and never tried for ever. */
import assert from "node:assert/strict";
import { Next, parseAnswer } from "../../supabase/functions/_shared/calendly/contract.ts";
import { Database } from "../../supabase/functions/_shared/calendly/database.ts";
import { ApiError } from "../../supabase/functions/_shared/calendly/errors.ts";
import { sync, syncDue } from "../../supabase/functions/_shared/calendly/sync.ts";
import { type Answers, collectErrors, Stub } from "./stub.ts";
import { RESULT, started, STOP, stubOf } from "./stub_run.ts";

const PAGE = {
  do: "list_events",
  query: { user: "u" },
  ahead: false,
  concurrency: 20,
  step: 1,
  wait_seconds: 0,
};
const INVITEES = {
  do: "fetch_invitees",
  event_uris: ["e"],
  ahead: { event_uris: [] },
  concurrency: 20,
  step: 1,
  wait_seconds: 0,
};
const FINISH = { do: "finish", step: 1, wait_seconds: 0 };

/** Fails unless it ends in an error of this code. */
async function assertFails(work: Promise<unknown>, code: string, message: RegExp): Promise<void> {
  await assert.rejects(work, (error) => {
    assert.ok(error instanceof ApiError, String(error));
    assert.equal(error.code, code);
    assert.match(error.message, message);
    assert.ok(error.hint);
    return true;
  });
}

const REQUEST = { user_id: 7, trigger: "service" } as const;

Deno.test("an unknown value is told apart from a missing key", async (t) => {
  const wrong: [string, unknown, string, RegExp][] = [
    ["an unknown step", { ...PAGE, do: "read_contacts" }, "functions_outdated", /next\.do\.$/],
    [
      "an unknown status of a run",
      {
        do: "stop",
        result: { ...RESULT, status: "waiting" },
      },
      "functions_outdated",
      /next\.result\.status\.$/,
    ],
    ["no step", { ...PAGE, do: undefined }, "database_outdated", /next\.do is missing/],
    ["no number", { ...PAGE, step: undefined }, "database_outdated", /next\.step is missing/],
    ["no query", { ...PAGE, query: undefined }, "database_outdated", /next\.query is missing/],
    [
      "no concurrency",
      { ...PAGE, concurrency: undefined },
      "database_outdated",
      /next\.concurrency is missing/,
    ],
    [
      "nothing about the next page",
      { ...PAGE, ahead: undefined },
      "database_outdated",
      /next\.ahead is missing/,
    ],
    [
      "no events that come next",
      { ...INVITEES, ahead: {} },
      "database_outdated",
      /next\.ahead\.event_uris is missing/,
    ],
    ["no result", { do: "stop" }, "database_outdated", /next\.result is missing/],
    ["nothing", undefined, "database_outdated", /next is missing/],
    ["null", null, "database_outdated", /next is missing/],
  ];
  for (const [name, answer, code, message] of wrong) {
    await t.step(name, () => {
      const json = answer === undefined ? undefined : JSON.parse(JSON.stringify(answer));
      assert.throws(() => parseAnswer(Next, json, "next"), (error) => {
        assert.ok(error instanceof ApiError);
        assert.deepEqual([error.code, error.status], [code, 503]);
        assert.match(error.message, message);
        return true;
      });
    });
  }
  await t.step("and more keys than expected are no error", () => {
    assert.deepEqual(parseAnswer(Next, { ...PAGE, hurry: true }, "next"), PAGE);
    const result = { ...RESULT, hosts_without_account: 3 };
    assert.deepEqual(parseAnswer(Next, { do: "stop", result }, "next"), { do: "stop", result });
  });
});

Deno.test("an unknown step is reported once, and the loop ends", async (t) => {
  const unknown = { do: "read_contacts", step: 1, wait_seconds: 0 };
  const places: [string, unknown, Answers, string[]][] = [
    ["as the first step", unknown, {}, []],
    ["as the next one", FINISH, { calendly_finish_sync: () => unknown }, ["calendly_finish_sync"]],
  ];
  for (const [place, next, answers, before] of places) {
    await t.step(`${place} of a click`, async () => {
      await using stub = await stubOf(next, answers);
      using errors = collectErrors();
      await assertFails(sync(new Database(), REQUEST), "functions_outdated", /do\.$/);
      assert.deepEqual(stub.names, ["calendly_begin_sync", ...before, "calendly_fail_sync"]);
      const [{ error, ...run }] = stub.asked("calendly_fail_sync");
      assert.deepEqual(run, { run_id: "run", lease: "lease", requests: 0 });
      assert.equal(error.code, "functions_outdated");
      assert.equal(errors.lines.length, 1);
    });
    await t.step(`${place} of a scheduled run, after which no other is claimed`, async () => {
      await using stub = await stubOf(next, answers);
      using _errors = collectErrors();
      await assertFails(syncDue(new Database()), "functions_outdated", /do\.$/);
      assert.deepEqual(stub.names, ["calendly_claim_sync", ...before, "calendly_fail_sync"]);
    });
  }
});

Deno.test("a key that is missing in an answer is an older database", async (t) => {
  await t.step("where a run begins", async () => {
    await using stub = await stubOf(STOP);
    const { lease: _, ...run } = await started(STOP);
    stub.answers.calendly_begin_sync = () => run;
    await assertFails(
      sync(new Database(), REQUEST),
      "database_outdated",
      /calendly_begin_sync\.lease is missing/,
    );
  });
  await t.step("in the middle of a run, which is told", async () => {
    await using stub = await stubOf(FINISH, { calendly_finish_sync: () => ({ do: "stop" }) });
    using _errors = collectErrors();
    await assertFails(sync(new Database(), REQUEST), "database_outdated", /result is missing/);
    assert.equal(stub.asked("calendly_fail_sync")[0].error.code, "database_outdated");
  });
});

Deno.test("every error of a run is recorded with its requests, and Postgres decides what it means", async (t) => {
  const errors: [string, unknown, Answers, string, number][] = [
    [
      "Calendly refuses the token",
      PAGE,
      {
        "GET /scheduled_events": () =>
          Response.json({ title: "Unauthenticated", message: "revoked" }, { status: 401 }),
      },
      "token_refused",
      1,
    ],
    [
      "the database refuses a page",
      PAGE,
      {
        "GET /scheduled_events": () => ({ collection: [], pagination: {} }),
        calendly_apply_step: () =>
          Response.json({ code: "23514", message: "check" }, { status: 400 }),
      },
      "internal",
      0,
    ],
    [
      "another worker has the lease",
      FINISH,
      {
        calendly_finish_sync: () =>
          Response.json({ code: "P0001", message: "gone", details: "lease_lost" }, { status: 400 }),
      },
      "lease_lost",
      0,
    ],
  ];
  for (const [what, next, answers, code, requests] of errors) {
    await t.step(what, async () => {
      await using stub = await stubOf(next, answers);
      using _errors = collectErrors();
      await assert.rejects(sync(new Database(), REQUEST));
      const [failed, ...more] = stub.asked("calendly_fail_sync");
      assert.deepEqual([failed.error.code, failed.requests], [code, requests]);
      assert.deepEqual(more, []);
    });
  }

  await t.step("an error that cannot be recorded does not hide the first", async () => {
    const lost = () =>
      Response.json({ code: "P0001", message: "gone", details: "lease_lost" }, { status: 400 });
    const away = () => new Response("", { status: 503 });
    for (const [record, lines] of [[lost, 1], [away, 2]] as const) {
      await using _stub = await stubOf({ do: "read_contacts" }, { calendly_fail_sync: record });
      using errors = collectErrors();
      await assertFails(sync(new Database(), REQUEST), "functions_outdated", /do\.$/);
      assert.equal(errors.lines.length, lines, errors.lines.join("\n"));
    }
  });
});

Deno.test("a call names the schema of our functions, whichever the Data API exposes first", async () => {
  await using stub = new Stub({ calendly_finish_revocation: () => null });
  await new Database().call("calendly_finish_revocation", { id: "1" });
  const [{ headers, body }] = stub.arrived;
  assert.equal(headers.get("content-profile"), "public");
  assert.deepEqual(body, { id: "1" });
});

Deno.test("a call whose answer is empty has none", async () => {
  await using _stub = new Stub({
    calendly_finish_revocation: () => new Response(null, { status: 204 }),
  });
  assert.equal(await new Database().call("calendly_finish_revocation", { id: "1" }), null);
});

Deno.test("no further attempt is made when a call was tried for a minute", async () => {
  const { now } = performance;
  let later = 0;
  performance.now = () => now.call(performance) + later;
  try {
    await using stub = await stubOf(FINISH, {
      calendly_finish_sync: () => {
        later += 31_000;
        return Response.json({ code: "57014", message: "canceled" }, { status: 500 });
      },
    });
    using _errors = collectErrors();
    await assertFails(sync(new Database(), REQUEST), "database_unavailable", /does not answer/);
    assert.equal(stub.asked("calendly_finish_sync").length, 2);
  } finally {
    performance.now = now;
  }
});

Deno.test("the next user is synced though one run fails", async () => {
  await using stub = await stubOf(FINISH, {
    calendly_finish_sync: () =>
      Response.json({ code: "P0001", message: "gone", details: "lease_lost" }, { status: 400 }),
  });
  const run = await started(FINISH);
  const claims = [run, run, { status: "idle", revocations_due: false }];
  stub.answers.calendly_claim_sync = () => claims.shift();
  using _errors = collectErrors();
  await syncDue(new Database());
  assert.equal(stub.asked("calendly_fail_sync").length, 2);
  assert.equal(stub.names.at(-1), "calendly_claim_sync");
});

Deno.test("an RPC that does not exist is told as missing migrations", async () => {
  await using _stub = new Stub({});
  await assertFails(sync(new Database(), REQUEST), "migrations_missing", /does not have/);
});

Deno.test("a wrong CALENDLY_API_URL is told to the run, and not taken for an outage", async () => {
  await using stub = await stubOf(PAGE);
  Deno.env.set("CALENDLY_API_URL", "api.calendly.com");
  using _errors = collectErrors();
  await assertFails(sync(new Database(), REQUEST), "not_configured", /CALENDLY_API_URL/);
  assert.equal(stub.asked("calendly_fail_sync")[0].error.code, "not_configured");
});
