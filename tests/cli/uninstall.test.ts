/** `uninstall` with the real Supabase CLI, stand-ins of the hosted project and of Calendly, and real Postgres. */
import assert from "node:assert/strict";
import { SECRETS } from "../../cli/deployment.ts";
import { HISTORY_TABLE } from "../../cli/migrations.ts";
import { AS_OWNER } from "../../local/migrations.ts";
import { createSandbox, DEMO_TOKEN, type Sandbox, serveSandbox } from "../../sandbox/mod.ts";
import { catalogue, lacking } from "../guest/catalogue.ts";
import { PLATFORM_REST } from "../guest/shapes.ts";
import {
  deploy,
  type DeployContext,
  deployTest as hostedTest,
  install,
  killAt,
} from "./deploy_support.ts";
import type { HostedProject } from "./hosted_project.ts";
import { isChange } from "./management_api.ts";

interface UninstallContext extends DeployContext {
  sandbox: Sandbox;
  /** As they were before our files and objects came. */
  before: { catalogue: string[]; files: Record<string, string> };
}

/** Registers a test with a project in use: deployed, connected with webhooks, synced. */
function uninstallTest(
  name: string,
  test: (context: UninstallContext) => Promise<unknown>,
  { long = false } = {},
): void {
  let before: UninstallContext["before"];
  hostedTest(name, async (context) => {
    const { project, api, app } = context;
    const sandbox = createSandbox({ events: 5 });
    const served = await serveSandbox(sandbox);
    try {
      await project.setSecrets({ CALENDLY_API_URL: served.url, CALENDLY_TITLE: "the app's own" });
      await deploy(app, api);
      await connect(project);
      await test({ ...context, sandbox, before });
    } finally {
      await served.stop();
    }
  }, {
    long,
    async beforeInstall({ project, app }) {
      await project.database.script(PLATFORM_REST + AS_OWNER + HISTORY_TABLE);
      await project.database.script(AS_OWNER + "create table public.notes (id integer)");
      await Deno.mkdir(`${app.path}/supabase/functions/hello`, { recursive: true });
      await Deno.writeTextFile(`${app.path}/supabase/functions/hello/index.ts`, "// its own\n");
      before = { catalogue: await catalogue(project.database), files: await app.files() };
    },
  });
}

/** Connects the sandbox's demo user, with webhooks, and waits for the first sync. */
async function connect(project: HostedProject): Promise<void> {
  const call = async (path: string, body: unknown) => {
    const response = await fetch(`${project.url}/functions/v1/calendly-connect${path}`, {
      method: "POST",
      headers: { apikey: project.keys.secretKey, "content-type": "application/json" },
      body: JSON.stringify(body),
    });
    const answer = await response.json();
    assert.ok(response.ok, JSON.stringify(answer));
    return answer;
  };
  const { user_id } = await call("", { token: DEMO_TOKEN });
  await call("/webhooks", { user_id });
  while (true) {
    const [{ synced }] = await project.database.query<{ synced: boolean }>(
      "select bool_and(u.calendly_initial_sync_complete) as synced from calendly_users u",
    );
    if (synced) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

function subscriptions(sandbox: Sandbox): number {
  return sandbox.truth().webhook_subscriptions.length;
}

const COUNTS = `select (select count(*)::int from calendly_users) as users,
  (select count(*)::int from calendly_meetings) as meetings`;

uninstallTest("uninstall takes all of it out and keeps the data", async (context) => {
  const { project, api, app, t, sandbox, before } = context;
  const [counts] = await project.database.query<{ users: number; meetings: number }>(COUNTS);
  assert.ok(counts.meetings > 0 && subscriptions(sandbox) > 0);
  await t.step("a dry run shows the plan and changes nothing", async () => {
    api.requests.length = 0;
    const { code, stdout } = await app.run(api.environment, "uninstall", "--dry-run");
    assert.equal(code, 0, stdout);
    assert.match(stdout, /disconnect 1, and wait until it has been told of 1/);
    assert.match(stdout, new RegExp(`calendly_meetings \\(${counts.meetings} rows\\)`));
    assert.match(stdout, /unset CALENDLY_API_URL, CALENDLY_TOKEN_KEY/);
    assert.match(stdout, /take out 3 sections/);
    assert.deepEqual(api.requests.filter(isChange), []);
  });
  await t.step("Calendly is told, and all of ours goes but the data", async () => {
    const { code, stdout, stderr } = await app.run(api.environment, "uninstall", "--yes");
    assert.equal(code, 0, stdout + stderr);
    assert.match(stdout, /Database {2}\d+ rows of people's data kept/);
    assert.equal(subscriptions(sandbox), 0);
    assert.deepEqual(project.functions, []);
    assert.deepEqual([...project.secrets.keys()], ["CALENDLY_TITLE"]);
    assert.deepEqual(await app.files(), before.files);
    assert.deepEqual((await project.database.query(COUNTS))[0], counts);
    const left = lacking(await catalogue(project.database), before.catalogue);
    const isData = /\bpublic\.calendly_(users|meetings|invitees)/;
    assert.deepEqual(left.filter((line) => !isData.test(line)), []);
    assert.deepEqual(lacking(before.catalogue, await catalogue(project.database)), []);
  });
  await t.step("a second run finds nothing to do", async () => {
    const { code, stdout } = await app.run(api.environment, "uninstall");
    assert.equal(code, 0, stdout);
    assert.match(stdout, /There is nothing to do/);
  });
  await t.step("a fresh install meets the kept tables, and says so", async () => {
    await install(app, api);
    const { code, stderr } = await app.run(api.environment, "deploy", "--yes");
    assert.equal(code, 1);
    assert.match(stderr, /names_taken/);
    assert.match(stderr, /calendly_meetings, kept when Calendly Sync was uninstalled/);
  });
  await t.step("with --drop-data the data goes, too", async () => {
    const args = ["uninstall", "--drop-data", "--yes", "--json"];
    const { code, stdout, stderr } = await app.run(api.environment, ...args);
    assert.equal(code, 0, stdout + stderr);
    assert.equal(JSON.parse(stdout).dropped.calendly_meetings, counts.meetings);
    assert.deepEqual(await catalogue(project.database), before.catalogue);
    assert.deepEqual(await app.files(), before.files);
  });
});

uninstallTest("what changes while uninstall runs is not touched", async ({ api, app, before }) => {
  const edited = `${app.path}/supabase/functions/calendly-sync/index.ts`;
  const config = `${app.path}/supabase/config.toml`;
  let isEdited = false;
  api.onRequest = ({ method, path }, at) => {
    if (isEdited || at !== "after" || method !== "DELETE" || path !== "/secrets") return;
    isEdited = true;
    Deno.writeTextFileSync(edited, "// mine\n");
    Deno.writeTextFileSync(config, Deno.readTextFileSync(config) + "[auth]\nenabled = true\n");
  };
  const first = await app.run(api.environment, "uninstall", "--yes", "--json");
  assert.equal(first.code, 1);
  const { error } = JSON.parse(first.stdout);
  assert.equal(error.code, "changed_meanwhile");
  assert.match(error.message, /calendly-sync\/index\.ts/);
  assert.equal(await Deno.readTextFile(edited), "// mine\n");
  const second = await app.run(api.environment, "uninstall", "--yes");
  assert.equal(second.code, 0, second.stdout + second.stderr);
  assert.match(second.stdout, /Delete (it|them) .*\n.*calendly-sync\/index\.ts\n$/);
  assert.deepEqual(await app.files(), {
    ...before.files,
    "supabase/config.toml": before.files["supabase/config.toml"] + "[auth]\nenabled = true\n",
    "supabase/functions/calendly-sync/index.ts": "// mine\n",
  });
  const { code, stderr } = await app.run(api.environment, "install", "--yes");
  assert.equal(code, 1);
  assert.match(stderr, /folder_taken/);
  assert.match(stderr, /uninstall left/);
});

/** The requests that change something, in their order. */
const CHANGES: [name: string, isIt: Parameters<typeof killAt>[2]][] = [
  ["everybody is disconnected", ({ body }) => isQuery(body, /^select calendly\.disconnect/)],
  ["the database is cleared", ({ body }) => isQuery(body, /calendly_uninstall\(drop_data/)],
  ["a function is deleted", ({ method, path }) => method === "DELETE" && /functions/.test(path)],
  ["the secrets are unset", ({ method, path }) => method === "DELETE" && path === "/secrets"],
];

function isQuery(body: unknown, pattern: RegExp): boolean {
  return pattern.test((body as { query?: string })?.query ?? "");
}

/** PROOF=full: it is killed after each of them. */
const KILLED = Deno.env.get("PROOF") === "full" ? CHANGES : [CHANGES[1]];

uninstallTest("an uninstall that was killed goes on at every step", async (context) => {
  const { project, api, app, t, sandbox, before } = context;
  const args = ["uninstall", "--drop-data", "--yes"];
  const kill = async ([name, isIt]: typeof CHANGES[number], when: "before" | "after") => {
    await t.step(`killed ${when} ${name}`, () => killAt(context, args, isIt, when));
  };
  // After a change is before the next one.
  await kill(CHANGES[0], "before");
  for (const change of KILLED) await kill(change, "after");
  await t.step("killed among the files", async () => {
    await Deno.remove(`${app.path}/supabase/functions/calendly-sync`, { recursive: true });
    await Deno.remove(`${app.path}/supabase/migrations`, { recursive: true });
  });
  const { code, stdout } = await app.start(api.environment, ...args).output();
  assert.equal(code, 0, new TextDecoder().decode(stdout));
  assert.equal(subscriptions(sandbox), 0);
  assert.deepEqual(await catalogue(project.database), before.catalogue);
  assert.deepEqual(project.functions, []);
  assert.deepEqual([...project.secrets.keys()], ["CALENDLY_TITLE"]);
  assert.deepEqual(await app.files(), before.files);
}, { long: true });

uninstallTest("what is in uninstall's way is said", async ({ project, api, app, t, sandbox }) => {
  const refused = async (code: string, words: RegExp, ...args: string[]) => {
    const outcome = await app.run(api.environment, "uninstall", "--yes", "--json", ...args);
    const { error } = JSON.parse(outcome.stdout || "{}");
    assert.equal(error?.code, code, outcome.stdout + outcome.stderr);
    assert.match(`${error.message} ${error.hint}`, words);
    assert.equal(outcome.code, 1);
    api.accept();
  };
  await t.step("an access token that may not write the database", async () => {
    api.refuse("forbidden", /database/);
    api.refuseOnlyChanges = true;
    await refused("no_rights", /database_write/);
    assert.equal(subscriptions(sandbox), 1);
  });
  await t.step("a Calendly that cannot be told", async () => {
    const url = project.secrets.get("CALENDLY_API_URL")!;
    await project.setSecrets({ CALENDLY_API_URL: "http://127.0.0.1:9" });
    await refused("not_disconnected", /Run uninstall again/, "--wait=1");
    await project.setSecrets({ CALENDLY_API_URL: url });
  });
  await t.step("functions that are gone while Calendly must still be told", async () => {
    await project.database.query(
      "update calendly.pending_revocations set next_try_at = 'infinity'",
    );
    const { code } = await remove("calendly-sync");
    assert.equal(code, 0);
    await refused("functions_missing", /Run deploy first/);
    await deploy(app, api);
    await project.database.query("update calendly.pending_revocations set next_try_at = now()");
  });
  await t.step("files and sections that their owner edited stay, and are named", async () => {
    const edited = `${app.path}/supabase/functions/calendly-webhook/index.ts`;
    await Deno.writeTextFile(edited, "// mine\n");
    const { code, stdout, stderr } = await app.run(api.environment, "uninstall", "--yes");
    assert.equal(code, 0, stdout + stderr);
    assert.match(stdout, /stays, edited by you: supabase\/functions\/calendly-webhook\/index.ts/);
    assert.equal(await Deno.readTextFile(edited), "// mine\n");
    assert.equal(subscriptions(sandbox), 0);
  });

  async function remove(name: string) {
    return await new Deno.Command(`${app.path}/node_modules/.bin/supabase`, {
      args: ["functions", "delete", name, "--yes"],
      cwd: app.path,
      env: api.environment,
      stdin: "null",
    }).output();
  }
});

Deno.test("uninstall knows all secrets of the functions, and no others", async () => {
  const environment = await Deno.readTextFile(
    new URL("../../supabase/functions/_shared/calendly/environment.ts", import.meta.url),
  );
  const names = [...environment.matchAll(/^ {2}(CALENDLY_\w+): /gm)].map(([, name]) => name);
  assert.deepEqual([...SECRETS].sort(), names.sort());
});
