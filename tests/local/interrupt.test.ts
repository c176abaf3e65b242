/** A project that is starting or ending: what it answers, and what is left after Ctrl-C. */
import assert from "node:assert/strict";
import postgres from "postgres";
import { startStack } from "../../local/stack.ts";
import { runOnce, start } from "../../local/first_run.ts";
import { freePort } from "../harness/cluster.ts";
import { createDatabase } from "../harness/databases.ts";
import { needing } from "../harness/requirements.ts";
import { eventually } from "../schedule/support.ts";
import { NO_CALENDLY, quietTerminal, spawn, temporaryFolder } from "./support.ts";

Deno.test("Ctrl-C ends a start whose Postgres does not answer", async (t) => {
  for (const args of [[], ["--once"]]) {
    await t.step(args.join() || "without options", async () => {
      await using folder = await temporaryFolder();
      await using silent = silentPostgres();
      const child = spawn(folder.path, ["--port=0", `--database-url=${silent.url}`, ...args]);
      await silent.connected;
      child.process.kill("SIGINT");
      const { code } = await child.process.status;
      const output = await child.output;
      assert.equal(code, 130, output);
      assert.doesNotMatch(output, /error|database_unreachable/i);
    });
  }
});

Deno.test("an interrupted start releases its port and its folder", async () => {
  await using folder = await temporaryFolder();
  await using silent = silentPostgres();
  const port = freePort();
  const interruption = new AbortController();
  const start = startStack({
    port,
    databaseUrl: silent.url,
    folder: folder.path,
    calendlyUrl: NO_CALENDLY,
    signal: interruption.signal,
  });
  await silent.connected;
  interruption.abort();
  await assert.rejects(start, (error) => error === interruption.signal.reason);
  Deno.listen({ hostname: "127.0.0.1", port }).close();
  using lock = await Deno.open(`${folder.path}/lock`, { write: true });
  assert.ok(await lock.tryLock(true), "the folder is free");
});

Deno.test({
  ...needing("an interrupted start rolls its migration back", "realPostgres"),
  async fn() {
    await using folder = await temporaryFolder();
    await Deno.writeTextFile(
      `${folder.path}/1_waits.sql`,
      "create table public.half (); select pg_advisory_xact_lock(1);",
    );
    const { url, drop } = await createDatabase({ migrations: null });
    const other = postgres(url, { max: 1 });
    try {
      await other`select pg_advisory_lock(1)`;
      const interruption = new AbortController();
      const start = startStack({
        databaseUrl: url,
        ephemeral: true,
        calendlyUrl: NO_CALENDLY,
        migrations: new URL(`file://${folder.path}/`),
        signal: interruption.signal,
      });
      const waiting = () =>
        other`select from pg_locks where locktype = 'advisory' and not granted
          and database = (select oid from pg_database where datname = current_database())`;
      await eventually("the migration waits", async () => (await waiting()).length === 1);
      interruption.abort();
      await assert.rejects(start, (error) => error === interruption.signal.reason);
      await other`select pg_advisory_unlock(1)`;
      await eventually("its session has ended", async () => {
        const [{ sessions }] = await other`
          select count(*)::integer as sessions from pg_stat_activity
          where datname = current_database()`;
        return sessions === 1;
      });
      assert.deepEqual([...await other`select to_regclass('public.half') as half`], [{
        half: null,
      }]);
    } finally {
      await other.end();
      await drop();
    }
  },
});

Deno.test("Ctrl-C ends a start whose functions do not start, and their processes", async () => {
  await using folder = await temporaryFolder();
  await Deno.mkdir(`${folder.path}/functions/slow`, { recursive: true });
  await Deno.writeTextFile(`${folder.path}/functions/slow/deno.json`, "{}");
  await Deno.writeTextFile(
    `${folder.path}/functions/slow/index.ts`,
    `console.log("begun", Deno.pid); setInterval(() => {}, 1000); await new Promise(() => {});`,
  );
  const begun = Promise.withResolvers<number>();
  const terminal = quietTerminal((text) => {
    const [, pid] = text.match(/begun (\d+)/) ?? [];
    if (pid) begun.resolve(Number(pid));
  });
  const interruption = new AbortController();
  const running = runOnce(terminal, {
    ephemeral: true,
    folder: folder.path,
    functions: new URL(`file://${folder.path}/functions/`),
  }, interruption.signal);
  const pid = await begun.promise;
  interruption.abort();
  await assert.rejects(running, (error) => error === interruption.signal.reason);
  assert.throws(() => Deno.kill(pid, "SIGCONT"), Deno.errors.NotFound);
});

Deno.test({
  ...needing("Ctrl-C ends a start during its first sync", "realPostgres"),
  async fn() {
    await using folder = await temporaryFolder();
    const { url, drop } = await createDatabase();
    try {
      const interruption = new AbortController();
      const terminal = quietTerminal((text) => {
        if (text.includes("✓ Edge Functions")) interruption.abort();
      });
      const options = { databaseUrl: url, ephemeral: true, folder: folder.path };
      await assert.rejects(
        start(terminal, options, interruption.signal),
        (error) => error === interruption.signal.reason,
      );
    } finally {
      await drop();
    }
  },
});

Deno.test("a project that is ending takes no requests", async () => {
  const functions = new URL("./fixtures/functions/", import.meta.url);
  const options = { ephemeral: true, migrations: null, functions, calendlyUrl: NO_CALENDLY };
  const stack = await startStack(options);
  await (await fetch(`${stack.url}/functions/v1/echo`)).body?.cancel(); // starts a process that has to be ended
  const ended = stack.stop();
  await assert.rejects(fetch(`${stack.url}/rest/v1/`), TypeError);
  await ended;
});

Deno.test("until it is ready a project answers 503 with retry-after", async (t) => {
  await using silent = silentPostgres();
  const port = freePort();
  const interruption = new AbortController();
  const start = startStack({
    port,
    databaseUrl: silent.url,
    ephemeral: true,
    calendlyUrl: NO_CALENDLY,
    signal: interruption.signal,
  });
  try {
    await silent.connected;
    for (const path of ["rest/v1/calendly_users", "auth/v1/token", "functions/v1/calendly-sync"]) {
      await t.step(path, async () => {
        const url = `http://127.0.0.1:${port}/${path}`;
        const preflight = await fetch(url, { method: "OPTIONS" });
        assert.equal(preflight.status, 204);
        const response = await fetch(url, { headers: { origin: "http://127.0.0.1:3000" } });
        assert.equal(response.status, 503);
        assert.equal(response.headers.get("retry-after"), "1");
        assert.equal(response.headers.get("access-control-allow-origin"), "*");
        const { code, message, hint } = await response.json();
        assert.equal(code, "STARTING");
        assert.ok(message && hint);
      });
    }
  } finally {
    interruption.abort();
    await assert.rejects(start);
  }
});

/** A server that takes connections as Postgres does, and never answers; `connected` after the first one. */
function silentPostgres(): { url: string; connected: Promise<void> } & AsyncDisposable {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const connected = Promise.withResolvers<void>();
  const connections: Deno.Conn[] = [];
  const accepting = (async () => {
    for await (const connection of listener) {
      connections.push(connection);
      await connection.read(new Uint8Array(1024));
      connected.resolve();
    }
  })();
  return {
    url: `postgresql://somebody@127.0.0.1:${listener.addr.port}/postgres`,
    connected: connected.promise,
    async [Symbol.asyncDispose]() {
      listener.close();
      await accepting;
      for (const connection of connections) connection.close();
    },
  };
}
