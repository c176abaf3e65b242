/** `calendly-sync status`: what it prints, what it finds wrong, and how it answers when it cannot tell. */
import assert from "node:assert/strict";
import { stripVTControlCharacters } from "node:util";
import { readStatus, showStatus, type Status } from "../../cli/commands/status.ts";
import { findTarget } from "../../cli/target.ts";
import { Terminal } from "../../cli/terminal.ts";
import { NOW, projectTest } from "../functions/support.ts";
import { freePort } from "../harness/cluster.ts";
import { allSynced, people, tick } from "../schedule/support.ts";
import { type Answering, gateway, page, recorder, runProgram } from "./program.ts";

projectTest("status prints health, users, schedule and runs, and no secret", async (project, t) => {
  const { url, secretKey } = project.stack;
  const [ana, ben, cleo, dora] = await people(project, 4, 3);
  await project.advance("15m");
  await tick(project);
  await allSynced(project);
  project.sandbox.control.revoke_token({ token: ben.token });
  for (let attempt = 0; attempt < 3; attempt++) await ben.sync();
  project.sandbox.control.revoke_token({ token: cleo.token });
  await cleo.sync();
  project.sandbox.control.faults({
    user: dora.host.uri,
    path: "/scheduled_events",
    effect: { kind: "rate_limited", reset: 3600 },
  });
  await dora.sync();
  await project.advance("5m");
  await project.stack.sql("select calendly.nudge()");

  const status = await readStatus({ url, secretKey });
  const { terminal, printed } = recorder();
  showStatus(terminal, status, new Date(project.now));
  const text = printed();
  const has = (pattern: RegExp) => assert.match(text, pattern);

  await t.step("health and alerts", () => {
    has(/^Unhealthy$/m);
    has(new RegExp(`critical reconnect_required user ${ben.id} since 5 min ago`));
    has(/→ The person connects again/);
  });
  await t.step("who is being retried", () => {
    has(/^ {4}1 user is being retried:$/m);
    has(new RegExp(`^ {6}user ${cleo.id}, token_refused 1 time, next .*$`, "m"));
  });
  await t.step("what is paused, until when and why", () => {
    has(/^ {4}1 sync is not complete yet:$/m);
    has(
      new RegExp(
        `^ {6}user ${dora.id}, INCREMENTAL, paused, goes on in 5\\d min \\(rate_limited\\)\n` +
          ` {8}0 events listed, \\d+ requests?$`,
        "m",
      ),
    );
  });
  await t.step("versions", () => has(/calendly-connect +\d+\.\d+\.\d+\n/));
  await t.step(
    "freshness",
    () =>
      has(/3 connected users, 0 never synced\n +last proven .*\n +half of the users \(p50\) +\d+/),
  );
  await t.step("users", () => {
    has(new RegExp(`${ana.id} +person.1@example.com +active +5 min ago +in 10 min +3 +0 +0\n`));
    has(new RegExp(`${ben.id} +person.2@example.com +reconnect_required +5 min ago +– `));
  });
  await t.step("the schedule", () => {
    has(/last tick 0 s ago, \d due, 0 of 20 workers busy/);
    has(/calendly-nudge +\* \* \* \* \* .* succeeded/);
    has(/calendly-clean-runs +17 3 \* \* \* +never/);
  });
  await t.step("the last runs", () => {
    has(new RegExp(`5 min ago +${ana.id} +FULL +scheduled +complete +3 +0 +0 +4\n`));
    has(new RegExp(`${ben.id} +INCREMENTAL +manual +failed .* token_refused\n`));
  });
  await t.step("no secret", () => {
    const all = text + JSON.stringify(status);
    for (const secret of [secretKey, ana.token, ben.token]) assert.ok(!all.includes(secret));
  });
});

projectTest("a project without users is healthy", async (project) => {
  const { url, secretKey } = project.stack;
  const { terminal, printed } = recorder();
  const status = await readStatus({ url, secretKey });
  showStatus(terminal, status);
  assert.match(printed(), /^Healthy$\s+no alerts/m);
  assert.match(printed(), /Last runs\s+none/);
  assert.deepEqual(status.problems, []);
  assert.equal(new Set(Object.values(status.versions.functions)).size, 1);
}, { on: "embedded", seed: false });

projectTest(
  "status warns where members are recognized by e-mails that nothing proves",
  async (project, t) => {
    const { url, secretKey } = project.stack;
    const owner = await project.person({ connected: false });
    const read = async () => {
      const { terminal, printed } = recorder();
      const status = await readStatus({ url, secretKey });
      showStatus(terminal, status);
      return { codes: status.alerts.map(({ code }) => code), text: printed() };
    };
    await t.step("not while everybody connects for themselves", async () => {
      await owner.connect({ sync: false });
      assert.deepEqual((await read()).codes, []);
    });
    await t.step("but with the connection of an organization", async () => {
      await owner.connect({ scope: "organization", sync: false });
      const { codes, text } = await read();
      assert.deepEqual(codes, ["email_unproven"]);
      assert.match(text, /warning email_unproven .*\n.*no mail was ever sent to them/);
      assert.match(
        text,
        /→ Switch on Authentication > Sign In \/ Providers > Email > Confirm email/,
      );
    });
    await t.step("and not where each account has followed a mail", async () => {
      await project.stack.sql("update auth.users set confirmation_sent_at = email_confirmed_at");
      assert.deepEqual((await read()).codes, []);
    });
  },
  { on: "embedded" },
);

projectTest("status names functions that are not deployed", async (project) => {
  const { url, secretKey } = project.stack;
  const status = await readStatus({ url, secretKey });
  assert.equal(status.status, "unhealthy");
  assert.deepEqual(
    status.problems.map(({ code, message }) => [code, message]),
    [
      "calendly-sync",
      "calendly-connect",
      "calendly-webhook",
    ].map((name) => [
      "function_not_deployed",
      `The Edge Function ${name} is not deployed at ${url}.`,
    ]),
  );
  assert.match(status.problems[0].hint, /deploy/);
}, {
  on: "embedded",
  seed: false,
  functions: new URL("./fixtures/no_functions/", import.meta.url),
});

projectTest("status names a token key that is missing", async (project) => {
  const { url, secretKey } = project.stack;
  const status = await readStatus({ url, secretKey });
  assert.equal(status.status, "unhealthy");
  const [{ code, message, hint }] = status.problems;
  assert.equal(code, "not_configured");
  assert.equal(message, "CALENDLY_TOKEN_KEY is not set.");
  assert.match(hint, /openssl rand/);
  assert.equal(status.problems.length, 1);
}, { on: "embedded", seed: false, env: { CALENDLY_TOKEN_KEY: "" } });

const JWT_WANTED: Answering = (request, passOn) =>
  request.headers.has("authorization") ? passOn() : Response.json({
    code: "UNAUTHORIZED_NO_AUTH_HEADER",
    message: "Missing authorization header",
  }, { status: 401 });
const JWT_WANTED_BY_AN_OLDER_GATEWAY: Answering = () =>
  Response.json({ code: 401, message: "Missing authorization header" }, { status: 401 });

function versionOf(version: string): Answering {
  return async (_request, passOn) => {
    const response = new Response((await passOn()).body);
    response.headers.set("x-calendly-sync-version", version);
    return response;
  };
}

/** What stands in front of the project, and what status finds wrong there. */
const WRONG: Record<string, { answering: Record<string, Answering>; finds: [string, RegExp][] }> = {
  "verify_jwt left on": {
    answering: { "/functions/v1/calendly-webhook": JWT_WANTED },
    finds: [["verify_jwt_on", /calendly-webhook/]],
  },
  "verify_jwt left on, with an older gateway": {
    answering: { "/functions/v1/calendly-sync": JWT_WANTED_BY_AN_OLDER_GATEWAY },
    finds: [["verify_jwt_on", /calendly-sync/]],
  },
  "one function that was left behind by an upgrade": {
    answering: { "/functions/v1/calendly-webhook": versionOf("0.0.9") },
    finds: [["functions_outdated", /calendly-webhook 0\.0\.9/]],
  },
  "a function that does not tell its version": {
    answering: { "/functions/v1/calendly-webhook": () => Response.json({ hello: "world" }) },
    finds: [["functions_outdated", /calendly-webhook does not tell its version/]],
  },
  "a database of an older version": {
    answering: {
      "/functions/v1/calendly-sync": async (_request, passOn) => {
        const response = await passOn();
        const body = await response.json();
        return Response.json({ ...body, versions: { ...body.versions, database: "0.0.9" } }, {
          headers: response.headers,
        });
      },
    },
    finds: [["database_outdated", /the database 0\.0\.9/]],
  },
  "a function that does not start": {
    answering: {
      "/functions/v1/calendly-connect": () =>
        Response.json({ code: "BOOT_ERROR", message: "Function failed to start" }, { status: 503 }),
    },
    finds: [["function_not_starting", /calendly-connect/]],
  },
  "a function that ends before it answers": {
    answering: {
      "/functions/v1/calendly-connect": () =>
        Response.json({ code: "WORKER_RESOURCE_LIMIT", message: "…" }, { status: 546 }),
    },
    finds: [["function_ended", /546, WORKER_RESOURCE_LIMIT/]],
  },
  "a proxy's page in place of all functions": {
    answering: { "/functions": () => page(403) },
    finds: [["unexpected_answer", /answers with a page.*403/]],
  },
};

projectTest("status names what is wrong with the functions", async (project, t) => {
  const { url, secretKey } = project.stack;
  for (const [name, { answering, finds }] of Object.entries(WRONG)) {
    await t.step(name, async () => {
      await using front = gateway(url, answering);
      const status = await readStatus({ url: front.url, secretKey });
      assert.equal(status.status, "unhealthy");
      assert.deepEqual(status.problems.map(({ code }) => code), finds.map(([code]) => code));
      finds.forEach(([, pattern], index) => assert.match(status.problems[index].message, pattern));
      for (const { hint } of status.problems) assert.notEqual(hint, "");
    });
  }
  await t.step("nudges that nobody answers", async () => {
    await project.stack.sql(
      "update calendly.project set url = 'https://a.example', " +
        "unanswered_since = calendly.now() - interval '10 minutes'",
    );
    const status = await readStatus({ url, secretKey });
    assert.equal(status.status, "unhealthy");
    assert.deepEqual(status.alerts.map(({ code }) => code), ["functions_unreachable"]);
  });
}, { on: "embedded", seed: false });

projectTest("status says why it cannot tell", async (project, t) => {
  const { url, publishableKey, secretKey } = project.stack;
  const fails = async (
    answering: Record<string, Answering>,
    error: { code: string; exitCode: 1 | 2 },
  ) => {
    await using front = gateway(url, answering);
    await assert.rejects(readStatus({ url: front.url, secretKey }), error);
  };
  await t.step(
    "the publishable key is no secret key",
    () =>
      assert.rejects(readStatus({ url, secretKey: publishableKey }), {
        code: "wrong_key",
        hint: /not a publishable/,
        exitCode: 2,
      }),
  );
  await t.step(
    "the key is another project's",
    () =>
      assert.rejects(readStatus({ url, secretKey: "sb_secret_x" }), {
        code: "wrong_key",
        exitCode: 2,
      }),
  );
  await t.step("nothing answers at that address", () =>
    assert.rejects(
      readStatus({ url: `http://127.0.0.1:${freePort()}`, secretKey: "sb_secret_x" }),
      {
        code: "project_unreachable",
        message: /^http:\/\/127\.0\.0\.1:\d+ does not answer/,
        hint: /`npx -y deno@2\.9\.6 task start`.*SUPABASE_URL/,
        exitCode: 2,
      },
    ));
  await t.step(
    "a proxy answers with a page",
    () => fails({ "/": () => page() }, { code: "unexpected_answer", exitCode: 2 }),
  );
  await t.step("the project is paused", () =>
    fails({
      "/": () => Response.json({ message: "Project paused" }, { status: 540 }),
    }, { code: "project_paused", exitCode: 1 }));
  await t.step("the project is restricted", () =>
    fails({
      "/": () => Response.json({ message: "exceed_db_size_quota" }, { status: 402 }),
    }, { code: "project_restricted", exitCode: 1 }));
}, { on: "embedded", seed: false });

projectTest("status asks for the migrations where there are none", async (project) => {
  const { url, secretKey } = project.stack;
  await assert.rejects(readStatus({ url, secretKey }), { code: "migrations_missing", exitCode: 1 });
}, { on: "embedded", migrations: null, seed: false });

/** A status as a larger project has it. */
function largeStatus(users: number): Status {
  const time = NOW;
  const error = { code: "calendly_unavailable", message: "Calendly answers 503." };
  return {
    status: "unhealthy",
    project: "https://abcdefghijklmnopqrst.supabase.co",
    versions: {
      program: "0.2.0",
      functions: {
        "calendly-sync": "0.1.0",
        "calendly-connect": null,
        "calendly-webhook": "0.1.0",
      },
      database: "0.1.0",
    },
    problems: [],
    alerts: [{
      code: "failing",
      severity: "critical",
      user_id: 1234,
      since: time,
      message: "The last 12 syncs of user 1234 failed: ".padEnd(300, "a word and "),
      what_to_do: "See calendly_sync_runs.error, ".padEnd(200, "and so on "),
    }],
    retrying: [{ user_id: 1234, failures: 12, last_error: error, next_sync_at: time }],
    retrying_count: 1,
    active_runs: [],
    active_run_count: 0,
    freshness: {
      users,
      never_synced: 0,
      p50: "00:03:10.5",
      p95: "00:14:00",
      max: "2 days 01:00:00",
    },
    schedule: {
      ticked_at: time,
      unanswered_since: time,
      backing_off: true,
      due: 12,
      running_workers: 20,
      max_workers: 20,
      jobs: [],
    },
    users: Array.from({ length: Math.min(users, 20) }, (_, index) => ({
      user_id: 1000 + index,
      email: `${"a.long.first.name.and.a.longer.last.name.".slice(0, 5 + index * 3)}@example.com`,
      connection_state: "active",
      last_calendly_sync: time,
      next_sync_at: time,
      active_calendly_meetings: 12345,
      deleted_calendly_meetings: 1234,
      webhook_events_received: 99999,
      last_error: null,
    })),
    user_count: users,
    runs: [],
  };
}

Deno.test("status keeps to 100 columns, with long e-mails as well", () => {
  for (const users of [0, 20, 500]) {
    const { terminal, printed } = recorder();
    showStatus(terminal, largeStatus(users), new Date(NOW));
    const lines = printed().split("\n");
    assert.deepEqual(lines.filter((line) => line.length > 100), []);
    if (users === 500) assert.ok(lines.includes("Users, the stalest 20 of 500"));
    if (users === 20) assert.ok(lines.some((line) => line.includes("…")), "an e-mail is cut");
  }
});

Deno.test("status breaks what is to be done between words, at the terminal's width", () => {
  let text = "";
  const terminal = new Terminal({
    isTerminal: () => true,
    columns: () => 60,
    writeSync(bytes) {
      text += new TextDecoder().decode(bytes);
      return bytes.length;
    },
  });
  const status = largeStatus(3);
  showStatus(terminal, status, new Date(NOW));
  const lines = stripVTControlCharacters(text).split("\n");
  const alert = lines.slice(lines.findIndex((line) => line.includes("failing")) + 1);
  const shown = alert.slice(0, alert.findIndex((line) => line.includes("is being retried")));
  assert.deepEqual(shown.filter((line) => line.length > 60), []);
  const [{ message, what_to_do }] = status.alerts;
  assert.equal(
    shown.map((line) => line.trim()).join(" "),
    `${message.trim()} → ${what_to_do.trim()}`,
  );
});

projectTest(
  "the program tells the status as JSON, and shows it again and again",
  async (project, t) => {
    const { url, secretKey } = project.stack;
    const env = { SUPABASE_URL: url, SUPABASE_SECRET_KEY: secretKey };
    await t.step("as one JSON object on standard output alone", async () => {
      const { code, stdout } = await runProgram(["status", "--json"], { env });
      assert.equal(code, 0);
      const status = JSON.parse(stdout);
      assert.equal(status.status, "healthy");
      assert.equal(status.project, url);
      assert.deepEqual(status.users, []);
      assert.ok(!stdout.includes(secretKey));
    });
    await t.step("an error is JSON, too, and has no key in it", async () => {
      const wrong = "sb_secret_of_another_project";
      const { code, stdout, stderr } = await runProgram(["status", "--json"], {
        env: { ...env, SUPABASE_SECRET_KEY: wrong },
      });
      assert.equal(code, 2);
      assert.equal(JSON.parse(stdout).error.code, "wrong_key");
      assert.ok(!(stdout + stderr).includes(wrong));
    });
    await t.step("with --watch frame after frame, until Ctrl-C", async () => {
      const child = new Deno.Command(Deno.execPath(), {
        args: ["run", "-A", "--no-check", "cli/main.ts", "status", "--watch", "--every", "1"],
        cwd: new URL("../../", import.meta.url),
        env,
        stdout: "piped",
      }).spawn();
      let text = "";
      for await (const chunk of child.stdout.pipeThrough(new TextDecoderStream())) {
        text += chunk;
        if (text.split("again every 1 s").length === 3) child.kill("SIGINT");
      }
      assert.equal((await child.status).code, 0);
      const frames = text.split(/again every 1 s\n/).slice(0, 2);
      for (const frame of frames) assert.match(frame, /Healthy[^]*Last runs/);
    });
    await t.step("what cannot be is refused", async () => {
      for (
        const args of ["--watch --every=0", "--watch --every=x", "--every=5", "--watch --json"]
      ) {
        const { code, stdout, stderr } = await runProgram(["status", ...args.split(" ")], { env });
        assert.equal(code, 1);
        assert.match(stdout + stderr, /invalid_argument/);
      }
    });
  },
  { on: "embedded", seed: false },
);

Deno.test("status reads the project of the environment, else the running local stack", async () => {
  const folder = await Deno.makeTempDir();
  try {
    await assert.rejects(findTarget({ env: {}, folder, values: {} }, folder), {
      code: "no_project",
      message: /stack/,
    });
    await Deno.writeTextFile(
      `${folder}/stack.json`,
      JSON.stringify({ url: "http://127.0.0.1:1", secret_key: "local" }),
    );
    assert.deepEqual(await findTarget({ env: {}, folder, values: {} }, folder), {
      url: "http://127.0.0.1:1",
      secretKey: "local",
    });
    await assert.rejects(
      findTarget({ env: { SUPABASE_URL: "https://a.example.com" }, folder, values: {} }, folder),
      {
        code: "no_project",
        message: /SUPABASE_SECRET_KEY/,
      },
    );
    assert.deepEqual(
      await findTarget({
        env: { SUPABASE_URL: "https://a.example.com/", SUPABASE_SECRET_KEY: "hosted" },
        folder,
        values: {},
      }, folder),
      { url: "https://a.example.com", secretKey: "hosted" },
    );
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
