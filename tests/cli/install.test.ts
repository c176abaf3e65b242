/** `install` in folders as projects have them: what it writes, what it leaves alone, what it refuses. */
import assert from "node:assert/strict";
import { dirname, join } from "node:path";
import { removeSections } from "../../cli/config_toml.ts";
import { changeConfig, changeFiles } from "../../cli/file_changes.ts";
import { readPayload } from "../../cli/payload.ts";
import { planRemovals, readProduct } from "../../cli/project_files.ts";
import { VERSION } from "../../supabase/functions/_shared/calendly/version.ts";
import { needing } from "../harness/requirements.ts";
import { installSupabaseCli } from "./supabase_cli.ts";
import { CONFIGS } from "./configs.ts";
import { run } from "./packed.ts";
import { type Answer, projectFolder, runAndEdit, runIn, tree, write } from "./projects.ts";

const PAYLOAD = await readPayload();
const ORIGINAL_NAMES = "migrations/20261101000995_original_names.sql";
const INDEX = "supabase/functions/calendly-sync/index.ts";
const CONFIG = "supabase/config.toml";

/** What an installation has, below the project's folder, without config.toml. */
const INSTALLED = Object.fromEntries(
  PAYLOAD.filter(({ path }) => path !== ORIGINAL_NAMES)
    .map(({ path, text }) => [`supabase/${path}`, text]),
);

/** A project with an app: functions of its own, migrations before and after ours. */
const APP = {
  [CONFIG]: CONFIGS["what supabase init writes"],
  "supabase/.temp/project-ref": "abcdefghijklmnopqrst",
  "supabase/functions/greet/index.ts": "Deno.serve(() => new Response('hello'));\n",
  "supabase/functions/_shared/cors.ts": "export const headers = {};\n",
  "supabase/functions/import_map.json": "{}\n",
  "supabase/migrations/20250101000000_first.sql": "create table notes (id integer);\n",
  "supabase/seed.sql": "insert into notes values (1);\n",
  "deno.json": '{ "imports": {} }\n',
  "README.md": "# An app\r\n",
};

Deno.test("a project gets our files and sections, and all else stays as it was", async (t) => {
  await using project = await projectFolder(APP);
  const first = await runIn(project.path, "install", "--yes");
  assert.equal(first.code, 0, first.stderr);
  const installed = await tree(project.path);

  await t.step("our files are those of this version", () => {
    const { [CONFIG]: config, ...files } = installed;
    const { [CONFIG]: before, ...app } = APP;
    assert.deepEqual(files, sorted({ ...app, ...INSTALLED }));
    assert.ok(config.startsWith(before));
    assert.equal(removeSections(config).text, before);
  });
  await t.step("the plan was shown, and what comes next", () => {
    assert.match(first.stdout, new RegExp(`Project +${project.path} +\\(linked to abcdefgh`));
    assert.match(first.stdout, /supabase\/functions\/calendly-sync +\d new/);
    assert.match(first.stdout, /supabase\/migrations +\d+ new/);
    assert.match(first.stdout, /\+\[functions\.calendly-webhook\]\n +\+verify_jwt = false/);
    assert.match(first.stdout, /Next: .* task cli deploy\n$/);
    assert.doesNotMatch(first.stdout, /!/, "there is nothing to warn of");
  });
  await t.step("a second time there is nothing to do, and nothing is written", async () => {
    const times = await written(project.path);
    const second = await runIn(project.path, "install");
    assert.equal(second.code, 0);
    assert.match(second.stdout, new RegExp(`Nothing to do: version ${VERSION} is installed`));
    assert.deepEqual(await written(project.path), times);
  });
  await t.step("it is taken out again without a trace", async () => {
    await takeOut(project.path);
    assert.deepEqual(await tree(project.path), sorted(APP));
  });
});

Deno.test("any project's folder is as before once it was installed and taken out", async (t) => {
  for (const [name, config] of Object.entries(CONFIGS)) {
    await t.step(name, async () => {
      const files = {
        [CONFIG]: config,
        "supabase/migrations/20991231000000_later.sql": "select 1;",
      };
      await using project = await projectFolder(files);
      const { code, stderr } = await runIn(project.path, "install", "--yes");
      assert.equal(code, 0, stderr);
      assert.deepEqual(await tree(project.path), {
        ...sorted({ ...files, ...INSTALLED }),
        [CONFIG]: await Deno.readTextFile(join(project.path, CONFIG)),
      });
      await takeOut(project.path);
      assert.deepEqual(await tree(project.path), files);
    });
  }
});

Deno.test("a folder supabase without config.toml gets one with our sections", async () => {
  await using project = await projectFolder({ "supabase/functions/greet/index.ts": "" });
  const { code, stdout } = await runIn(project.path, "install", "--yes");
  assert.equal(code, 0);
  assert.match(stdout, /supabase\/config\.toml +a new file, 3 sections added/);
  const text = await Deno.readTextFile(join(project.path, CONFIG));
  assert.deepEqual(removeSections(text), {
    text: undefined,
    removed: ["calendly-sync", "calendly-connect", "calendly-webhook"],
    left: [],
  });
  await takeOut(project.path);
  assert.deepEqual(await tree(project.path), { "supabase/functions/greet/index.ts": "" });
});

Deno.test("an empty config.toml of its owner's is empty again once ours is taken out", async () => {
  await using project = await projectFolder({ [CONFIG]: "" });
  assert.equal((await runIn(project.path, "install", "--yes")).code, 0);
  await takeOut(project.path);
  assert.deepEqual(await tree(project.path), { [CONFIG]: "" });
});

Deno.test("--dry-run shows the plan and changes nothing", async () => {
  await using project = await projectFolder(APP);
  const { code, stdout } = await runIn(project.path, "install", "--dry-run");
  assert.equal(code, 0);
  assert.match(stdout, /supabase\/config\.toml +3 sections added/);
  assert.match(stdout, /Nothing has been changed: this was a dry run/);
  assert.deepEqual(await tree(project.path), sorted(APP));
});

Deno.test("--json answers with the plan, and what was done", async () => {
  await using project = await projectFolder(APP);
  const plan = JSON.parse((await runIn(project.path, "install", "--json", "--dry-run")).stdout);
  assert.deepEqual(
    { ...plan, files: plan.files.length },
    {
      project: project.path,
      ref: "abcdefghijklmnopqrst",
      version: VERSION,
      installed: null,
      files: PAYLOAD.length - 1,
      edited: [],
      config: { added: ["calendly-sync", "calendly-connect", "calendly-webhook"], patched: [] },
      warnings: [],
      done: false,
      reason: null,
      next: "npx -y deno@2.9.6 task cli deploy",
    },
  );
  assert.deepEqual(plan.files[0], { path: PAYLOAD[0].path, state: "new" });
  const done = JSON.parse((await runIn(project.path, "install", "--json", "--yes")).stdout);
  assert.deepEqual({ ...plan, done: true }, done);
  const again = JSON.parse((await runIn(project.path, "install", "--json")).stdout);
  assert.equal(again.installed, VERSION);
  assert.ok(again.files.every(({ state }: { state: string }) => state === "equal"));
});

Deno.test("the project is found from every folder in it, and by its name", async () => {
  await using project = await projectFolder({
    "app/supabase/config.toml": "",
    "app/supabase/functions/greet/index.ts": "",
    "app/src/main.ts": "",
  });
  for (
    const [folder, ...args] of [
      ["app"],
      ["app/supabase"],
      ["app/supabase/functions/greet"],
      ["app/src"],
      ["", "app"],
      ["app/src", ".."],
      ["", join(project.path, "app")],
    ]
  ) {
    const answer = await runIn(
      join(project.path, folder),
      "install",
      "--json",
      "--dry-run",
      ...args,
    );
    assert.equal(JSON.parse(answer.stdout).project, join(project.path, "app"), folder);
  }
});

Deno.test("the next command names the folder as it was named", async () => {
  await using project = await projectFolder({ "app/supabase/config.toml": "" });
  const { stdout } = await runIn(project.path, "install", "app", "--yes");
  assert.match(stdout, /task cli deploy app\n$/);
});

Deno.test("without a project it says how to make one", async () => {
  await using project = await projectFolder({ "notes.txt": "", "supabase": "not a folder" });
  await assertRefused(project.path, ["install"], "no_project", /npx supabase init/);
  await assertRefused(project.path, ["install", "nix"], "no_folder", /Name the folder/);
  await assertRefused(project.path, ["install", "notes.txt"], "no_project", /npx supabase init/);
});

Deno.test("its own folder is refused", async () => {
  const root = new URL("../../", import.meta.url).pathname;
  const { code, stderr } = await runIn(root, "install");
  assert.equal(code, 1);
  assert.match(stderr, /own_folder/);
});

Deno.test("a file that its owner edited is shown and left, with or without a copy of ours", async (t) => {
  await using project = await projectFolder(APP);
  await runIn(project.path, "install", "--yes");
  const text = INSTALLED[INDEX] + "// ours, not yours\n";
  await write(project.path, { [INDEX]: text });
  const edited = await tree(project.path);

  await t.step("the difference is shown, and the exit code is 1", async () => {
    const { code, stdout } = await runIn(project.path, "install", "--yes");
    assert.equal(code, 1);
    assert.match(stdout, /! supabase\/functions\/calendly-sync\/index\.ts +edited/);
    assert.match(stdout, /-\/\/ ours, not yours/);
    assert.match(stdout, /1 file edited by you, and left so/);
    assert.deepEqual(await tree(project.path), edited);
  });
  await t.step("--json has the difference", async () => {
    const { code, stdout } = await runIn(project.path, "install", "--json");
    assert.equal(code, 1);
    const { files } = JSON.parse(stdout);
    const { path, diff } = files.find(({ state }: { state: string }) => state === "edited");
    assert.equal(`supabase/${path}`, INDEX);
    assert.match(diff, /\n-\/\/ ours, not yours\n/);
  });
  const copy = `${INDEX}.calendly-new`;
  await t.step("--write-new puts ours beside it", async () => {
    const { code } = await runIn(project.path, "install", "--yes", "--write-new");
    assert.equal(code, 1);
    assert.deepEqual(await tree(project.path), sorted({ ...edited, [copy]: INSTALLED[INDEX] }));
    const { stdout } = await runIn(project.path, "install", "--write-new");
    assert.doesNotMatch(stdout, /Plan/, "a second time there is nothing to write");
  });
  await t.step("the copy goes once the file is ours again", async () => {
    await Deno.remove(join(project.path, INDEX));
    const { code } = await runIn(project.path, "install", "--yes");
    assert.equal(code, 0);
    assert.deepEqual(await tree(project.path), { ...edited, [INDEX]: INSTALLED[INDEX] });
  });
});

Deno.test("line ends that Git changed are no edit", async () => {
  await using project = await projectFolder(APP);
  await runIn(project.path, "install", "--yes");
  const windows = Object.entries(INSTALLED).map((
    [path, text],
  ) => [path, text.replaceAll("\n", "\r\n")]);
  await write(project.path, Object.fromEntries(windows));
  const { code, stdout } = await runIn(project.path, "install");
  assert.equal(code, 0, stdout);
  assert.match(stdout, /Nothing to do/);
});

Deno.test("the original system's names are installed if they are asked for, and stay", async () => {
  await using project = await projectFolder(APP);
  const there = async () => `supabase/${ORIGINAL_NAMES}` in await tree(project.path);
  await runIn(project.path, "install", "--yes");
  assert.equal(await there(), false);
  assert.equal((await runIn(project.path, "install", "--yes", "--original-names")).code, 0);
  assert.equal(await there(), true);
  const { stdout } = await runIn(project.path, "install");
  assert.match(stdout, /Nothing to do/);
  assert.equal(await there(), true);
});

Deno.test("what a killed run left half written goes", async () => {
  await using project = await projectFolder(APP);
  await runIn(project.path, "install", "--yes");
  const installed = await tree(project.path);
  await write(project.path, { [`${INDEX}.calendly-part`]: "im", [`${CONFIG}.calendly-part`]: "" });
  assert.equal((await runIn(project.path, "install", "--yes")).code, 0);
  assert.deepEqual(await tree(project.path), installed);
});

Deno.test("a file that its owner makes after the plan was shown is not overwritten", async () => {
  await using project = await projectFolder(APP);
  const file = join(project.path, INDEX);
  const { code, stderr } = await runAndEdit(
    project.path,
    () => {
      Deno.mkdirSync(dirname(file), { recursive: true });
      Deno.writeTextFileSync(file, "// mine\n");
    },
    "install",
    "--yes",
  );
  assert.equal(code, 1);
  assert.match(stderr, /changed_meanwhile .*calendly-sync\/index\.ts/);
  assert.match(stderr, /[Rr]un (this|install) again/);
  assert.deepEqual(await tree(project.path), sorted({ ...APP, [INDEX]: "// mine\n" }));
});

Deno.test("what its owner writes into config.toml after the plan was shown stays", async () => {
  await using project = await projectFolder(APP);
  const edited = APP[CONFIG] + "\n[functions.mine]\nverify_jwt = true\n";
  const { code, stderr } = await runAndEdit(
    project.path,
    () => Deno.writeTextFileSync(join(project.path, CONFIG), edited),
    "install",
    "--yes",
  );
  assert.equal(code, 0, stderr);
  const config = await Deno.readTextFile(join(project.path, CONFIG));
  assert.deepEqual(removeSections(config), {
    text: edited,
    removed: ["calendly-sync", "calendly-connect", "calendly-webhook"],
    left: [],
  });
});

Deno.test("what is in the way is refused before anything is written", async (t) => {
  const sync = "supabase/functions/calendly-sync";
  const cases: [name: string, files: Record<string, string>, code: string, said: RegExp][] = [
    [
      "a function of somebody else's with our name",
      { [`${sync}/index.ts`]: "Deno.serve();", [`${sync}/deno.json`]: "{}" },
      "folder_taken",
      /supabase\/functions\/calendly-sync is there/,
    ],
    [
      "a migration with a version of ours",
      { "supabase/migrations/20261101000100_people.sql": "" },
      "version_taken",
      /20261101000100_people\.sql/,
    ],
    [
      "files of a newer version",
      { "supabase/functions/_shared/calendly/version.ts": 'export const VERSION = "999.0.0";\n' },
      "newer_installed",
      /has version 999\.0\.0; this is/,
    ],
    ["a broken config.toml", { [CONFIG]: "[api\n" }, "config_invalid", /\[api/],
    [
      "a config.toml in another encoding",
      { [CONFIG]: "\u00ff" },
      "config_invalid",
      /not encoded in UTF-8/,
    ],
    [
      "functions in an inline table",
      { [CONFIG]: "functions = { greet = { verify_jwt = true } }" },
      "config_not_patched",
      /functions\.calendly-sync\.verify_jwt/,
    ],
    ["a file where a folder should be", { "supabase/functions": "" }, "not_a_folder", /functions/],
    ["a folder where a file should be", { [`${INDEX}/x`]: "" }, "not_a_file", /index\.ts/],
  ];
  for (const [name, files, code, said] of cases) {
    await t.step(name, async () => {
      await using project = await projectFolder({ [CONFIG]: "", ...files });
      if (files[CONFIG] === "\u00ff") {
        await Deno.writeFile(join(project.path, CONFIG), new Uint8Array([0xff, 0xfe]));
      }
      const before = await tree(project.path);
      await assertRefused(project.path, ["install", "--yes"], code, said);
      assert.deepEqual(await tree(project.path), before);
    });
  }
});

Deno.test("a symbolic link is not written through", async (t) => {
  for (const path of ["supabase/functions", "supabase/functions/calendly-sync", INDEX, CONFIG]) {
    await t.step(path, async () => {
      await using elsewhere = await projectFolder({ "file": "" });
      await using project = await projectFolder({ "supabase/other": "" });
      const deno = "supabase/functions/calendly-sync/deno.json";
      await write(
        project.path,
        path === INDEX ? { [deno]: INSTALLED[deno] } : { "supabase/x": "" },
      );
      await Deno.mkdir(join(project.path, dirname(path)), { recursive: true });
      const target = { [INDEX]: "nothing there", [CONFIG]: "file" }[path] ?? "";
      await Deno.symlink(join(elsewhere.path, target), join(project.path, path));
      const before = await tree(project.path);
      await assertRefused(
        project.path,
        ["install", "--yes"],
        "symbolic_link",
        /would land elsewhere/,
      );
      assert.deepEqual(await tree(project.path), before);
      assert.deepEqual(await tree(elsewhere.path), { file: "" });
    });
  }
});

Deno.test("a project in a folder that a symbolic link leads to is installed into", async () => {
  await using project = await projectFolder({ [`real/${CONFIG}`]: "" });
  await Deno.symlink(join(project.path, "real"), join(project.path, "link"));
  const { stdout } = await runIn(project.path, "install", "link", "--yes", "--json");
  assert.equal(JSON.parse(stdout).project, join(project.path, "real"));
});

Deno.test("warnings say what to do", async (t) => {
  const cases: [code: string, files: Record<string, string>, hint: RegExp][] = [
    ["not_linked", { [CONFIG]: "" }, /npx supabase link/],
    [
      "background_work_ends",
      { [CONFIG]: '[edge_runtime]\npolicy = "oneshot"\n' },
      /policy = "per_worker"/,
    ],
    ["declarative_schemas", { "supabase/schemas/tables/a.sql": "" }, /Read each migration/],
    [
      "declarative_schemas",
      { [CONFIG]: '[db.migrations]\nschema_paths = ["./database"]\n' },
      /Read each migration/,
    ],
    [
      "declarative_schemas",
      {
        [CONFIG]: '[experimental.pgdelta]\ndeclarative_schema_path = "./tables"\n',
        "supabase/tables/a.sql": "",
      },
      /Read each migration/,
    ],
    ["data_api", { [CONFIG]: '[api]\nschemas = ["shop"]\n' }, /"public" into schemas/],
    ["data_api", { [CONFIG]: "[api]\nenabled = false\n" }, /enabled = true/],
    [
      "function_settings",
      { [CONFIG]: "[functions.calendly-sync]\nenabled = false\n" },
      /Take that line out/,
    ],
    [
      "function_settings",
      { [CONFIG]: "[remotes.staging.functions.calendly-sync]\nverify_jwt = true\n" },
      /Take that line out/,
    ],
    ["later_migrations", { "supabase/migrations/20991231000000_x.sql": "" }, /`deploy`/],
  ];
  const none = { [CONFIG]: "", "supabase/.temp/project-ref": "abcdefghijklmnopqrst\n" };
  for (const [code, files, hint] of cases) {
    await t.step(`${code}: ${Object.values(files).join()}${Object.keys(files)}`, async () => {
      await using project = await projectFolder(
        code === "not_linked" ? files : { ...none, ...files },
      );
      const { stdout } = await runIn(project.path, "install", "--dry-run", "--json");
      const { warnings } = JSON.parse(stdout);
      assert.deepEqual(warnings.map((warning: { code: string }) => warning.code), [code]);
      assert.match(warnings[0].hint, hint);
      const { stdout: text } = await runIn(project.path, "install", "--dry-run");
      assert.match(text.replaceAll("\n    ", " "), hint);
      for (const line of text.split("\n")) {
        if (!/^ {4}(Project|Version)/.test(line)) assert.ok(line.length <= 120, line);
      }
    });
  }
});

Deno.test({
  ...needing("supabase init writes what these tests start from", "supabaseCli"),
  async fn() {
    await using project = await projectFolder({ "app/node_modules/x": "" });
    const app = join(project.path, "app");
    await installSupabaseCli(app);
    const { code, stderr } = await run(join(app, "node_modules/.bin/supabase"), ["init"], {
      cwd: app,
      env: { HOME: project.path, SUPABASE_TELEMETRY_DISABLED: "1" },
    });
    assert.equal(code, 0, stderr);
    assert.equal(
      await Deno.readTextFile(join(app, CONFIG)),
      CONFIGS["what supabase init writes"],
    );
  },
});

async function takeOut(folder: string): Promise<void> {
  const supabase = join(folder, "supabase");
  const files = await planRemovals(supabase, await readProduct());
  assert.deepEqual(files.filter(({ state }) => state !== "removed"), []);
  await changeFiles(supabase, files);
  await changeConfig(supabase, removeSections);
}

async function assertRefused(folder: string, args: string[], code: string, said: RegExp) {
  const answer: Answer = await runIn(folder, ...args, "--json");
  assert.equal(answer.code, 1);
  const { error } = JSON.parse(answer.stdout);
  assert.equal(error.code, code);
  assert.match(`${error.message}\n${error.hint}`, said);
  const { stderr } = await runIn(folder, ...args);
  assert.match(stderr, new RegExp(code));
}

/** When each file was written, and which it is. */
async function written(folder: string): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  for (const path of Object.keys(await tree(folder))) {
    const { ino, mtime } = await Deno.lstat(join(folder, path));
    found[path] = `${ino} ${mtime?.toISOString()}`;
  }
  return found;
}

function sorted(files: Record<string, string>): Record<string, string> {
  return Object.fromEntries(Object.entries(files).sort(([a], [b]) => a < b ? -1 : 1));
}
