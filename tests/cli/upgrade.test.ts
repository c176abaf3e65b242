/**
 * The packed program on Node, from one release to the next: which files it takes for its own, and that an
 * end at any moment leaves nothing half written. The earlier release is made here of this one's files.
 */
import assert from "node:assert/strict";
import { chmod, rm } from "node:fs/promises";
import { join } from "node:path";
import { hashOf, type Release } from "../../cli/payload.ts";
import { VERSION } from "../../supabase/functions/_shared/calendly/version.ts";
import { Packed, run, runNode } from "./packed.ts";
import { type ProjectFolder, projectFolder, tree, write } from "./projects.ts";

const KILL = new URL("fixtures/kill.mjs", import.meta.url).href;
const CONFIG = "supabase/config.toml";
const INDEX = "supabase/functions/calendly-sync/index.ts";
const GONE = "supabase/functions/_shared/calendly/gone/helper.ts";

/** A package of few files, to which there was an earlier release. */
interface Upgrade {
  content: string;
  /** What a project had by the earlier release, and what it has by this one. */
  before: Record<string, string>;
  after: Record<string, string>;
}

/** Another text of one file, one file more, and without the last migration. */
async function makeUpgrade(): Promise<Upgrade> {
  const content = await (await Packed.get()).copy();
  const supabase = join(content, "supabase");
  const kept =
    /^(functions\/(calendly-sync|_shared\/calendly\/(version|log)\.ts)|migrations\/\d+00[1-4]0_)/;
  const files: Record<string, string> = {};
  for (const [path, text] of Object.entries(await tree(supabase))) {
    if (kept.test(path)) files[path] = text;
  }
  await rm(supabase, { recursive: true });
  await write(supabase, files);

  const [last] = Object.keys(files).filter((path) => path.startsWith("migrations/")).reverse();
  const after = Object.fromEntries(
    Object.entries(files).map(([path, text]) => [`supabase/${path}`, text]),
  );
  const { [`supabase/${last}`]: _, ...rest } = after;
  const before = {
    ...rest,
    [INDEX]: `// as it was\n${after[INDEX]}`,
    [GONE]: "export {};\n",
    "supabase/functions/_shared/calendly/version.ts": 'export const VERSION = "0.0.9";\n',
  };
  const hashes = (files: Record<string, string>) =>
    Object.fromEntries(
      Object.entries(files).map(([path, text]) => [path.slice("supabase/".length), hashOf(text)]),
    );
  const releases: Release[] = [
    { version: "0.0.9", files: hashes(before) },
    { version: VERSION, files: hashes(after) },
  ];
  await write(content, { "cli/releases.json": JSON.stringify(releases) });
  return { content, before, after };
}

const upgrade = makeUpgrade();

/** A project in which the earlier release is installed. */
async function installedProject(files: Record<string, string> = {}): Promise<ProjectFolder> {
  const { before } = await upgrade;
  return await projectFolder({
    [CONFIG]: "[api]\r\n",
    "supabase/functions/greet/index.ts": "",
    ...before,
    ...files,
  });
}

/** What is there, without config.toml, of which is said elsewhere what it gets. */
async function filesOf(folder: string): Promise<Record<string, string>> {
  const { [CONFIG]: _, ...files } = await tree(folder);
  return files;
}

async function install(project: ProjectFolder, ...args: string[]) {
  return await runNode((await upgrade).content, ["install", project.path, ...args]);
}

Deno.test("an upgrade replaces, adds and removes what releases had", async () => {
  await using project = await installedProject();
  const { after } = await upgrade;
  const { code, stdout, stderr } = await install(project, "--yes");
  assert.equal(code, 0, stderr);
  assert.match(stdout, new RegExp(`Version +${VERSION}, from 0\\.0\\.9`));
  assert.match(stdout, /~ supabase\/functions\/calendly-sync\/index\.ts +updated/);
  assert.match(stdout, /- supabase\/functions\/_shared\/calendly\/gone\/helper\.ts +removed/);
  assert.match(stdout, /supabase\/migrations +\d equal, 1 new/);
  assert.deepEqual(await filesOf(project.path), {
    ...after,
    "supabase/functions/greet/index.ts": "",
  });
  const again = await install(project);
  assert.match(again.stdout, /Nothing to do/);
  assert.equal(again.code, 0);
});

Deno.test("an upgrade leaves what its owner edited, also where nothing takes its place", async () => {
  const { before, after } = await upgrade;
  const edited = { [INDEX]: `${before[INDEX]}// mine\n`, [GONE]: "// mine\n" };
  await using project = await installedProject(edited);
  const { code, stdout } = await install(project, "--yes");
  assert.equal(code, 1);
  assert.match(stdout, /! supabase\/functions\/calendly-sync\/index\.ts +edited/);
  assert.match(stdout, /! supabase\/functions\/_shared\/calendly\/gone\/helper\.ts +kept/);
  assert.deepEqual(await filesOf(project.path), {
    ...sorted({ ...after, ...edited }),
    "supabase/functions/greet/index.ts": "",
  });
});

Deno.test("a released migration that was changed stops an upgrade before it begins", async () => {
  const { before } = await upgrade;
  const migration = Object.keys(before).find((path) => path.startsWith("supabase/migrations/"))!;
  await using project = await installedProject({ [migration]: `${before[migration]}\n-- mine` });
  const installed = await tree(project.path);
  const { code, stderr } = await install(project, "--yes", "--write-new");
  assert.equal(code, 1);
  assert.match(stderr, new RegExp(`migration_changed .*\n  - ${migration}`));
  assert.deepEqual(await tree(project.path), installed);
});

Deno.test("an earlier version does not replace a later one", async () => {
  const { content, after } = await upgrade;
  await using project = await projectFolder({
    [CONFIG]: "",
    ...after,
    "supabase/functions/_shared/calendly/version.ts": 'export const VERSION = "10.0.0";\n',
  });
  const { code, stderr } = await runNode(content, ["install", project.path, "--yes"]);
  assert.equal(code, 1);
  assert.match(stderr, /newer_installed .*10\.0\.0/);
});

Deno.test("without a terminal and without --yes nothing is changed", async () => {
  await using project = await installedProject();
  const before = await tree(project.path);
  for (const args of [[], ["--json"]]) {
    const { code, stderr } = await install(project, ...args);
    assert.equal(code, 1);
    assert.match(stderr, /not_confirmed .*\n.*--yes/);
  }
  assert.deepEqual(await tree(project.path), before);
});

Deno.test("killed at any change and run again, an upgrade comes to the same end", async (t) => {
  const { content, before } = await upgrade;
  await using whole = await installedProject();
  const file = join(whole.path, "changes");
  await runNode(content, ["install", whole.path, "--yes"], {
    preload: KILL,
    env: { CHANGES_FILE: file },
  });
  const changes = Number(await Deno.readTextFile(file));
  assert.ok(changes > 10);
  await rm(file);
  const expected = await tree(whole.path);

  for (let at = 1; at <= changes; at++) {
    await t.step(`at change ${at} of ${changes}`, async () => {
      await using project = await installedProject();
      const args = ["install", project.path, "--yes"];
      const killed = await runNode(content, args, { preload: KILL, env: { KILL_AT: String(at) } });
      assert.equal(killed.signal, "SIGKILL");
      for (const [path, text] of Object.entries(await tree(project.path))) {
        if (path.endsWith(".calendly-part")) continue;
        const allowed = [before[path], expected[path], path === CONFIG ? "[api]\r\n" : undefined];
        assert.ok(allowed.includes(text) || path.endsWith("/"), `${path} is half written`);
      }
      const { code, stderr } = await runNode(content, args);
      assert.equal(code, 0, stderr);
      assert.deepEqual(await tree(project.path), expected);
    });
  }
});

Deno.test("a change that fails is told, and a second run goes on", async (t) => {
  const { content } = await upgrade;
  for (const [code, expected] of [["ENOSPC", "file_error"], ["EROFS", "no_access"]]) {
    await t.step(code, async () => {
      await using project = await installedProject();
      const args = ["install", project.path, "--yes"];
      const env = { FAIL_AT: "5", FAIL_WITH: code };
      const failed = await runNode(content, args, { preload: KILL, env });
      assert.equal(failed.code, 1);
      assert.match(failed.stderr, new RegExp(`${expected} .*${code}.*\n.*run this again`));
      const parts = Object.keys(await tree(project.path)).filter((path) => path.includes("-part"));
      assert.deepEqual(parts, []);
      assert.equal((await runNode(content, args)).code, 0);
    });
  }
});

Deno.test("a folder without rights is told before anything is written", async (t) => {
  const { content } = await upgrade;
  // Who is root may write everywhere.
  const uid = Deno.uid() === 0 ? 65534 : undefined;
  await chmod(join(content, ".."), 0o755);
  for (const folder of ["supabase", "supabase/functions/calendly-sync", "supabase/migrations"]) {
    await t.step(folder, async () => {
      await using project = await installedProject();
      await run("chmod", ["-R", "a+rwX", project.path]);
      await chmod(join(project.path, folder), 0o555);
      const before = await tree(project.path);
      const args = ["install", project.path, "--yes"];
      const { code, stderr } = await runNode(content, args, { uid, cwd: project.path });
      await chmod(join(project.path, folder), 0o755);
      assert.equal(code, 1);
      assert.match(stderr, new RegExp(`no_access  ${join(project.path, folder)} cannot be`));
      assert.deepEqual(await tree(project.path), before);
    });
  }
});

Deno.test("a file keeps its rights when it is replaced", async () => {
  await using project = await installedProject();
  const files = [INDEX, CONFIG].map((path) => join(project.path, path));
  for (const file of files) await chmod(file, 0o640);
  assert.equal((await install(project, "--yes")).code, 0);
  for (const file of files) assert.equal((await Deno.stat(file)).mode! & 0o777, 0o640);
});

function sorted(files: Record<string, string>): Record<string, string> {
  return Object.fromEntries(Object.entries(files).sort(([a], [b]) => a < b ? -1 : 1));
}
