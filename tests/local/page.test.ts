/** The console's page as it is served: small, whole, and without anything from elsewhere. */
import assert from "node:assert/strict";
import { gzipSync } from "node:zlib";
import { readPage } from "../../local/console.ts";

/** In bytes. */
const LARGEST = 150_000;

Deno.test("the page is below 150 kB in all, compressed", async () => {
  const sizes = [...await readPage()].map(([name, bytes]) =>
    [name, gzipSync(bytes).length] as const
  );
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
    assert.doesNotMatch(text(name), /sourceMappingURL/, name);
  }
});
