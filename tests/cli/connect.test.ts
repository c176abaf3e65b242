/**
 * `calendly-sync connect`: from an empty project to everybody's meetings, what it tells meanwhile, and what
 * it refuses. The token is nowhere in what it prints.
 */
import assert from "node:assert/strict";
import { checkConnectable, connectProject, waitForSync } from "../../cli/commands/connect.ts";
import { makePackage } from "../../cli/package.ts";
import type { Project as Target } from "../../cli/target.ts";
import { FEW, organization } from "../connections/organization.ts";
import { Project, projectTest, projectTests, until } from "../functions/support.ts";
import { needing } from "../harness/requirements.ts";
import { allSynced, tick } from "../schedule/support.ts";
import { type Answering, gateway, IN_CLONE, page, recorder, runProgram } from "./program.ts";

type Choice = Parameters<typeof connectProject>[2];
type Telling = Parameters<typeof connectProject>[3];

/** Connects as the command does, and returns what it found and what it printed. */
async function connect(
  project: Project,
  token: string,
  choice: Partial<Choice> = {},
  telling: Partial<Telling> = {},
) {
  const { terminal, printed } = recorder();
  const { url, secretKey } = project.stack;
  const result = await connectProject({ url, secretKey }, token, {
    scope: "user",
    members: "accounts",
    replace: false,
    ...choice,
  }, {
    terminal,
    signal: new AbortController().signal,
    poll: 20,
    now: () => new Date(project.now),
    webhooks: false,
    wait: true,
    ...telling,
  });
  for (const secret of [token, secretKey]) {
    assert.ok(!(printed() + JSON.stringify(result)).includes(secret), "a secret was printed");
  }
  return { ...result, text: printed() };
}

/** Somebody at Calendly who has no account here, with so many events. */
function host(project: Project, name: string, events = 0, scopes?: string[]) {
  const { control } = project.sandbox;
  const user = control.create_user({ name, email: `${name.toLowerCase()}@example.com` });
  if (events > 0) control.populate({ ...FEW, user: user.uri, events, with_invitees: events });
  return { user, token: control.create_token({ user: user.uri, scopes }).token };
}

projectTests("connecting by the command line", {
  async "tells the first sync of one person with the run's counts"(project) {
    const { run, text, users, connection } = await connect(project, host(project, "Ana", 5).token);
    assert.equal(run?.status, "complete");
    assert.equal(users, 1);
    assert.match(
      text,
      new RegExp(`✓ Connected Ana <ana@example.com>, user ${connection.user_id}\n`),
    );
    assert.match(text, /✓ The first sync is complete \(FULL\): 5 events listed, \d+ requests\n/);
    assert.match(text, /events +5 active, 0 canceled\n/);
    assert.match(text, /meetings +5 kept: 5 new, 0 updated, 0 unchanged\n/);
    assert.match(text, /with --webhooks/);
  },

  async "keeps everybody of an organization, with webhooks"(project) {
    const { owner, members } = await organization(project, { members: 3, events: 2 });
    const { run, users, text } = await connect(
      project,
      owner.token,
      { scope: "organization", members: "everyone" },
      { webhooks: true },
    );
    assert.equal(run?.created, 2 * members.length);
    assert.equal(users, 4, "the owner and three hosts");
    assert.match(text, /✓ Connected the organization of [^\n]+\n/);
    assert.match(text, /✓ Webhooks are on/);
    assert.match(text, /users +4\n/);
    assert.doesNotMatch(text, /--webhooks/);
  },

  async "counts the hosts who have no account"(project) {
    const { uri, owner } = await organization(project, { members: 1, events: 2 });
    const { control } = project.sandbox;
    const stranger = control.create_user({
      name: "Stranger",
      email: "stranger@example.com",
      organization: uri,
    });
    control.populate({ ...FEW, user: stranger.uri, events: 1 });
    const { run, text } = await connect(project, owner.token, { scope: "organization" });
    assert.equal(run?.hosts_without_account, 1);
    assert.match(text, /users +\d+; 1 host without an account here left out/);
  },

  async "connects for an account"(project) {
    const { user, token } = host(project, "Dora", 1);
    const { auth_user_id } = await project.stack.createUser({ email: "dora@example.com" });
    const { connection } = await connect(project, token, { auth_user_id });
    const [row] = await project.stack.sql(
      "select id, calendly_user_uri from calendly_users where auth_user_id = $1",
      [auth_user_id],
    );
    assert.deepEqual(row, { id: connection.user_id, calendly_user_uri: user.uri });

    const other = host(project, "Dorothy", 1);
    await assert.rejects(connect(project, other.token, { auth_user_id }), {
      code: "another_calendly_user",
      hint: /--replace/,
      exitCode: 1,
    });
    await connect(project, other.token, { auth_user_id, replace: true });

    const another = await project.stack.createUser({ email: "another@example.com" });
    await assert.rejects(
      connect(project, other.token, { auth_user_id: another.auth_user_id }),
      { code: "calendly_user_taken", hint: /--auth-user-id/ },
    );
  },

  async "a second time says that it has synced before"(project) {
    const { token } = host(project, "Emma", 2);
    await connect(project, token);
    const { text } = await connect(project, token);
    assert.match(text, /✓ The sync is complete \(INCREMENTAL\): 2 events listed/);
  },

  async "a token that Calendly does not know is refused with where to make one"(project) {
    await assert.rejects(connect(project, "no-such-token"), {
      code: "token_invalid",
      hint: /Personal access tokens, .*scheduled_events:read/,
      exitCode: 1,
    });
    assert.equal(
      (await project.stack.sql("select from calendly_users where name = 'no-such-token'")).length,
      0,
    );
  },

  async "webhooks that the plan has not are told, and the sync goes on"(project) {
    const { user, token } = host(project, "Fred", 2);
    project.sandbox.control.faults({
      user: user.uri,
      method: "POST",
      path: "/webhook_subscriptions",
      effect: {
        kind: "status",
        status: 403,
        body: { title: "Permission Denied", message: "Please upgrade to a paid account." },
      },
    });
    const { run, webhooks_error, text } = await connect(project, token, {}, { webhooks: true });
    assert.equal(run?.status, "complete");
    assert.equal(webhooks_error?.code, "webhooks_need_plan");
    assert.match(text, /✗ Webhooks could not be switched on\n +webhooks_need_plan +[^\n]+upgrade/);
    assert.match(text, /The first sync is complete/);
  },

  async "a sync that fails is told with what to do"(project) {
    const { token } = host(project, "Gina", 2, ["users:read"]);
    const { run, text } = await connect(project, token);
    assert.equal(run?.status, "failed");
    assert.match(text, /✗ The first sync failed: 0 events listed, 1 request\n +scope_missing /);
    assert.match(text, /The schedule tries again later/);
  },

  async "a paused sync is told with until when and why, and waited for"(project) {
    const { user, token } = host(project, "Hugo", 2);
    project.sandbox.control.faults({
      user: user.uri,
      path: "/scheduled_events",
      effect: { kind: "rate_limited", reset: 3600 },
    });
    const { terminal, printed } = recorder();
    const connecting = connect(project, token, {}, { terminal });
    await until(() => printed().includes("Paused"));
    assert.match(
      printed(),
      /Paused until [^\n]+ \(in 1\.0 h\): [^\n]*rate[^\n]+ goes on by itself\.\n/,
    );
    await project.advance("61m");
    await tick(project);
    const { run } = await connecting;
    assert.equal(run?.status, "complete");
    assert.equal(printed().match(/Paused/g)?.length, 1, "told once");
    await allSynced(project);
  },

  async "Ctrl-C ends the waiting, and the sync goes on"(project) {
    const { user, token } = host(project, "Iris", 1);
    project.sandbox.control.faults({
      user: user.uri,
      path: "/scheduled_events",
      effect: { kind: "rate_limited", reset: 3600 },
    });
    const interrupted = new AbortController();
    const { terminal, printed } = recorder();
    const connecting = connect(project, token, {}, { terminal, signal: interrupted.signal });
    await until(() => printed().includes("Paused"));
    interrupted.abort();
    const { run } = await connecting;
    assert.equal(run?.status, "paused");
    assert.match(printed(), /goes on by itself, on the server\.\n +Next: .* status shows how far/);
  },

  async "without waiting it says where to look"(project) {
    const { run, text } = await connect(project, host(project, "Jack", 1).token, {}, {
      wait: false,
    });
    assert.equal(run, null);
    assert.match(text, /The first sync goes on by itself/);
  },

  async "a sync that does not begin is told"(project) {
    const person = await project.person();
    const { url, secretKey } = project.stack;
    const { connected_at } = await person.connection();
    const { terminal } = recorder();
    await assert.rejects(
      waitForSync({ url, secretKey }, { user_id: person.id, connected_at }, {
        terminal,
        signal: new AbortController().signal,
        poll: 1,
        startTimeout: 0,
      }),
      { code: "sync_not_started", hint: /status says/ },
    );
  },
}, { on: "embedded", seed: false });

/** What stands in front of the project, and the error before a token is asked for. */
const REFUSED: Record<string, [Answering, string]> = {
  "a function that is not deployed": [
    () => Response.json({ code: "NOT_FOUND", message: "…" }, { status: 404 }),
    "function_not_deployed",
  ],
  "a gateway that wants a JWT": [
    () => Response.json({ code: 401, message: "Missing authorization header" }, { status: 401 }),
    "verify_jwt_on",
  ],
  "a proxy that answers with a page": [() => page(), "unexpected_answer"],
  "a proxy that leads elsewhere": [
    () => Response.redirect("https://elsewhere.example/", 307),
    "unexpected_answer",
  ],
  "a project that is paused": [() => new Response("", { status: 540 }), "project_paused"],
  "a token key that is not set": [
    async (request, passOn) => {
      const response = await passOn();
      if (!request.url.endsWith("/health")) return response;
      const error = { code: "not_configured", message: "CALENDLY_TOKEN_KEY is not set." };
      return Response.json({ ...await response.json(), configuration_errors: [error] }, {
        headers: response.headers,
      });
    },
    "not_configured",
  ],
  "a function of another product": [() => Response.json({ hello: "world" }), "functions_outdated"],
};

projectTest("nobody is asked for a token where it could not be stored", async (project, t) => {
  const { url, secretKey, publishableKey } = project.stack;
  for (const [name, [answering, code]] of Object.entries(REFUSED)) {
    await t.step(name, async () => {
      await using front = gateway(url, { "/functions": answering });
      await assert.rejects(checkConnectable({ url: front.url, secretKey }), { code });
    });
  }
  await t.step(
    "a key that is no secret key",
    () =>
      assert.rejects(checkConnectable({ url, secretKey: publishableKey }), { code: "wrong_key" }),
  );
  await t.step(
    "an answer that repeats what was sent does not get the secrets printed",
    async () => {
      await using front = gateway(url, {
        "/functions": async (request) => {
          const { headers } = request;
          const message = `Refused: ${headers.get("apikey")} ${await request.text()}`;
          return Response.json({ message }, { status: 403 });
        },
      });
      const there = { ...project, stack: { ...project.stack, url: front.url } };
      await assert.rejects(connect(there as unknown as Project, "the-token"), (error: Error) => {
        assert.match(error.message, /Refused: … \{"token":"…"/);
        return true;
      });
    },
  );
  await t.step("a token is sent to nobody but the address that was named", async () => {
    const sent: string[] = [];
    await using elsewhere = gateway(url, {
      "/": async (request) => {
        sent.push(await request.text());
        return Response.json({});
      },
    });
    await using front = gateway(url, {
      "/functions": () => Response.redirect(`${elsewhere.url}/`, 307),
    });
    const there = { ...project, stack: { ...project.stack, url: front.url } };
    await assert.rejects(connect(there as unknown as Project, "the-token"), {
      code: "unexpected_answer",
    });
    assert.deepEqual(sent, []);
  });
}, { on: "embedded", seed: false });

projectTest("the program takes the token from standard input alone", async (project, t) => {
  const { token } = host(project, "Kim", 1);
  const target: Target = project.stack;
  const env = { SUPABASE_URL: target.url, SUPABASE_SECRET_KEY: target.secretKey };
  const run = async (args: string[], input?: string) => {
    const ended = await runProgram(["connect", ...args], { env, input });
    const all = ended.stdout + ended.stderr;
    for (const secret of [token, target.secretKey]) assert.ok(!all.includes(secret), all);
    return { ...ended, all };
  };
  const refusals: [string, string[], string | undefined, RegExp][] = [
    ["none, and no terminal to ask on", [], undefined, /token_missing.*\n.*standard input/],
    ["an empty one", [], "\n", /token_missing/],
    ["one with a space in it", [], `${token} ${token}`, /token_invalid/],
    ["one of a thousand lines", [], `${token}\n`.repeat(1000), /token_invalid/],
    ["one as an argument", [token], token, /no_folder.*no such folder[^]*standard input/],
    ["one as an option", ["--token", token], token, /unknown_option/],
    ["one as the value of an option", [`--token=${token}`], token, /unknown_option/],
    ["another scope", ["--scope", "team"], token, /invalid_option.*user or organization/],
    ["members of a person", ["--members", "everyone"], token, /--scope organization/],
    ["an account that is no UUID", ["--auth-user-id", "7"], token, /invalid_option.*UUID/],
  ];
  for (const [name, args, input, message] of refusals) {
    await t.step(`refused: ${name}`, async () => {
      const { code, all } = await run(args, input);
      assert.equal(code, 1);
      assert.match(all, message);
    });
  }
  await t.step("nobody was connected by that", async () => {
    assert.deepEqual(await project.stack.sql("select id from calendly_users"), []);
  });
  await t.step("a token with a line end connects; --json prints one object", async () => {
    const { code, stdout } = await run(["--json"], `${token}\n`);
    assert.equal(code, 0);
    const { run: { status, created }, users, webhooks_error } = JSON.parse(stdout);
    assert.deepEqual([status, created, users, webhooks_error], ["complete", 1, 1, null]);
  });
  await t.step("a refusal of Calendly ends with 1, as JSON, too", async () => {
    const { code, stdout } = await run(["--json"], "no-such-token");
    assert.equal(code, 1);
    assert.equal(JSON.parse(stdout).error.code, "token_invalid");
  });
}, { on: "embedded", seed: false });

Deno.test({
  ...needing("on a terminal the token is asked for, and not shown", "terminal"),
  async fn() {
    await using project = await Project.start("embedded", { seed: false });
    const { token } = host(project, "Mia", 2);
    const child = new Deno.Command("script", {
      // Whatever is printed goes to standard output, and nothing into a file.
      args: [
        "--quiet",
        "--return",
        "--flush",
        "--command",
        `stty cols 100; ${IN_CLONE.join(" ")} connect`,
        "/dev/null",
      ],
      cwd: new URL("../../", import.meta.url),
      env: { SUPABASE_URL: project.stack.url, SUPABASE_SECRET_KEY: project.stack.secretKey },
      stdin: "piped",
      stdout: "piped",
      // A prompt that never comes must not stop the test run.
      signal: AbortSignal.timeout(120_000),
    }).spawn();
    const keyboard = child.stdin.getWriter();
    let shown = "";
    let isTyped = false;
    for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
      shown += text;
      // The end of the prompt: from here on the terminal repeats nothing that is typed.
      if (isTyped || !/Personal access token[^]*└/.test(shown)) continue;
      isTyped = true;
      await keyboard.write(new TextEncoder().encode(`${token}\r`));
    }
    await keyboard.close().catch(() => {});
    assert.equal((await child.status).code, 0, shown);
    assert.match(shown, /Connected Mia[^]*The first sync is complete/);
    for (const secret of [token, project.stack.secretKey]) assert.ok(!shown.includes(secret));
  },
});

projectTest("the packed program on Node goes from an empty project to live meetings", async (
  project,
  t,
) => {
  const folder = await Deno.makeTempDir();
  try {
    const tarball = await makePackage(`${folder}/packed`);
    await new Deno.Command("tar", { args: ["-xzf", tarball, "-C", folder] }).output();
    const program = ["node", `${folder}/package/cli/main.js`];
    const { url, secretKey } = project.stack;
    const env = { SUPABASE_URL: url, SUPABASE_SECRET_KEY: secretKey };
    const { user, token } = host(project, "Lena", 3);

    await t.step("connects with webhooks and syncs", async () => {
      const { code, stdout, stderr } = await runProgram(["connect", "--webhooks"], {
        env,
        input: token,
        program,
      });
      assert.equal(code, 0, stderr);
      assert.match(stdout, /✓ Webhooks are on[^]*✓ The first sync is complete \(FULL\): 3 events/);
      assert.match(stdout, /\n {2}calendly-sync status shows/);
      assert.ok(!(stdout + stderr).includes(token));
    });
    await t.step("a booking arrives by webhook", async () => {
      project.sandbox.control.book({ user: user.uri });
      await project.sandbox.control.deliver();
      const { length } = await project.stack.sql(
        "select id from calendly_meetings where synced_via_webhook",
      );
      assert.equal(length, 1);
    });
    await t.step("status has it", async () => {
      const { code, stdout, stderr } = await runProgram(["status", "--json"], { env, program });
      assert.equal(code, 0, stderr);
      const { users: [row], problems } = JSON.parse(stdout);
      assert.deepEqual([row.active_calendly_meetings, row.webhook_events_received], [4, 1]);
      assert.deepEqual(problems, []);
    });
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}, { on: "embedded", seed: false });
