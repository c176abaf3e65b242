/** What is deployed with the functions is pinned, the same for all of them, and what was tested. */
import assert from "node:assert/strict";
import root from "../../deno.json" with { type: "json" };
import { lockedPackages, resolvedPackages, untested } from "../../local/graph.ts";

const FUNCTIONS = new URL("../../supabase/functions/", import.meta.url);

async function functionNames(): Promise<string[]> {
  const names: string[] = [];
  for await (const { name, isDirectory } of Deno.readDir(FUNCTIONS)) {
    if (isDirectory && !name.startsWith("_")) names.push(name);
  }
  return names.sort();
}

async function importsOf(name: string): Promise<Record<string, string>> {
  return JSON.parse(await Deno.readTextFile(new URL(`${name}/deno.json`, FUNCTIONS))).imports;
}

/** Package and version of an npm specifier: "npm:@a/b@1.2.3/c" has "@a/b" and "1.2.3"; npm:/a@1/ is a folder. */
function parse(specifier: string): { name: string; version: string } {
  const [, name, version] = specifier.match(/^npm:\/?((?:@[^/@]+\/)?[^/@]+)@([^/]+)/)!;
  return { name, version };
}

Deno.test("every function pins exact versions, those that the root pins", async () => {
  const pinned = new Map(
    Object.values(root.imports).map(parse).map(({ name, version }) => [name, version]),
  );
  for (const functionName of await functionNames()) {
    const imports = await importsOf(functionName);
    assert.ok(Object.keys(imports).length > 0);
    for (const [bare, specifier] of Object.entries(imports)) {
      const { name, version } = parse(specifier);
      assert.match(version, /^\d+\.\d+\.\d+$/, `${functionName}: ${specifier}`);
      assert.equal(version, pinned.get(name), `${functionName}: ${specifier}`);
      assert.equal(specifier, `npm:${name}@${version}${bare.slice(name.length)}`);
    }
  }
});

Deno.test("all functions import the same, because they share their code", async () => {
  const [first, ...others] = await functionNames();
  for (const name of others) assert.deepEqual(await importsOf(name), await importsOf(first), name);
});

Deno.test("what is locked can be read by the Deno of the platform", async () => {
  for (const name of await functionNames()) {
    const lock = JSON.parse(await Deno.readTextFile(new URL(`${name}/deno.lock`, FUNCTIONS)));
    assert.equal(lock.version, "4", `${name}/deno.lock: make it with deno@2.1.4 install`);
  }
});

Deno.test("no package that a function imports brings others, whose versions would float", async () => {
  for (const name of await functionNames()) {
    const { npm } = JSON.parse(await Deno.readTextFile(new URL(`${name}/deno.lock`, FUNCTIONS)));
    for (const [id, { dependencies = [] }] of Object.entries<{ dependencies?: string[] }>(npm)) {
      assert.deepEqual(dependencies, [], `${name}: ${id}`);
    }
  }
});

Deno.test("a package that a deploy would resolve otherwise than the lock file is told", () => {
  const lock = JSON.stringify({
    npm: { "zod@4.6.7": {}, "@a/b@1.0.0_c@2.0.0": {}, "tslib@2.8.1": {} },
  });
  const locked = lockedPackages(lock);
  assert.deepEqual(locked, ["@a/b@1.0.0", "tslib@2.8.1", "zod@4.6.7"]);
  assert.deepEqual(untested(locked, locked.slice(1)), [], "functions share their imports");
  const resolved = ["@a/b@1.0.0", "tslib@2.9.0", "zod@4.6.7"];
  assert.deepEqual(untested(locked, resolved), ["tslib@2.9.0"]);
});

Deno.test("a registry that does not answer is told, and not taken for a graph without packages", async () => {
  const folder = new URL(`file://${await Deno.makeTempDir()}/`);
  const registry = Deno.env.get("NPM_CONFIG_REGISTRY");
  try {
    await Deno.writeTextFile(new URL("deno.json", folder), '{"imports": {"zod": "npm:zod@4.6.7"}}');
    await Deno.writeTextFile(new URL("index.ts", folder), 'import "zod";');
    Deno.env.set("NPM_CONFIG_REGISTRY", "http://127.0.0.1:1/");
    await assert.rejects(
      resolvedPackages("index.ts", "deno.json", folder, new URL("cache", folder).pathname),
      /127\.0\.0\.1/,
    );
  } finally {
    if (registry) Deno.env.set("NPM_CONFIG_REGISTRY", registry);
    else Deno.env.delete("NPM_CONFIG_REGISTRY");
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("what is shared leaves other files of the project's _shared alone", async () => {
  const names = [];
  for await (const { name } of Deno.readDir(new URL("_shared/", FUNCTIONS))) names.push(name);
  assert.deepEqual(names, ["calendly"]);
});

/** What the source of a module imports when it is loaded; types are not. */
function importsIn(source: string): string[] {
  const statements = source.matchAll(/^(?:import|export)\b(?! type)[^;"=]*"([^"]+)";/gm);
  return [...statements].map(([, specifier]) => specifier);
}

/** The packages that a module and what it imports load. */
async function packagesOf(file: URL, seen = new Set<string>()): Promise<Set<string>> {
  if (seen.has(file.href)) return new Set();
  seen.add(file.href);
  const packages = new Set<string>();
  for (const specifier of importsIn(await Deno.readTextFile(file))) {
    if (!specifier.startsWith(".")) packages.add(specifier);
    else for (const name of await packagesOf(new URL(specifier, file), seen)) packages.add(name);
  }
  return packages;
}

Deno.test("the webhook function loads no client of Calendly's and nothing that encrypts", async () => {
  const packages = await packagesOf(new URL("calendly-webhook/index.ts", FUNCTIONS));
  assert.deepEqual([...packages].sort(), ["zod"]);
});

Deno.test("no function imports what is not deployed with it", async () => {
  const allowed = new Set(Object.keys(await importsOf("calendly-sync")));
  for (const folder of ["_shared/calendly", ...await functionNames()]) {
    for await (const { name } of Deno.readDir(new URL(`${folder}/`, FUNCTIONS))) {
      if (!name.endsWith(".ts")) continue;
      const source = await Deno.readTextFile(new URL(`${folder}/${name}`, FUNCTIONS));
      for (const [, specifier] of source.matchAll(/^(?:import|export)\b[^;"=]*"([^"]+)";/gm)) {
        const inside = /^\.\/[\w.-]+$/.test(specifier) ||
          /^\.\.\/_shared\/calendly\/[\w.-]+$/.test(specifier);
        assert.ok(inside || allowed.has(specifier), `${folder}/${name} imports ${specifier}`);
      }
    }
  }
});

Deno.test("the platform lets everybody through to functions that authenticate by themselves", async () => {
  const config = await Deno.readTextFile(new URL("../../supabase/config.toml", import.meta.url));
  for (const name of await functionNames()) {
    assert.match(config, new RegExp(`\\[functions\\.${name}\\]\\s+verify_jwt = false`), name);
  }
});
