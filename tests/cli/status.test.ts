/** `deno task status`: what it prints, and how it answers when it cannot tell. */
import assert from "node:assert/strict";
import { readStatus, showStatus } from "../../cli/commands/status.ts";
import { findProject } from "../../cli/target.ts";
import { Terminal } from "../../cli/terminal.ts";
import { projectTest } from "../functions/support.ts";
import { freePort } from "../harness/cluster.ts";
import { allSynced, people, tick } from "./support.ts";

/** A terminal that records what is printed. */
function recorder(): { terminal: Terminal; printed: () => string } {
  let text = "";
  const terminal = new Terminal({
    isTerminal: () => false,
    writeSync(bytes) {
      text += new TextDecoder().decode(bytes);
      return bytes.length;
    },
  });
  return { terminal, printed: () => text };
}

projectTest("status prints health, users, schedule and runs, and no secret", async (project, t) => {
  const { url, secretKey } = project.stack;
  const [ana, ben] = await people(project, 2, 3);
  await project.advance("15m");
  await tick(project);
  await allSynced(project);
  project.sandbox.control.revoke_token({ token: ben.token });
  for (let attempt = 0; attempt < 3; attempt++) await ben.sync();
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
  await t.step("freshness", () => has(/connected users +never synced +half[^\n]*\n +1 +0 +/));
  await t.step("users", () => {
    has(new RegExp(`${ana.id} +person.1@example.com +active +5 min ago +in 10 min +3 +0 +0\n`));
    has(new RegExp(`${ben.id} +person.2@example.com +reconnect_required .* token_refused\n`));
  });
  await t.step("the schedule", () => {
    has(/last tick 0 s ago, 0 due, 0 of 20 workers busy/);
    has(/calendly-nudge +\* \* \* \* \* .* succeeded/);
    has(/calendly-clean-runs +17 3 \* \* \* +never/);
  });
  await t.step("the last runs", () => {
    has(new RegExp(`5 min ago +${ana.id} +FULL +scheduled +complete +3 +0 +0 +4\n`));
    has(new RegExp(`${ben.id} +INCREMENTAL +manual +failed .* token_refused\n`));
  });
  await t.step("no secret", () => {
    for (const secret of [secretKey, ana.token, ben.token]) assert.ok(!text.includes(secret));
  });
});

projectTest("a project without users is healthy", async (project) => {
  const { url, secretKey } = project.stack;
  const { terminal, printed } = recorder();
  showStatus(terminal, await readStatus({ url, secretKey }));
  assert.match(printed(), /^Healthy$\s+no alerts/m);
  assert.match(printed(), /Last runs\s+none/);
}, { on: "embedded", seed: false });

projectTest("status says why it cannot tell", async (project, t) => {
  const { url, publishableKey } = project.stack;
  await t.step(
    "the publishable key is no secret key",
    () =>
      assert.rejects(readStatus({ url, secretKey: publishableKey }), {
        code: "status_unknown",
        hint: /secret key/,
      }),
  );
  await t.step(
    "nothing answers at that address",
    () =>
      assert.rejects(
        readStatus({ url: `http://127.0.0.1:${freePort()}`, secretKey: "sb_secret_x" }),
        {
          code: "status_unknown",
          message: /^http:\/\/127\.0\.0\.1:\d+ does not answer/,
          hint: /`npx -y deno@2\.9\.6 task start`.*SUPABASE_URL/,
        },
      ),
  );
}, { on: "embedded" });

Deno.test("status reads the project of the environment, else the running local stack", async () => {
  const folder = await Deno.makeTempDir();
  try {
    await assert.rejects(findProject({}, folder), { code: "no_project", message: /stack/ });
    await Deno.writeTextFile(
      `${folder}/stack.json`,
      JSON.stringify({ url: "http://127.0.0.1:1", secret_key: "local" }),
    );
    assert.deepEqual(await findProject({}, folder), {
      url: "http://127.0.0.1:1",
      secretKey: "local",
    });
    await assert.rejects(findProject({ SUPABASE_URL: "https://a.example.com" }, folder), {
      code: "no_project",
      message: /SUPABASE_SECRET_KEY/,
    });
    assert.deepEqual(
      await findProject({
        SUPABASE_URL: "https://a.example.com/",
        SUPABASE_SECRET_KEY: "hosted",
      }, folder),
      { url: "https://a.example.com", secretKey: "hosted" },
    );
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
