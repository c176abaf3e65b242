/** A database that is away, not set up or of another mind: a caller, a run and a log are told which. */
import assert from "node:assert/strict";
import { assertMirrors } from "./mirror.ts";
import { day, projectTests } from "./support.ts";
import type { Interception } from "./wire.ts";

const FEW = { events: 3, variety: "plain", from: day(2), to: day(9) } as const;

/** An answer of the Data API, or of the gateway before it, in place of the true one. */
function answering(status: number, body: unknown): Interception {
  return () =>
    Promise.resolve(
      typeof body === "string" ? new Response(body, { status }) : Response.json(body, { status }),
    );
}

/** One of the Data API's own errors. */
function failing(status: number, code: string): Interception {
  return answering(status, { code, message: "In its own words", details: null, hint: null });
}

const AWAY: [string, Interception][] = [
  ["has no connection to Postgres", failing(503, "PGRST000")],
  ["has lost its connection to Postgres", failing(503, "PGRST001")],
  ["cannot read what functions there are", failing(503, "PGRST002")],
  ["has no connection left in its pool", failing(504, "PGRST003")],
  ["is told that Postgres restarts", failing(503, "57P01")],
  ["is not reached", answering(504, "<html>Gateway Time-out</html>")],
  ["has a page of a proxy in its place", answering(200, "<html>Sign in</html>")],
  ["has a list in its place", answering(502, [])],
];

projectTests("The database", {
  "is away": async (project, t) => {
    const person = await project.person(FEW);
    for (const [what, interception] of AWAY) {
      await t.step(`the Data API ${what}`, async () => {
        project.wire.next("calendly_begin_sync", interception);
        const { status, body: { error } } = await person.sync();
        assert.deepEqual([status, error.code], [503, "database_unavailable"]);
        assert.match(error.hint, /in a moment.*the project's database/);
      });
    }
    await t.step("for a moment in the middle of a sync, which goes on", async () => {
      for (const [, interception] of AWAY) {
        project.wire.next("calendly_apply_step", interception);
        assert.equal((await person.sync()).body.status, "complete");
        await assertMirrors(person);
      }
    });
  },

  "does not accept the secret key": async (project, t) => {
    const person = await project.person(FEW);
    const refusals: [string, Interception][] = [
      ["which the gateway does not know", answering(401, { message: "Invalid API key" })],
      ["whose signature does not fit", failing(401, "PGRST301")],
    ];
    for (const [what, interception] of refusals) {
      await t.step(what, async () => {
        project.wire.next("calendly_begin_sync", interception);
        const { status, body: { error } } = await person.sync();
        assert.deepEqual([status, error.code], [503, "not_configured"]);
        assert.match(error.hint, /SUPABASE_SECRET_KEYS/);
      });
    }
  },

  "refuses what the secret key says of itself": async (project) => {
    const person = await project.person(FEW);
    const early = answering(401, { code: "PGRST303", message: "JWT issued at future" });
    project.wire.next("calendly_begin_sync", early);
    const { status, body: { error } } = await person.sync();
    assert.deepEqual([status, error.code], [503, "key_claims_refused"]);
    assert.match(error.message, /JWT issued at future/);
    assert.match(error.hint, /clocks.*new secret key/);
    // clocks that differ for a moment
    project.wire.next("calendly_apply_step", early);
    assert.equal((await person.sync()).body.status, "complete");
  },

  "is behind a Data API that does not expose the schema public": async (project) => {
    const person = await project.person(FEW);
    project.wire.next("calendly_begin_sync", failing(406, "PGRST106"));
    const { status, body: { error } } = await person.sync();
    assert.deepEqual([status, error.code], [503, "schema_not_exposed"]);
    assert.match(error.hint, /exposed schemas/);
    assert.doesNotMatch(error.hint, /migrations/);
  },

  "has a trigger of the app's own that needs a function which is missing": async (project) => {
    const person = await project.person(FEW);
    await project.stack.sql(`
      create function public.refuse() returns trigger language plpgsql as
      $$ begin perform public.no_longer_there(); return new; end $$`);
    await project.stack.sql(
      "create trigger refuse before insert on calendly_meetings for each row execute function refuse()",
    );
    const { status, body } = await person.sync();
    assert.deepEqual([status, body.error.code], [500, "internal"]);
    assert.match(body.error.hint, /42883.*log/);
    await project.stack.sql("drop function refuse() cascade");
  },

  "has a trigger of the app's own that refuses a meeting": async (project) => {
    const person = await project.person(FEW);
    await project.stack.sql(`
      create function public.refuse() returns trigger language plpgsql as
      $$ begin raise exception 'No room for meetings at 7 Elm Street'; end $$`);
    await project.stack.sql(
      "create trigger refuse before insert on calendly_meetings for each row execute function refuse()",
    );
    const { status, body } = await person.sync();
    assert.deepEqual([status, body.error.code], [500, "internal"]);
    assert.match(body.error.hint, /P0001.*log/);
    const [run] = await person.runs();
    assert.deepEqual([run.status, run.error.code], ["failed", "internal"]);
    assert.match(run.error.hint, /P0001.*log/);
    const [{ failures }] = await project.stack.sql(
      "select failures from calendly_connections where user_id = $1",
      [person.id],
    );
    assert.equal(failures, 1);
    // the person reads the run as well
    assert.doesNotMatch(JSON.stringify([body, run]), /Elm Street/);
    assert.ok(project.logs().some((line) => line.includes("Elm Street")));

    await project.stack.sql("drop function refuse() cascade");
    assert.equal((await person.sync()).body.created, 3);
  },
});
