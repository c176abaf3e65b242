/** `deploy` with the real Supabase CLI, a stand-in of the hosted project, and real Postgres. */
import assert from "node:assert/strict";
import { installedMigrations, readMigrations } from "../../cli/migrations.ts";
import { catalogue } from "../guest/catalogue.ts";
import { needing } from "../harness/requirements.ts";
import { VERSION } from "../../supabase/functions/_shared/calendly/version.ts";
import { AppFolder } from "./app_folder.ts";
import { deployTest, killAt } from "./deploy_support.ts";
import { HostedProject } from "./hosted_project.ts";
import { isChange, type ManagementApi, type NotedRequest } from "./management_api.ts";

const FUNCTIONS = ["calendly-connect", "calendly-sync", "calendly-webhook"];
const VERSIONS = installedMigrations(await readMigrations()).map(({ version }) => version);
const RECORDED = "select version from supabase_migrations.schema_migrations order by 1";

function changes(api: ManagementApi) {
  return api.requests.filter(isChange);
}

function tokenKey(project: HostedProject): string {
  return project.secrets.get("CALENDLY_TOKEN_KEY")!;
}

deployTest("deploy brings a new project to work", async ({ project, api, app, t }) => {
  await t.step("a dry run shows the plan and changes nothing", async () => {
    const before = await catalogue(project.database);
    const { code, stdout } = await app.run(api.environment, "deploy", "--dry-run");
    assert.equal(code, 0, stdout);
    assert.match(stdout, new RegExp(`apply ${VERSIONS.length} of ${VERSIONS.length} migrations`));
    assert.match(stdout, /make CALENDLY_TOKEN_KEY/);
    assert.match(stdout, /deploy calendly-sync, calendly-connect, calendly-webhook/);
    assert.deepEqual(await catalogue(project.database), before);
    assert.deepEqual([project.functions, [...project.secrets]], [[], []]);
  });
  await t.step(
    "without a terminal and without --yes it asks nobody and changes nothing",
    async () => {
      const { code, stderr } = await app.run(api.environment, "deploy");
      assert.equal(code, 1);
      assert.match(stderr, /not_confirmed/);
      assert.deepEqual(project.functions, []);
    },
  );
  await t.step("then all of it is applied, deployed and verified", async () => {
    const { code, stdout, stderr } = await app.run(api.environment, "deploy", "--yes");
    assert.equal(code, 0, stdout + stderr);
    const recorded = await project.database.query<{ version: string }>(RECORDED);
    assert.deepEqual(recorded.map(({ version }) => version), VERSIONS);
    assert.deepEqual(project.functions, FUNCTIONS);
    assert.match(stdout, /Functions answer, and accept the secret key {2}version/);
    assert.match(stdout, /The schedule runs/);
    assert.equal(
      /Next: npx -y deno\S* task cli connect --url=(\S+)$/m.exec(stdout)?.[1],
      project.url,
    );
    assert.equal(stdout.split(tokenKey(project)).length, 2, "the key is shown once");
    assert.match(stdout, /This output is no terminal/);
    assert.ok(!stdout.includes("It replaces"), "no run has shown another one");
    assert.ok(tokenKey(project).length >= 32);
  });
  await t.step("the Supabase CLI finds the migrations applied", async () => {
    const url = new URL(project.database.url);
    url.username = "postgres";
    const push = await new Deno.Command(`${app.path}/node_modules/.bin/supabase`, {
      args: ["db", "push", `--remote=${url.href}?sslmode=disable`, "--yes"],
      cwd: app.path,
      env: api.environment,
      stdin: "null",
    }).output();
    const decoder = new TextDecoder();
    const said = decoder.decode(push.stdout) + decoder.decode(push.stderr);
    assert.equal(push.code, 0, said);
    assert.match(said, /up to date/);
  });
  await t.step("a second run finds nothing to do", async () => {
    api.requests.length = 0;
    const key = tokenKey(project);
    const { code, stdout } = await app.run(api.environment, "deploy");
    assert.equal(code, 0, stdout);
    assert.match(stdout, /There is nothing to do/);
    assert.deepEqual(changes(api), []);
    assert.equal(tokenKey(project), key);
  });
  await t.step("its answer as JSON says the same", async () => {
    const { code, stdout } = await app.run(api.environment, "deploy", "--json");
    assert.equal(code, 0, stdout);
    const { plan, verified } = JSON.parse(stdout);
    assert.deepEqual(plan, { migrations: [], secrets: [], functions: [], edited_files: [] });
    assert.equal(verified.functions, VERSION);
    assert.deepEqual(verified.unverified, []);
  });
  const file = `${app.path}/supabase/functions/calendly-webhook/index.ts`;
  const released = await Deno.readTextFile(file);
  const edit = () => Deno.writeTextFile(file, "// mine\n" + released);
  await t.step("an edited function is deployed again, and named", async () => {
    await edit();
    const { code, stdout } = await app.run(api.environment, "deploy", "--yes", "--wait=0");
    assert.equal(code, 0, stdout);
    assert.match(stdout, /edited by you: supabase\/functions\/calendly-webhook\/index.ts/);
    assert.ok(changes(api).some(({ path }) => path === "/functions/deploy"));
  });
  await t.step("the release's own are deployed again when the edit is taken back", async () => {
    await Deno.writeTextFile(file, released);
    const { stdout } = await app.run(api.environment, "deploy", "--yes", "--wait=0");
    assert.match(stdout, /deploy calendly-sync, calendly-connect, calendly-webhook/);
    const again = await app.run(api.environment, "deploy", "--yes", "--wait=0");
    assert.match(again.stdout, /There is nothing to do/);
  });
  await t.step("so is one that was deployed with an edit by the Supabase CLI", async () => {
    await edit();
    await new Deno.Command(`${app.path}/node_modules/.bin/supabase`, {
      args: ["functions", "deploy", "calendly-webhook", "--use-api", "--yes"],
      cwd: app.path,
      env: api.environment,
      stdin: "null",
    }).output();
    await Deno.writeTextFile(file, released);
    const { stdout } = await app.run(api.environment, "deploy", "--yes", "--wait=0");
    assert.match(stdout, /deploy calendly-webhook$/m);
  });
  await t.step(
    "no secret is in an argument, a file or a log, and no SQL in an argument",
    async () => {
      const words = (await app.cli.calls()).flat();
      const secrets = [
        tokenKey(project),
        project.keys.secretKey,
        api.environment.SUPABASE_ACCESS_TOKEN,
      ];
      for (const secret of secrets) {
        assert.ok(!words.some((word) => word.includes(secret)), "a secret in an argument");
      }
      assert.ok(!words.some((word) => /\bselect\b|create /i.test(word)), "SQL in an argument");
      const written = Object.values(await app.files()).join("\n") + project.logs.join("\n");
      for (const secret of secrets) {
        assert.ok(!written.includes(secret), "a secret in a file or log");
      }
    },
  );
});

/** The requests that change something, in their order; the first query is the check of names. */
const CHANGES: [name: string, isIt: (request: NotedRequest) => boolean][] = [
  ["the migrations", ({ body }) => /do \$script/.test((body as { query?: string }).query ?? "")],
  ["the secret", ({ method, path }) => method === "POST" && path === "/secrets"],
  ["the first upload", ({ path }) => path === "/functions/deploy"],
  ["the functions' activation", ({ method, path }) => method === "PUT" && path === "/functions"],
];

/** PROOF=full: it is killed after each of them. */
const KILLED = Deno.env.get("PROOF") === "full" ? CHANGES : [CHANGES[1]];

deployTest("a deploy that was killed goes on at every step", async (context) => {
  const { project, api, app, t } = context;
  const kill = async ([name, isIt]: typeof CHANGES[number], when: "before" | "after") => {
    await t.step(`killed ${when} ${name}`, () => killAt(context, ["deploy", "--yes"], isIt, when));
  };
  // After a change is before the next one.
  await kill(CHANGES[0], "before");
  for (const change of KILLED) await kill(change, "after");
  const { code, stdout } = await app.start(api.environment, "deploy", "--yes").output();
  assert.equal(code, 0, new TextDecoder().decode(stdout));
  const recorded = await project.database.query<{ version: string }>(RECORDED);
  assert.deepEqual(recorded.map(({ version }) => version), VERSIONS);
  assert.deepEqual(project.functions, FUNCTIONS);
  assert.deepEqual([...project.secrets.keys()], ["CALENDLY_TOKEN_KEY"]);
}, { long: true });

deployTest("deploy works on a database by its address", async ({ project, api, app }) => {
  const url = new URL(project.database.url);
  url.username = "postgres";
  const args = ["deploy", "--yes", `--database-url=${url.href}`];
  const { code, stdout, stderr } = await app.run(api.environment, ...args);
  assert.equal(code, 0, stdout + stderr);
  assert.match(stdout, /Not verified: the functions, which are not served at present/);
  const recorded = await project.database.query<{ version: string }>(RECORDED);
  assert.deepEqual(recorded.map(({ version }) => version), VERSIONS);
  assert.deepEqual([project.functions, [...project.secrets]], [[], []]);
});

/** Stands in for the CLI beside a local stack, which takes Docker. */
function localCli(databaseUrl: string, url: string): string {
  const status = JSON.stringify({ API_URL: url, DB_URL: databaseUrl, SECRET_KEY: "sb_secret_x" });
  return `case "$1" in --version) echo 3.1.0;; status) echo '${status}';; *) exit 1;; esac`;
}

Deno.test({
  ...needing("deploy works on the stack of supabase start", "realPostgres"),
  async fn() {
    await using project = await HostedProject.start();
    const url = new URL(project.database.url);
    url.username = "postgres";
    await using app = await AppFolder.make(undefined, localCli(url.href, project.url));
    const env = { PATH: Deno.env.get("PATH")! };
    assert.equal((await app.run(env, "install", "--yes")).code, 0);
    const { code, stdout, stderr } = await app.run(env, "deploy", "--local", "--yes", "--json");
    assert.equal(code, 0, stdout + stderr);
    const { plan, verified } = JSON.parse(stdout);
    assert.equal(plan.migrations.length, VERSIONS.length);
    assert.match(verified.unverified[0], /the functions, which are not served/);
    const recorded = await project.database.query<{ version: string }>(RECORDED);
    assert.deepEqual(recorded.map(({ version }) => version), VERSIONS);
    const out = await app.run(env, "uninstall", "--local", "--yes", "--drop-data");
    assert.equal(out.code, 0, out.stdout + out.stderr);
    assert.deepEqual(await project.database.query(RECORDED), []);
  },
});
