/** The npm tarball: it has what a project needs and nothing of this machine, and runs on Node alone. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { readPayload, type Release } from "../../cli/payload.ts";
import { withRelease } from "../../cli/release.ts";
import { Problem } from "../../cli/problem.ts";
import { VERSION } from "../../supabase/functions/_shared/calendly/version.ts";
import { readPage } from "../../local/console.ts";
import { stackTest } from "../harness/stack.ts";
import { Packed, run, runNode } from "./packed.ts";
import { temporaryFolder } from "../local/support.ts";

Deno.test("the package has every file of the functions and migrations, and their hashes", async () => {
  const { content } = await Packed.get();
  const payload = await readPayload();
  for (const { path, text } of payload) {
    assert.equal(await Deno.readTextFile(join(content, "supabase", path)), text, path);
  }
  const releases: Release[] = JSON.parse(
    await Deno.readTextFile(join(content, "cli/releases.json")),
  );
  assert.deepEqual(releases.at(-1), {
    version: VERSION,
    files: Object.fromEntries(payload.map(({ path, hash }) => [path, hash])),
  });
});

Deno.test("the package describes itself by the one version, and names its licence", async () => {
  const { content } = await Packed.get();
  const description = JSON.parse(await Deno.readTextFile(join(content, "package.json")));
  assert.equal(description.version, VERSION);
  assert.equal(description.dependencies, undefined, "nothing else is installed with it");
  for (const file of ["LICENSE", "README.md", "CHANGELOG.md", description.bin["calendly-sync"]]) {
    assert.ok((await Deno.stat(join(content, file))).isFile, file);
  }
});

Deno.test("the package has no project's settings, seed or machine's paths", async () => {
  const { content } = await Packed.get();
  for (const file of ["config.toml", "seed.sql"]) {
    await assert.rejects(Deno.stat(join(content, "supabase", file)), Deno.errors.NotFound);
  }
  const program = await Deno.readTextFile(join(content, "cli/main.js"));
  assert.ok(program.startsWith("#!/usr/bin/env node\n"));
  const page = await Deno.readTextFile(join(content, "cli/page/console.js"));
  for (const path of [Deno.cwd(), Deno.env.get("HOME")!, "file:///", "node_modules/"]) {
    assert.ok(!program.includes(path), path);
    assert.ok(!page.includes(path), path);
  }
});

stackTest("the package's program serves the console on Node alone", async ({ stack }) => {
  const { content } = await Packed.get();
  const child = new Deno.Command("node", {
    args: [join(content, "cli/main.js"), "console", "--json"],
    env: {
      NO_COLOR: "1",
      SUPABASE_URL: stack.url,
      SUPABASE_SECRET_KEY: stack.secretKey,
      SUPABASE_PUBLISHABLE_KEY: stack.publishableKey,
    },
    stdin: "null",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  let printed = "";
  for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
    printed += text;
    if (printed.includes("\n}")) break;
  }
  const { url, link } = JSON.parse(printed);
  for (const [name, bytes] of await readPage()) {
    const file = await fetch(`${url}/${name}`);
    assert.deepEqual(new Uint8Array(await file.arrayBuffer()), bytes, name);
  }
  const opened = await fetch(link, { redirect: "manual" });
  const headers = { cookie: opened.headers.get("set-cookie")!.split(";")[0], origin: url };
  const alerts = await fetch(`${url}/console/rest/v1/calendly_alerts`, { headers });
  assert.deepEqual([alerts.status, await alerts.json()], [200, []]);
  const health = await fetch(`${url}/console/rest/v1/rpc/calendly_health`, {
    method: "POST",
    headers,
  });
  assert.equal((await health.json()).status, "healthy");
  child.kill("SIGINT");
  assert.equal((await child.status).code, 0);
}, { on: "embedded" });

Deno.test("npx runs the tarball, without a network", async () => {
  const { tarball } = await Packed.get();
  await using folder = await temporaryFolder();
  const npx = ["--yes", "--offline", "--package", tarball, "--", "calendly-sync"];
  const version = await run("npx", [...npx, "--version"], { cwd: folder.path });
  assert.deepEqual(version, { code: 0, signal: null, stdout: `${VERSION}\n`, stderr: "" });
  const refused = await run("npx", [...npx, "install"], { cwd: folder.path });
  assert.equal(refused.code, 1);
  assert.match(refused.stderr, /no_project .*\n.*npx supabase init/);
});

Deno.test("every command of the package has its help, by the name that a person types", async () => {
  const { content } = await Packed.get();
  const { stdout } = await runNode(content, ["--help"]);
  const commands = [...stdout.matchAll(/^ {2}([a-z]+) /gm)].map(([, name]) => name);
  assert.ok(commands.includes("install"));
  for (const name of commands) {
    const { code, stdout } = await runNode(content, [name, "--help"]);
    assert.equal(code, 0);
    assert.ok(stdout.startsWith(`Usage: calendly-sync ${name} `), stdout);
  }
});

Deno.test("on Node, too, a pipe whose reader has gone ends the program without a word", async () => {
  const { content } = await Packed.get();
  const command = `node "${join(content, "cli/main.js")}" sql | head -n 1`;
  const { stdout, stderr } = await run("sh", ["-c", command], { cwd: content });
  assert.match(stdout, /^-- Calendly Sync.*\n$/);
  assert.equal(stderr, "");
});

// What `deno task package --release` refuses.

const OLD = [{ path: "migrations/1_a.sql", text: "a", hash: "a" }, {
  path: "functions/calendly-sync/index.ts",
  text: "b",
  hash: "b",
}];
const RELEASED: Release[] = [{
  version: "0.9.0",
  files: { "migrations/1_a.sql": "a", "functions/calendly-sync/index.ts": "old" },
}];
const NEXT = { version: "0.10.0", payload: OLD, changes: "# Changes\n\n## 0.10.0\n" };

Deno.test("a release is added after the others, with the hash of each of its files", () => {
  const added = {
    version: "0.10.0",
    files: { "migrations/1_a.sql": "a", "functions/calendly-sync/index.ts": "b" },
  };
  assert.deepEqual(withRelease(RELEASED, NEXT), [...RELEASED, added]);
  assert.deepEqual(withRelease([], NEXT), [added]);
});

Deno.test("a release that would break an upgrade is refused", () => {
  const later = { path: "migrations/2_b.sql", text: "", hash: "c" };
  const earlier = { path: "migrations/0_b.sql", text: "", hash: "c" };
  assert.equal(withRelease(RELEASED, { ...NEXT, payload: [...OLD, later] }).length, 2);
  const cases: [code: string, change: Partial<typeof NEXT>][] = [
    ["already_released", { version: "0.9.0" }],
    ["already_released", { version: "0.8.10" }],
    ["migration_changed", { payload: OLD.slice(1) }],
    ["migration_changed", { payload: [{ ...OLD[0], hash: "changed" }, OLD[1]] }],
    ["migration_too_early", { payload: [...OLD, earlier] }],
    ["changes_missing", { changes: "## 0.10.0 (not released yet)" }],
  ];
  for (const [code, change] of cases) {
    assert.throws(
      () => withRelease(RELEASED, { ...NEXT, ...change }),
      (error) => error instanceof Problem && error.code === code,
      code,
    );
  }
});
