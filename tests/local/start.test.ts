/** `deno task start`: options, errors, stack.json, and the main job with --once. */
import assert from "node:assert/strict";
import { createClient } from "@supabase/supabase-js";
import postgres from "postgres";
import { parseOptions } from "../../local/main.ts";
import { Problem } from "../../cli/problem.ts";
import { startStack } from "../../local/stack.ts";
import { invoke, runOnce, start } from "../../local/first_run.ts";
import { createDatabase } from "../harness/databases.ts";
import { needing } from "../harness/requirements.ts";
import {
  assertProblem,
  NO_CALENDLY,
  quietTerminal,
  spawn,
  temporaryFolder,
  waitForFile,
} from "./support.ts";

const migrations = new URL("./fixtures/migrations/", import.meta.url);
const functions = new URL("./fixtures/functions/", import.meta.url);

Deno.test("a wrong option is refused with an example of a right one", () => {
  const cases: [args: string[], code: string, message: RegExp][] = [
    [["--prot", "1"], "unknown_option", /--prot/],
    [["fast"], "unknown_option", /fast/],
    [["--port"], "unknown_option", /--port/],
    [["--ephemeral=yes"], "unknown_option", /--ephemeral/],
    [["--port", "http"], "bad_option", /--port http/],
    [["--port", "65536"], "bad_option", /65536/],
    [["--database-url", "mysql://127.0.0.1/x"], "bad_option", /--database-url/],
    [["--calendly-url", "calendly.com"], "bad_option", /--calendly-url/],
  ];
  for (const [args, code, message] of cases) {
    assert.throws(() => parseOptions(args, {}), (error) => {
      assert.ok(error instanceof Problem);
      assert.equal(error.code, code, args.join(" "));
      assert.match(error.message, message);
      assert.ok(error.hint);
      return true;
    });
  }
});

Deno.test("options come from the environment, and the command line overrides it", () => {
  const options = parseOptions(["--calendly-url", "http://127.0.0.1:4000/"], {
    CALENDLY_API_URL: "https://api.calendly.com",
    CALENDLY_TOKEN_KEY: "a key",
    CALENDLY_CLIENT_ID: "",
    SUPABASE_PUBLIC_URL: "https://supabase.example.com",
    SUPABASE_URL: "https://another.example.com",
    PATH: "/bin",
  });
  assert.ok(options !== "help");
  assert.equal(options.stack.calendlyUrl, "http://127.0.0.1:4000");
  assert.deepEqual(options.stack.env, {
    CALENDLY_TOKEN_KEY: "a key",
    SUPABASE_PUBLIC_URL: "https://supabase.example.com",
  });
  assert.equal(options.stack.port, 54321);
});

Deno.test("stack.json exists while the stack answers, and is removed after Ctrl-C or SIGTERM", async (t) => {
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    await t.step(signal, async () => {
      await using folder = await temporaryFolder();
      const fresh = `${folder.path}/not-there-yet`;
      const child = spawn(fresh, [
        "--ephemeral",
        "--port=0",
        `--calendly-url=${NO_CALENDLY}`,
      ]);
      const description = await waitForFile(`${fresh}/stack.json`, child);
      assert.deepEqual(Object.keys(description), [
        "url",
        "publishable_key",
        "secret_key",
        "database_url",
        "demo_user",
        "calendly_url",
      ]);
      assert.equal(description.calendly_url, NO_CALENDLY);
      const response = await fetch(`${description.url}/rest/v1/calendly_users`, {
        headers: { apikey: description.secret_key },
      });
      assert.deepEqual(await response.json(), [], "nobody is connected");
      child.process.kill(signal);
      const { code } = await child.process.status;
      assert.equal(code, 0, await child.output);
      await assert.rejects(Deno.stat(`${fresh}/stack.json`), Deno.errors.NotFound);
      await assert.rejects(fetch(description.url), TypeError);
    });
  }
});

Deno.test("a taken port is the error port_taken", async () => {
  await using folder = await temporaryFolder();
  using taken = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = taken.addr;
  await assertProblem(
    startStack({ port, ephemeral: true, folder: folder.path, calendlyUrl: NO_CALENDLY }),
    "port_taken",
    new RegExp(String(port)),
  );
});

Deno.test("a database that cannot be reached is the error database_unreachable", async () => {
  await using folder = await temporaryFolder();
  await assertProblem(
    startStack({
      databaseUrl: "postgresql://nobody@127.0.0.1:9/x",
      ephemeral: true,
      folder: folder.path,
    }),
    "database_unreachable",
    /ECONNREFUSED/,
  );
});

Deno.test({
  ...needing("a database user who is no superuser is the error not_superuser", "realPostgres"),
  async fn() {
    const { url, drop } = await createDatabase({ migrations: null });
    const admin = postgres(url, { max: 1 });
    const user = new URL(url);
    user.username = `plain_${crypto.randomUUID().replaceAll("-", "")}`;
    user.password = "secret";
    await admin.unsafe(`create role ${user.username} login password '${user.password}'`);
    try {
      const problem = await assertProblem(
        startStack({ databaseUrl: user.href, ephemeral: true, calendlyUrl: NO_CALENDLY }),
        "not_superuser",
        new RegExp(user.username),
      );
      assert.match(problem.hint, /superuser/);
    } finally {
      await admin.unsafe(`drop role ${user.username}`);
      await admin.end();
      await drop();
    }
  },
});

Deno.test({
  ...needing(
    "the error migration_changed on a real Postgres says to keep keys.json",
    "realPostgres",
  ),
  async fn() {
    await using folder = await temporaryFolder();
    const { url, drop } = await createDatabase({ migrations });
    try {
      const [file] = [...Deno.readDirSync(migrations)];
      await Deno.writeTextFile(`${folder.path}/${file.name}`, "select 1;");
      const problem = await assertProblem(
        startStack({
          databaseUrl: url,
          folder: folder.path,
          calendlyUrl: NO_CALENDLY,
          migrations: new URL(`file://${folder.path}/`),
        }),
        "migration_changed",
        /20260101000000_notes\.sql/,
      );
      assert.match(problem.hint, /a fresh database.* by hand.*[Kk]eep .*keys\.json/);
    } finally {
      await drop();
    }
  },
});

Deno.test("a folder keeps the database and the keys, for one stack at a time", async () => {
  await using folder = await temporaryFolder();
  const options = { folder: folder.path, migrations, functions, calendlyUrl: NO_CALENDLY };

  const first = await startStack(options);
  const { auth_user_id } = await first.createUser({ email: "ada@example.com" });
  await assertProblem(startStack(options), "folder_in_use", /Another stack/);
  await first.stop();

  const second = await startStack(options);
  const { secretKey, publishableKey } = second;
  const accounts = await second.sql("select id from auth.users where email = 'ada@example.com'");
  await second.stop();
  assert.deepEqual(accounts, [{ id: auth_user_id }]);
  assert.deepEqual([secretKey, publishableKey], [first.secretKey, first.publishableKey]);

  const edited = `${folder.path}/edited`;
  await Deno.mkdir(edited);
  const [file] = [...Deno.readDirSync(migrations)];
  await Deno.writeTextFile(`${edited}/${file.name}`, "select 1;");
  await assertProblem(
    startStack({ ...options, migrations: new URL(`file://${edited}/`) }),
    "migration_changed",
    /20260101000000_notes\.sql/,
  );
});

Deno.test("a project goes on syncing after it started on another port", async () => {
  await using folder = await temporaryFolder();
  const options = { folder: folder.path, cron: false, sandboxOptions: { events: 3 } };
  for (const kind of ["FULL", "INCREMENTAL"]) {
    const stack = await startStack(options);
    try {
      const demo = createClient(stack.url, stack.publishableKey, {
        auth: { persistSession: false, autoRefreshToken: false },
      });
      await demo.auth.signInWithPassword(stack.demoUser);
      const { token } = stack.sandbox!.demo;
      await demo.functions.invoke("calendly-connect", { body: { token, sync: false } });
      const { data, error } = await demo.functions.invoke("calendly-sync", { body: {} });
      assert.equal(error, null, stack.functions.logs("calendly-sync").join("\n"));
      assert.deepEqual([data.sync_type, data.status], [kind, "complete"]);
    } finally {
      await stack.stop();
    }
  }
});

Deno.test("a start after another one goes on where that was", async (t) => {
  await using folder = await temporaryFolder();
  const file = `${folder.path}/stack.json`;

  await using first = spawn(folder.path, ["--port=0"]);
  const { calendly_url, database_url } = await waitForFile(file, first);
  const booked = await fetch(`${calendly_url}/_sandbox/book`, {
    method: "POST",
    body: JSON.stringify({ location: "physical" }),
  });
  const { event } = await booked.json();
  const state = `${folder.path}/sandbox.json`;
  await untilTrue(async () => (await Deno.readTextFile(state)).includes(event.uri));
  const database = postgres(database_url, { max: 1 });
  await untilTrue(async () => {
    const [{ stored }] = await database`
      select exists (select from calendly_meetings where calendly_event_uri = ${event.uri}) as stored`;
    return stored;
  });
  await database.end();

  await t.step("two at once in one folder: the second is refused", async () => {
    const second = spawn(folder.path, ["--port=0"]);
    assert.equal((await second.process.status).code, 1);
    assert.match(await second.output, /folder_in_use/);
  });
  await t.step("killed, it leaves a project that has lost nothing", async () => {
    first.process.kill("SIGKILL");
    await first.process.status;
    const output = await first.output;
    assert.ok(!output.includes("\x1b") && !output.includes("Download"), output);
    await Deno.remove(file);
    const again = await startAgain(folder.path);
    assert.match(again, /INCREMENTAL sync of 251 meetings: /);
    assert.doesNotMatch(again, /\d (new|deleted|restored)/);
    assert.ok(again.includes(database_url), `Postgres is still there: ${again}`);
    assert.ok(again.includes(calendly_url), `the sandbox is still there: ${again}`);
  });
  await t.step("with nothing changed the sync costs three requests, writes nothing", async () => {
    const output = await startAgain(folder.path);
    assert.match(output, /INCREMENTAL sync of 251 meetings: 3 requests, nothing written/);
  });
  await t.step("a sync that ended with its stack holds nobody up", async () => {
    for (const _start of ["first", "second"]) {
      const stack = await startStack({ folder: folder.path, cron: false });
      const [{ begun }] = await stack.sql(
        `select calendly_begin_sync('{"user_id": 1, "trigger": "manual"}') as begun`,
      );
      await stack.stop();
      assert.equal(begun.status, "started");
    }
    assert.match(await startAgain(folder.path), /INCREMENTAL sync of 251 meetings: /);
  });
  await t.step(
    "without the sandbox's state there is a new account, in place of the former one",
    async () => {
      const { user } = JSON.parse(await Deno.readTextFile(state)).demo;
      await Deno.remove(state);
      const output = await startAgain(folder.path);
      assert.match(output, /FULL sync of 250 meetings: 250 new; /);
      assert.match(
        output,
        /The sandbox has a new Calendly account\. What the former one brought is erased/,
      );
      assert.notEqual(JSON.parse(await Deno.readTextFile(state)).demo.user, user);
    },
  );
  await t.step("without the database everything is synced again", async () => {
    await Deno.remove(`${folder.path}/database`, { recursive: true });
    const saved = JSON.parse(await Deno.readTextFile(state));
    saved.rate_limit.windows = []; // Or it would wait for the next minute.
    await Deno.writeTextFile(state, JSON.stringify(saved));
    assert.match(await startAgain(folder.path), /FULL sync of 250 meetings: 250 new; \d+ requests/);
  });
  await t.step("a state that cannot be read is the error sandbox_broken", async () => {
    await Deno.writeTextFile(state, "{");
    await assertProblem(startStack({ folder: folder.path }), "sandbox_broken", /sandbox\.json/);
    assert.equal(await Deno.readTextFile(state), "{");
  });
});

async function untilTrue(holds: () => Promise<boolean>): Promise<void> {
  while (!await holds()) await new Promise((resolve) => setTimeout(resolve, 20));
}

/** What a start prints; it is ended when it is ready. */
async function startAgain(folder: string): Promise<string> {
  const interruption = new AbortController();
  let output = "";
  const terminal = quietTerminal((text) => {
    output += text;
    if (output.includes("Ctrl-C ends it.")) interruption.abort();
  });
  assert.equal(await start(terminal, { folder }, interruption.signal), 0, output);
  return output;
}

Deno.test("a start waits for a sync that the schedule has begun", async () => {
  let asked = 0;
  const inProgress = {
    error: { code: "sync_in_progress", message: "A sync of this user is running." },
  };
  await using server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen() {} },
    () => ++asked < 3 ? Response.json(inProgress, { status: 409 }) : Response.json({ created: 1 }),
  );
  const client = createClient(`http://127.0.0.1:${server.addr.port}`, "a key");
  let waits = 0;
  assert.deepEqual(await invoke(client, "calendly-sync", {}, () => waits++), { created: 1 });
  assert.deepEqual([asked, waits], [3, 1]);
  assert.deepEqual(await invoke(client, "calendly-sync", {}, () => waits++), { created: 1 });
  assert.equal(waits, 1, "nothing was waited for");
});

Deno.test("a broken database folder is the error database_broken", async () => {
  await using folder = await temporaryFolder();
  await Deno.mkdir(`${folder.path}/database`);
  await Deno.writeTextFile(`${folder.path}/database/PG_VERSION`, "not a database");
  await assertProblem(
    startStack({ folder: folder.path, calendlyUrl: NO_CALENDLY }),
    "database_broken",
    /database/,
  );
});

Deno.test("a migration that fails is the error migration_failed, with its file and reason", async () => {
  await using folder = await temporaryFolder();
  await Deno.writeTextFile(`${folder.path}/1_broken.sql`, "select 1 / 0;");
  await assertProblem(
    startStack({
      folder: folder.path,
      ephemeral: true,
      calendlyUrl: NO_CALENDLY,
      migrations: new URL(`file://${folder.path}/`),
    }),
    "migration_failed",
    /1_broken\.sql failed: division by zero/,
  );
});

Deno.test("a missing network at the first start is the error no_network", async () => {
  await using folder = await temporaryFolder();
  const child = spawn(folder.path, ["--ephemeral"], {
    DENO_DIR: `${folder.path}/cache`,
    NPM_CONFIG_REGISTRY: "http://127.0.0.1:9/",
  });
  assert.equal((await child.process.status).code, 1);
  assert.match(await child.output, /no_network/);
});

Deno.test("--once shows a FULL and an INCREMENTAL sync, a booking by webhook and health, and exits with 0", async () => {
  await using folder = await temporaryFolder();
  const child = spawn(folder.path, ["--once", "--ephemeral"]);
  const { code } = await child.process.status;
  const output = await child.output;
  assert.equal(code, 0, output);
  assert.match(output, /FULL SYNC: Fetching all Calendly events \(2 years back, 1 year forward\)/);
  assert.match(output, /INCREMENTAL Calendly sync complete: 2 new, 0 updated, 2 deleted/);
  assert.match(output, /Katherine Johnson books a meeting in Postgres after \d+ ms/);
  assert.match(output, /She cancels it: Off to the moon in Postgres after \d+ ms/);
  assert.match(output, /calendly_initial_sync_complete +true/);
  assert.ok(!output.includes("\x1b") && !output.includes("✗"), output);
});

Deno.test("--once fails when a function does not answer", async () => {
  await using folder = await temporaryFolder();
  await assertProblem(
    runOnce(
      quietTerminal(),
      { ephemeral: true, folder: folder.path, functions: EMPTY },
      NEVER,
    ),
    "sync_failed",
    /calendly-connect failed: NOT_FOUND/,
  );
});

Deno.test("functions that do not start are the error functions_failed", async () => {
  await using folder = await temporaryFolder();
  const options = { ephemeral: true, folder: folder.path, functions };
  await assertProblem(
    runOnce(quietTerminal(), options, NEVER),
    "functions_failed",
    /do not start/,
  );
});

const NEVER = new AbortController().signal;
const EMPTY = new URL("./fixtures/migrations/", import.meta.url);
