/** The page as it is built: small, whole, and fit for a content security policy without exceptions. */
import assert from "node:assert/strict";
import { gzipSync } from "node:zlib";
import { buildConsole } from "../../web/build.ts";

const files = await buildConsole();
const text = (name: string) => new TextDecoder().decode(files.get(name));

Deno.test("the page is four files of less than 150 kB together, compressed", () => {
  assert.deepEqual([...files.keys()].sort(), [
    "console.css",
    "console.js",
    "icon.svg",
    "index.html",
  ]);
  const sizes = [...files.values()].map((bytes) => gzipSync(bytes).length);
  const total = sizes.reduce((sum, size) => sum + size, 0);
  assert.ok(total < 150_000, `${total} bytes`);
});

Deno.test("the page needs nothing from elsewhere, and no exception in its policy", () => {
  const html = text("index.html");
  assert.doesNotMatch(html, /<script(?![^>]*\ssrc=)|<style|\sstyle=|\son\w+=/i);
  for (const [, address] of html.matchAll(/(?:src|href)="([^"]*)"/g)) {
    assert.ok(files.has(address), address);
  }
  assert.doesNotMatch(text("console.css"), /@import|url\(\s*['"]?(https?:)?\/\//);
  assert.doesNotMatch(text("console.js"), /sourceMappingURL|\beval\(|new Function\(/);
});
