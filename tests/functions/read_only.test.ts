/** A Postgres that is set to read-only, as the platform does when the disk is nearly full. */
import assert from "node:assert/strict";
import postgres from "postgres";
import { assertMirrors } from "./mirror.ts";
import { day, type Project, projectTest, until } from "./support.ts";

const FEW = { events: 3, variety: "plain", from: day(2), to: day(9) } as const;

/** Sets the project's database to read-only or back, for every session. */
async function setReadOnly(project: Project, isOn: boolean): Promise<void> {
  const [{ name }] = await project.stack.sql<{ name: string }>("select current_database() as name");
  const server = postgres(Deno.env.get("TEST_DATABASE_URL")!, { max: 1, onnotice: () => {} });
  try {
    await server.unsafe(
      `alter database ${name} set default_transaction_read_only = ${isOn ? "on" : "off"}`,
    );
    // What sessions there are keep what they began with.
    await server`
      select pg_terminate_backend(pid, 10000) from pg_stat_activity where datname = ${name}`;
  } finally {
    await server.end();
  }
  // The stack notices each lost connection when it uses it.
  await until(async () => {
    try {
      const shown = await Promise.all(
        Array.from(
          { length: 20 },
          () =>
            project.stack.sql<{ default_transaction_read_only: string }>(
              "show default_transaction_read_only",
            ),
        ),
      );
      return shown.every(([row]) => row.default_transaction_read_only === (isOn ? "on" : "off"));
    } catch {
      return false;
    }
  });
}

projectTest("a database that is set to read-only", async (project, t) => {
  const person = await project.person(FEW);
  const health = async () => {
    const { status, body } = await project.fetch("calendly-sync/health", {
      headers: { apikey: project.stack.secretKey },
    });
    return { status, codes: body.alerts.map(({ code }: { code: string }) => code) };
  };

  await t.step("is told to whoever clicks, and is unhealthy at once", async () => {
    assert.ok(!(await health()).codes.includes("database_read_only"));
    await setReadOnly(project, true);
    const { status, body: { error } } = await person.sync();
    assert.deepEqual([status, error.code, error.reason], [503, "database_unavailable", "25006"]);
    assert.match(error.message, /takes no writes/);
    assert.doesNotMatch(error.hint, /trigger/);
    const { status: unhealthy, codes } = await health();
    assert.deepEqual([unhealthy, codes.includes("database_read_only")], [503, true]);
    assert.equal((await project.fetch("calendly-sync/health", { method: "HEAD" })).status, 503);
    assert.equal((await person.runs()).length, 0);
    await setReadOnly(project, false);
    assert.ok(!(await health()).codes.includes("database_read_only"));
  });

  await t.step("in the middle of a run ends nothing: the run goes on", async () => {
    const held = project.wire.hold("calendly_apply_step");
    const click = person.sync();
    await held.arrived;
    await setReadOnly(project, true);
    held.release();
    const { status, body: { error } } = await click;
    assert.deepEqual([status, error.code], [503, "database_unavailable"]);
    const [run] = await person.runs();
    assert.deepEqual([run.status, run.error], ["running", null]);

    await setReadOnly(project, false);
    await project.advance("3m");
    const { body } = await person.sync();
    assert.deepEqual([body.run_id, body.status, body.created], [run.id, "complete", 3]);
    const [{ failures, last_error }] = await project.stack.sql(
      "select failures, last_error from calendly_connections where user_id = $1",
      [person.id],
    );
    assert.deepEqual([failures, last_error], [0, null]);
    await assertMirrors(person);
  });
}, { on: "real" });
