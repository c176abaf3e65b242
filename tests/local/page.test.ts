/** The console's page as it is served: small, whole, and without anything from elsewhere. */
import assert from "node:assert/strict";
import { createConsole } from "../../cli/console/server.ts";
import { readPage, SOURCES } from "../../local/console.ts";

/** In bytes. */
const LARGEST = 150_000;

Deno.test("the page is below 150 kB in all, as Chromium gets it", async () => {
  const origin = "http://127.0.0.1:1";
  const console = createConsole({
    files: readPage,
    project: { url: origin, publishableKey: "", secretKey: "x", kind: "local" },
    origins: [origin],
  });
  const sizes = await Promise.all([...(await readPage()).keys()].map(async (name) => {
    const headers = { "accept-encoding": "gzip, deflate, br, zstd" };
    const response = await console.fetch(new Request(`${origin}/${name}`, { headers }));
    return [name, (await response!.arrayBuffer()).byteLength] as const;
  }));
  const sum = sizes.reduce((sum, [, size]) => sum + size, 0);
  assert.ok(sum < LARGEST, `${sum} bytes: ${sizes.map((size) => size.join(" ")).join(", ")}`);
});

Deno.test("the page names nothing outside, and nothing that its content security policy refuses", async () => {
  const page = await readPage();
  assert.deepEqual([...page.keys()].sort(), [
    "console.css",
    "console.js",
    "icon.svg",
    "index.html",
  ]);
  const text = (name: string) => new TextDecoder().decode(page.get(name));
  const html = text("index.html");
  const named = [...html.matchAll(/\b(?:src|href)="([^"]*)"/g)].map(([, address]) => address);
  assert.ok(named.length >= 3);
  for (const name of named) assert.ok(page.has(name), `index.html names ${name}`);
  assert.doesNotMatch(
    html,
    /https?:|="\/\/|<style|\sstyle=|\son\w+=|<script(?![^>]*\bsrc=)|srcset/,
  );
  const icon = text("icon.svg").replace('xmlns="http://www.w3.org/2000/svg"', "");
  assert.doesNotMatch(icon, /https?:|<script|href=/);
  assert.doesNotMatch(text("console.css"), /@import|@font-face|url\((?!["']?data:)/);
  for (const name of ["console.css", "console.js"]) {
    assert.doesNotMatch(text(name), /sourceMappingURL|\beval\(|new Function\(/, name);
  }
});

Deno.test("the page is built anew when any module of it has changed", async () => {
  const root = new URL("../../", import.meta.url);
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["info", "--json", "web/main.tsx"],
    cwd: root,
  }).output();
  const { modules } = JSON.parse(new TextDecoder().decode(stdout)) as {
    modules: { specifier: string; dependencies?: { code?: { specifier?: string } }[] }[];
  };
  // Types alone are in no bundle.
  const bundled = new Set([new URL("web/main.tsx", root).href]);
  for (const specifier of bundled) {
    const dependencies = modules.find((module) => module.specifier === specifier)?.dependencies;
    for (const { code } of dependencies ?? []) {
      if (code?.specifier?.startsWith(root.href)) bundled.add(code.specifier);
    }
  }
  assert.ok(bundled.size > 10);
  for (const specifier of bundled) {
    const path = specifier.slice(root.href.length);
    assert.ok(SOURCES.some((source) => path.startsWith(source)), path);
  }
});
