/** The stand-in of the Management API answers the real Supabase CLI as the platform does. */
import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { needing } from "../harness/requirements.ts";
import { HostedProject } from "./hosted_project.ts";
import { ManagementApi } from "./management_api.ts";
import { installSupabaseCli } from "./supabase_cli.ts";

const SUPABASE = fileURLToPath(new URL("../../supabase", import.meta.url));
const FUNCTIONS = ["calendly-sync", "calendly-connect", "calendly-webhook"];

Deno.test({
  ...needing("the Supabase CLI works with the stand-in", "realPostgres", "supabaseCli"),
  async fn(t) {
    await using project = await HostedProject.start();
    await using api = new ManagementApi(project);
    const folder = await Deno.makeTempDir({ prefix: "app-" });
    await Deno.mkdir(`${folder}/supabase`);
    await Deno.copyFile(`${SUPABASE}/config.toml`, `${folder}/supabase/config.toml`);
    await new Deno.Command("cp", { args: ["-r", `${SUPABASE}/functions`, `${folder}/supabase/`] })
      .output();
    const cli = await installSupabaseCli(folder);

    /** Runs the CLI for the project; its JSON, or its error. */
    const supabase = async (args: string[], input = "") => {
      const process = new Deno.Command(`${folder}/node_modules/.bin/supabase`, {
        args: [...args, `--remote=${project.ref}`, "--output-format", "json", "--agent", "no"],
        cwd: folder,
        clearEnv: true,
        env: api.environment,
        stdin: "piped",
        stdout: "piped",
        stderr: "piped",
      }).spawn();
      const writer = process.stdin.getWriter();
      await writer.write(new TextEncoder().encode(input));
      await writer.close();
      const { stdout, stderr } = await process.output();
      const text = new TextDecoder().decode(stdout);
      assert.ok(text, new TextDecoder().decode(stderr));
      return JSON.parse(text);
    };
    const query = (sql: string, ...args: string[]) => supabase(["db", "query", ...args], sql);

    await t.step(
      "queries run as postgres, read-only ones as a role that may only read",
      async () => {
        assert.deepEqual(await query("create table t (a int); select current_user u", "--yes"), [
          { u: "postgres" },
        ]);
        assert.deepEqual(await query("select count(*)::int n from t", "--read-only"), [{ n: 0 }]);
        const write = "with made as (insert into t values (1) returning a) select a from made";
        const refused = await query(write, "--read-only");
        assert.match(refused.error.message, /only allows|permission denied|25006/);
        api.isReadOnly = true;
        const full = await query(write, "--yes");
        assert.match(full.error.message, /ERROR: {2}25006: cannot execute/);
        api.accept();
      },
    );
    await t.step("what was uploaded runs alone on the platform's Deno", async () => {
      await supabase(["functions", "deploy", ...FUNCTIONS, "--use-api", "--yes"]);
      assert.deepEqual(project.functions, FUNCTIONS.toSorted());
      const { functions } = await supabase(["functions", "list"]);
      assert.deepEqual(functions.map((f: { slug: string }) => f.slug), FUNCTIONS);
      const response = await fetch(`${project.url}/functions/v1/calendly-webhook/test`);
      assert.equal(response.status, 200, await response.text());
    });
    await t.step("secrets and keys are listed, and a function is deleted", async () => {
      await Deno.writeTextFile(`${folder}/secrets`, "A=b\nC=d\n");
      await supabase(["secrets", "set", "--env-file", `${folder}/secrets`, "--yes"]);
      await supabase(["secrets", "unset", "C", "--yes"]);
      assert.deepEqual([...project.secrets], [["A", "b"]]);
      const { secrets } = await supabase(["secrets", "list"]);
      assert.deepEqual(secrets.map((s: { name: string }) => s.name), ["A"]);
      const { keys } = await supabase(["projects", "api-keys", "--reveal"]);
      assert.equal(keys[1].api_key, project.keys.secretKey);
      await supabase(["functions", "delete", "calendly-sync", "--yes"]);
      assert.equal((await fetch(`${project.url}/functions/v1/calendly-sync`)).status, 404);
    });
    await t.step("it refuses as the platform does", async () => {
      api.refuse("forbidden", /secrets/);
      const { error } = await supabase(["secrets", "list"]);
      assert.match(error.message, /status 403: .*necessary privileges/);
      assert.ok((await supabase(["functions", "list"])).functions, "the rest is not refused");
    });
    await t.step("every call was recorded", async () => {
      const calls = await cli.calls();
      assert.deepEqual(calls[0].slice(0, 3), ["db", "query", "--yes"]);
    });
    await Deno.remove(folder, { recursive: true });
  },
});
