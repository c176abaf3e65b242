/** A nudge only asks a worker to look for due work: it has no credentials and no content. */
import assert from "node:assert/strict";
import { type Project, projectTest } from "../functions/support.ts";
import { allSynced, eventually, people, takeRequests, tick } from "./support.ts";

const NUDGE = "calendly-sync/nudge";

/** The content of every table but calendly.project, in which each tick and nudge leaves its time. */
async function allRows(project: Project): Promise<string> {
  const tables = await project.stack.sql<{ name: string }>(
    `select format('%I.%I', schemaname, tablename) as name from pg_catalog.pg_tables
     where (schemaname in ('public', 'calendly', 'auth')) and tablename <> 'project' order by 1`,
  );
  const contents = await Promise.all(tables.map(async ({ name }) => {
    const [{ content }] = await project.stack.sql(
      `select coalesce(string_agg(t::text || t.ctid, ' ' order by t::text), '') as content from ${name} t`,
    );
    return `${name}: ${content}`;
  }));
  return contents.join("\n");
}

projectTest("a nudge is answered at once, however long the work takes", async (project) => {
  await people(project, 1);
  await project.advance("15m");
  project.sandbox.control.faults({ path: "/scheduled_events", effect: { kind: "slow", ms: 3000 } });
  await project.fetch("calendly-sync/health"); // starts the function
  const began = performance.now();
  const { status, body } = await project.fetch(NUDGE, { method: "POST" });
  const waited = performance.now() - began;
  assert.deepEqual([status, body], [202, { status: "accepted" }]);
  assert.ok(waited < 2000, `it took ${waited} ms`);
  await allSynced(project);
});

projectTest("a nudge of a stranger, in whatever form, changes nothing", async (project, t) => {
  const [person] = await people(project, 2, 1);
  await project.advance("15m");
  await tick(project);
  await allSynced(project);
  takeRequests(project);
  const before = await allRows(project);
  const { publishableKey } = project.stack;

  const forms: [form: string, init: RequestInit][] = [
    ["without key and body", {}],
    ["with the publishable key", { headers: { apikey: publishableKey } }],
    ["with wrong keys", {
      headers: { apikey: "sb_secret_no", authorization: "Bearer x.y.z" },
    }],
    ["with a user_id", { body: JSON.stringify({ user_id: person.id, full: true }) }],
    ["with another address", {
      body: JSON.stringify({ project_url: "https://evil.example.com", max_workers: 200 }),
      headers: { "x-forwarded-host": "evil.example.com", forwarded: "host=evil.example.com" },
    }],
    ["with a body that is no JSON", { body: "\0 { not json" }],
    ["with a megabyte", { body: "x".repeat(1_000_000) }],
  ];
  for (const [form, init] of forms) {
    await t.step(form, async () => {
      const answer = await project.fetch(NUDGE, { method: "POST", ...init });
      assert.deepEqual([answer.status, answer.body], [202, { status: "accepted" }]);
    });
  }
  await t.step("a hundred times", async () => {
    const answers = await Promise.all(
      Array.from({ length: 100 }, () => project.fetch(NUDGE, { method: "POST" })),
    );
    assert.deepEqual([...new Set(answers.map(({ status }) => status))], [202]);
  });
  await t.step("by another method", async () => {
    assert.equal((await project.fetch(NUDGE)).status, 405);
    assert.equal((await project.fetch(NUDGE, { method: "DELETE" })).status, 405);
  });

  const claims = () => project.wire.calls.filter((name) => name === "calendly_claim_sync").length;
  const claimsBefore = claims();
  await eventually("a nudge after all of these claims", async () => {
    await project.fetch(NUDGE, { method: "POST" });
    return claims() > claimsBefore;
  });
  assert.equal(await allRows(project), before, "no row has changed");
  assert.equal(takeRequests(project).total, 0, "Calendly was not asked");
  const [{ url, moved_to }] = await project.stack.sql("select * from calendly.project");
  assert.deepEqual([url, moved_to], [project.wire.url, null]);
});

projectTest(
  "sixty nudges at once start no more workers than max_workers",
  async (project) => {
    await people(project, 8);
    await project.advance("15m");
    await project.set("max_workers", 1);
    project.sandbox.control.faults({
      path: "/scheduled_events",
      times: null,
      effect: { kind: "slow", ms: 700 },
    });
    let most = 0;
    const watching = setInterval(async () => {
      const [{ n }] = await project.stack.sql(
        "select count(*)::integer as n from calendly.active_runs where lease is not null",
      );
      most = Math.max(most, n);
    }, 60);
    try {
      await Promise.all(
        Array.from({ length: 60 }, () => project.fetch(NUDGE, { method: "POST" })),
      );
      await allSynced(project);
    } finally {
      clearInterval(watching);
    }
    assert.equal(most, 1);
    const runs = await project.stack.sql("select user_id, status from public.calendly_sync_runs");
    assert.equal(runs.length, 8, "each person is synced once");
    assert.ok(runs.every(({ status }) => status === "complete"));
  },
);

projectTest(
  "the project's address comes from SUPABASE_URL only, not from a request",
  async (project) => {
    const address = async () =>
      (await project.stack.sql("select url from calendly.project"))[0].url;
    assert.equal(await address(), null, "before the first connection there is none");
    await project.fetch(NUDGE, {
      method: "POST",
      headers: { "x-forwarded-host": "evil.example.com", "x-forwarded-proto": "https" },
      body: JSON.stringify({ project_url: "https://evil.example.com" }),
    });
    await eventually(
      "the nudge has claimed",
      () => Promise.resolve(project.wire.calls.includes("calendly_claim_sync")),
    );
    assert.equal(await address(), null, "a nudge does not set it");
    await people(project, 1);
    assert.equal(await address(), project.wire.url, "connecting sets it to SUPABASE_URL");
  },
);
