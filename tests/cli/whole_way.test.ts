/**
 * The way of a new project, by the packed program on Node as docs/deploy.md shows it: install, deploy and
 * connect in a linked folder, a booking by webhook, status, and out again by uninstall.
 */
import assert from "node:assert/strict";
import { AS_OWNER } from "../../local/migrations.ts";
import { HISTORY_TABLE } from "../../cli/migrations.ts";
import { createSandbox, DEMO_TOKEN, serveSandbox } from "../../sandbox/mod.ts";
import { catalogue } from "../guest/catalogue.ts";
import { PLATFORM_REST } from "../guest/shapes.ts";
import { needing } from "../harness/requirements.ts";
import { AppFolder } from "./app_folder.ts";
import { HostedProject } from "./hosted_project.ts";
import { ManagementApi } from "./management_api.ts";
import { Packed, runNode } from "./packed.ts";

Deno.test({
  ...needing(
    "three commands bring a team's meetings in, and one takes all of it out",
    "realPostgres",
    "supabaseCli",
  ),
  async fn(t) {
    const { content } = await Packed.get();
    await using project = await HostedProject.start();
    await using api = new ManagementApi(project);
    await using app = await AppFolder.make(project.ref);
    app.url = project.url;
    await using undo = new AsyncDisposableStack();
    const sandbox = createSandbox({ events: 5 });
    const { url, stop } = await serveSandbox(sandbox);
    undo.defer(stop);
    await project.setSecrets({ CALENDLY_API_URL: url });
    await project.database.script(PLATFORM_REST + AS_OWNER + HISTORY_TABLE);
    const before = { catalogue: await catalogue(project.database), files: await app.files() };

    const program = (args: string[], input?: string) =>
      runNode(content, app.arguments(args), { cwd: app.path, env: api.environment, input });
    const succeeds = async (args: string[], input?: string) => {
      const { code, stdout, stderr } = await program(args, input);
      assert.equal(code, 0, stdout + stderr);
      for (const secret of [project.keys.secretKey, DEMO_TOKEN]) {
        assert.ok(!(stdout + stderr).includes(secret), "a secret was printed");
      }
      return stdout;
    };

    await t.step("the page has these commands, in this order", async () => {
      const page = await Deno.readTextFile(new URL("../../docs/deploy.md", import.meta.url));
      const lines = page.match(/^npx -y --package .*$/gm) ?? [];
      const named = lines.map((line) => line.split(" ").at(-1));
      assert.deepEqual(named, ["install", "deploy", "connect", "status"]);
    });
    await t.step("install", async () => void await succeeds(["install", "--yes"]));
    await t.step("deploy", async () => {
      assert.match(await succeeds(["deploy", "--yes"]), /Next: calendly-sync connect /);
    });
    await t.step("connect needs no key: the Supabase CLI reads it", async () => {
      const args = ["connect", "--scope", "organization", "--members", "everyone", "--webhooks"];
      const said = await succeeds(args, DEMO_TOKEN);
      assert.match(said, /Webhooks are on/);
      const [{ count }] = await project.database.query<{ count: number }>(
        "select count(*)::integer as count from public.calendly_meetings",
      );
      assert.ok(count > 0);
      assert.match(said, new RegExp(`${count} kept: ${count} new`));
    });
    await t.step("a booking comes by webhook", async () => {
      await sandbox.control.book({ invitee: { name: "Ana Lima", email: "ana@example.com" } });
      let stored: unknown[] = [];
      for (let look = 0; look < 300 && stored.length === 0; look++) {
        await new Promise((resolve) => setTimeout(resolve, 100));
        stored = await project.database.query(
          `select e.status from public.calendly_invitees i, public.calendly_webhook_events e
            where i.email = 'ana@example.com'`,
        );
      }
      assert.deepEqual(stored, [{ status: "processed" }]);
    });
    await t.step("status is well", async () => {
      assert.match(await succeeds(["status"]), /Healthy/);
    });
    await t.step("uninstall leaves the folder and the database as they were", async () => {
      await succeeds(["uninstall", "--drop-data", "--yes"]);
      assert.deepEqual(await app.files(), before.files);
      assert.deepEqual(await catalogue(project.database), before.catalogue);
      assert.deepEqual(project.functions, []);
    });
  },
});
