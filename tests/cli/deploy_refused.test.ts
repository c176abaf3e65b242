/** What `deploy` refuses, and what it names that does not work: with the real Supabase CLI. */
import assert from "node:assert/strict";
import { openDeployment } from "../../cli/deployment.ts";
import { Supabase } from "../../cli/supabase.ts";
import { findTarget } from "../../cli/target.ts";
import { VERSION } from "../../supabase/functions/_shared/calendly/version.ts";
import { catalogue } from "../guest/catalogue.ts";
import { needing } from "../harness/requirements.ts";
import { AppFolder } from "./app_folder.ts";
import { deployTest } from "./deploy_support.ts";
import { isChange } from "./management_api.ts";
import { gateway } from "./program.ts";
import type { Answer } from "./projects.ts";

const FUNCTIONS = ["calendly-connect", "calendly-sync", "calendly-webhook"];

deployTest(
  "what deploy cannot do is said, and nothing is changed",
  async ({ project, api, app, t }) => {
    const before = await catalogue(project.database);
    const refused = async (
      code: string,
      words: RegExp,
      exitCode: number,
      ...args: string[]
    ): Promise<Answer> => {
      const outcome = await app.run(api.environment, "deploy", "--yes", "--json", ...args);
      const { error } = JSON.parse(outcome.stdout || "{}");
      assert.equal(error?.code, code, outcome.stdout + outcome.stderr);
      assert.match(error.message + " " + error.hint, words);
      assert.ok(error.hint, "what to do");
      assert.equal(outcome.code, exitCode);
      assert.deepEqual(await catalogue(project.database), before);
      assert.deepEqual([project.functions, [...project.secrets]], [[], []]);
      api.accept();
      return outcome;
    };
    await t.step("a wrong access token", async () => {
      api.refuse("unauthorized");
      await refused("not_logged_in", /supabase login/, 1);
    });
    for (
      const [path, method, permission] of [
        [/^\/functions$/, "GET", "edge_functions_read"],
        [/^\/secrets$/, "GET", "edge_functions_secrets_read"],
      ] as const
    ) {
      await t.step(`an access token without ${permission}`, async () => {
        api.refuse("forbidden", path, method);
        await refused("no_rights", new RegExp(permission), 1);
      });
    }
    await t.step("an access token that may not read, or not write, the database", async () => {
      api.refuse("forbidden", /database/);
      await refused("no_rights", /database_read/, 1);
      api.refuse("forbidden", /database/);
      api.refuseOnlyChanges = true;
      await refused("no_rights", /database_write/, 1);
    });
    await t.step("a proxy that answers with a page", async () => {
      api.refuse("html");
      await refused("api_html", /proxy/, 2);
    });
    await t.step("a database that takes no writes", async () => {
      api.isReadOnly = true;
      await refused("database_read_only", /disk/, 1);
    });
    await t.step("a name that the app has taken", async () => {
      await project.database.query("create table public.calendly_meetings (id integer)");
      const taken = await catalogue(project.database);
      const outcome = await app.run(api.environment, "deploy", "--yes");
      assert.equal(outcome.code, 1);
      assert.match(outcome.stderr, /names_taken.*\n.*table public\.calendly_meetings/s);
      assert.deepEqual(await catalogue(project.database), taken);
      await project.database.query("drop table public.calendly_meetings");
    });
    await t.step("two projects at once, another project's address, no number", async () => {
      await refused("several_projects", /--remote, --local/, 1, "--remote=x", "--local");
      await refused("invalid_option", /number of seconds/, 1, "--wait=soon");
      const other = "--url=https://zyxwvutsrqponmlkjihg.supabase.co";
      await refused("other_project", /abcdefghijklmnopqrst/, 1, other);
      for (const url of ["http://example.com", "https://example.com/path", "example.com"]) {
        await refused("invalid_url", /--url/, 1, `--url=${url}`);
      }
    });
    await t.step("a folder without our files, or with a migration that was edited", async () => {
      const file = `${app.path}/supabase/migrations/20261101000010_collisions.sql`;
      const text = await Deno.readTextFile(file);
      await Deno.writeTextFile(file, text + "-- mine\n");
      await refused("migration_changed", /edited/, 1);
      await Deno.remove(file);
      await refused("not_installed", /install/, 1);
      await Deno.writeTextFile(file, text);
      const config = `${app.path}/supabase/config.toml`;
      const sections = await Deno.readTextFile(config);
      await Deno.writeTextFile(config, 'project_id = "app"\n');
      await refused("not_installed", /verify_jwt/, 1);
      await Deno.writeTextFile(config, sections);
    });
    await t.step("a folder that is not linked", async () => {
      await Deno.remove(`${app.path}/supabase/.temp`, { recursive: true });
      await refused("not_linked", /supabase link/, 1);
      await refused("project_unknown", /projects list/, 1, "--remote=zyxwvutsrqponmlkjihg");
      const choice = { env: api.environment, folder: app.path, values: {} };
      await assert.rejects(findTarget({ ...choice, argument: "." }), { code: "not_linked" });
      await assert.rejects(findTarget({ ...choice, argument: "lost" }), { code: "no_folder" });
    });
  },
);

deployTest("the secret key goes to no address that nobody typed", async (context) => {
  const { project, api, app, t } = context;
  const received: (string | null)[] = [];
  await using stranger = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen() {} },
    (request) => {
      received.push(request.headers.get("apikey"));
      return Response.json({}, { headers: { "x-calendly-sync-version": VERSION } });
    },
  );
  const SUPABASE_URL = `http://127.0.0.1:${stranger.addr.port}`;
  await t.step("deploy asks the project itself, whatever SUPABASE_URL is", async () => {
    const env = { ...api.environment, SUPABASE_URL };
    const { code, stdout } = await app.run(env, "deploy", "--yes", "--wait=0");
    assert.equal(code, 0, stdout);
    assert.deepEqual(received, []);
  });
  await t.step(
    "deploy, connect and status of a linked folder do not use SUPABASE_URL",
    async () => {
      const env = { ...api.environment, SUPABASE_URL };
      const choice = { env, folder: app.path, values: {} };
      const { secretKey } = project.keys;
      const address = `https://${project.ref}.supabase.co`;
      assert.deepEqual(await findTarget(choice), { url: address, secretKey });
      assert.equal((await openDeployment(app.path, env, {})).url, address);
      const { url } = project;
      assert.deepEqual(await findTarget({ ...choice, values: { url } }), { url, secretKey });
    },
  );
  await t.step("a key of the environment is for its address", async () => {
    const env = { ...api.environment, SUPABASE_URL, SUPABASE_SECRET_KEY: "sb_secret_of_another" };
    const named = { url: SUPABASE_URL, secretKey: "sb_secret_of_another" };
    assert.deepEqual(await findTarget({ env, folder: app.path, values: {} }), named);
    const other = { env, folder: "/", argument: app.path, values: { url: project.url } };
    const linked = { url: project.url, secretKey: project.keys.secretKey };
    assert.deepEqual(await findTarget(other), linked, "a folder that is named comes first");
    api.refuse("forbidden", /api-keys/);
    const { readSecretKey } = await openDeployment(app.path, env, {});
    assert.match((await readSecretKey() as { missing: string }).missing, /for SUPABASE_URL/);
    api.accept();
  });
});

deployTest("deploy makes no key over tokens that another one has encrypted", async (context) => {
  const { project, api, app } = context;
  const deploy = (...args: string[]) =>
    app.run(api.environment, "deploy", "--yes", "--wait=0", ...args);
  assert.equal((await deploy()).code, 0);
  await project.database.query(
    `insert into calendly.pending_revocations
        (connection_id, credential, subscription_uris, next_try_at, created_at)
      values (gen_random_uuid(), '{}', '{}', now() + interval '1 day', now())`,
  );
  await project.setSecrets({ CALENDLY_TOKEN_KEY: undefined });
  const { code, stderr } = await deploy();
  assert.equal(code, 1);
  assert.match(stderr, /token_key_missing.*\n.*secrets set --env-file.*--new-key/s);
  assert.equal(project.secrets.size, 0);
  const { code: made, stdout } = await deploy("--new-key");
  assert.equal(made, 0, stdout);
  assert.ok(project.secrets.has("CALENDLY_TOKEN_KEY"));
});

deployTest("an older program changes nothing of a newer project", async (context) => {
  const { project, api, app, t } = context;
  const deploy = () => app.run(api.environment, "deploy", "--yes", "--wait=0", "--json");
  assert.equal((await deploy()).code, 0);
  const refused = async (what: RegExp) => {
    api.requests.length = 0;
    const { code, stdout } = await deploy();
    assert.equal(code, 1);
    const { error } = JSON.parse(stdout);
    assert.equal(error.code, "newer_deployed");
    assert.match(error.message, what);
    assert.deepEqual(api.requests.filter(isChange), []);
  };
  await t.step("whose functions are newer", async () => {
    await using newer = gateway(project.url, {
      "/functions/v1/calendly-webhook": () =>
        Response.json({}, { headers: { "x-calendly-sync-version": "10.0.0" } }),
    });
    app.url = newer.url;
    await refused(/calendly-webhook is of version 10\.0\.0/);
    app.url = project.url;
  });
  await t.step("whose database is newer", async () => {
    await project.database.query(
      `create or replace function calendly.version() returns text
        language sql immutable set search_path = '' as $$ select '10.0.0' $$`,
    );
    await refused(/the database is of version 10\.0\.0/);
  });
});

deployTest("what does not work after a deploy is named", async ({ project, api, app, t }) => {
  await t.step(
    "rights that are missing half-way are said, and the rest is done by a second run",
    async () => {
      api.refuse("forbidden", /secrets/, "POST");
      const { code, stderr } = await app.run(api.environment, "deploy", "--yes");
      assert.equal(code, 1);
      assert.match(stderr, /no_rights.*\n.*edge_functions_secrets_write/s);
      assert.deepEqual(project.functions, []);
      api.accept();
      api.refuse("forbidden", /functions\/deploy/);
      const second = await app.run(api.environment, "deploy", "--yes");
      assert.match(second.stderr, /no_rights.*\n.*edge_functions_write/s);
      assert.match(second.stdout, /replaces any key that an earlier run has shown/);
      api.accept();
    },
  );
  await t.step("a schedule that does not run", async () => {
    const { code, stdout, stderr } = await app.run(api.environment, "deploy", "--yes", "--wait=1");
    assert.equal(code, 1);
    assert.match(stderr, /no_tick/, stdout);
    assert.match(stderr, /cron\.job_run_details/);
  });
  await t.step(
    "without the right to read keys the rest is verified, and that is said",
    async () => {
      api.refuse("forbidden", /api-keys/);
      const outcome = await app.run(api.environment, "deploy", "--yes", "--wait=0", "--json");
      assert.equal(outcome.code, 0, outcome.stdout + outcome.stderr);
      const { unverified } = JSON.parse(outcome.stdout).verified;
      assert.match(unverified[0], /SUPABASE_SECRET_KEY/);
      assert.match(unverified[1], /schedule/);
      api.accept();
    },
  );
  await t.step("a function behind the gateway's check of JWTs is deployed again", async () => {
    const config = `${app.path}/supabase/config.toml`;
    const text = await Deno.readTextFile(config);
    await Deno.writeTextFile(config, "[functions.calendly-sync]\nverify_jwt = true\n");
    await new Deno.Command(`${app.path}/node_modules/.bin/supabase`, {
      args: ["functions", "deploy", "calendly-sync", "--use-api", "--yes"],
      cwd: app.path,
      env: api.environment,
      stdin: "null",
    }).output();
    await Deno.writeTextFile(config, text);
    const stranger = () => fetch(`${project.url}/functions/v1/calendly-sync/health`);
    assert.equal((await stranger()).status, 401);
    const { code, stdout } = await app.run(api.environment, "deploy", "--yes", "--wait=0");
    assert.equal(code, 0, stdout);
    assert.match(stdout, /deploy calendly-sync$/m);
    assert.notEqual((await stranger()).status, 401);
  });
  await t.step("a function that is gone is deployed again", async () => {
    await project.remove("calendly-sync");
    const { code, stdout } = await app.run(api.environment, "deploy", "--yes", "--wait=0");
    assert.equal(code, 0, stdout);
    assert.match(stdout, /deploy calendly-sync$/m);
    assert.deepEqual(project.functions, FUNCTIONS);
  });
}, { ticking: false });

Deno.test("the password of a database comes by the environment alone", async () => {
  await using app = await AppFolder.make(undefined, "exit 1");
  const env = { PATH: Deno.env.get("PATH")! };
  assert.equal((await app.run(env, "install", "--yes")).code, 0);
  const secret = "se%cret";
  const failures: [string, string, Record<string, string>?][] = [
    ["password_in_argument", "--database-url=postgresql://me:secret@127.0.0.1:9/db"],
    ["password_in_argument", "--database-url=postgresql://me@127.0.0.1:9/db?password=secret"],
    ["invalid_url", "--database-url=postgresql://me:se%cret@127.0.0.1:9/db"],
    ["invalid_url", "--database-url=127.0.0.1:9/db"],
    ["invalid_url", "--database"],
    ["invalid_url", "--database", { DATABASE_URL: `postgresql://me:${secret}@127.0.0.1:9/db` }],
    ["database_unreachable", "--database", {
      DATABASE_URL: "postgresql://me:se%25cret@127.0.0.1:9/db",
    }],
    ["database_unreachable", "--database-url=postgresql://me@127.0.0.1:9/db", {
      PGPASSWORD: secret,
    }],
  ];
  for (const [code, argument, more] of failures) {
    const outcome = await app.run({ ...env, ...more }, "deploy", "--json", argument);
    assert.equal(JSON.parse(outcome.stdout).error.code, code, argument);
    assert.ok(!/se(%|%25)?cret/.test(outcome.stdout + outcome.stderr), outcome.stderr);
  }
});

Deno.test("a Supabase CLI that ends before it has read its input is no crash", async () => {
  const list = JSON.stringify({ target: { project_ref: "abcdefghijklmnopqrst" }, functions: [] });
  await using app = await AppFolder.make(
    "abcdefghijklmnopqrst",
    `case "$1" in --version) echo 3.1.0;; functions) echo '${list}';; *) exec <&-; exit 1;; esac`,
  );
  const supabase = await Supabase.open(app.path, { PATH: Deno.env.get("PATH")! });
  const sql = `select ${"1,".repeat(1_000_000)}1`;
  await assert.rejects(supabase.query(sql), { code: "supabase_failed" });
});

Deno.test("deploy needs version 3 of the Supabase CLI", async () => {
  for (
    const [script, code] of [
      ["echo 2.54.11", "cli_outdated"],
      ["exit 1", "cli_outdated"],
    ]
  ) {
    await using app = await AppFolder.make("abcdefghijklmnopqrst", script);
    const env = { PATH: Deno.env.get("PATH")! };
    assert.equal((await app.run(env, "install", "--yes")).code, 0);
    const outcome = await app.run(env, "deploy");
    assert.equal(outcome.code, 1);
    assert.match(outcome.stderr, new RegExp(`${code}.*\\n.*npm install --save-dev supabase@3`));
  }
});

Deno.test("deploy says how to get the Supabase CLI where there is none", async () => {
  await using app = await AppFolder.make("abcdefghijklmnopqrst");
  const env = { PATH: "/nowhere" };
  assert.equal((await app.run(env, "install", "--yes")).code, 0);
  await Deno.remove(`${app.path}/node_modules`, { recursive: true });
  const outcome = await app.run(env, "deploy");
  assert.equal(outcome.code, 1);
  assert.match(outcome.stderr, /cli_missing.*\n.*npm install --save-dev supabase@3/);
});

Deno.test({
  ...needing("deploy says that no local stack runs", "supabaseCli"),
  async fn() {
    await using app = await AppFolder.make(undefined);
    const env = { PATH: Deno.env.get("PATH")!, DOCKER_HOST: "tcp://127.0.0.1:9" };
    assert.equal((await app.run(env, "install", "--yes")).code, 0);
    const { code, stderr } = await app.run(env, "deploy", "--local");
    assert.equal(code, 2);
    assert.match(stderr, /no_local_stack.*\n.*npx supabase start/);
  },
});
