/** What the benchmarks share: medians, comparisons with a floor, and the page that they write. */
import assert from "node:assert/strict";
import { fillPage, readResults } from "../../bench/harness/document.ts";
import { besideFloor, Grid, quantile } from "../../bench/harness/measure.ts";
import { drawPlot } from "../../bench/harness/plot.ts";
import { render, type Result, tableOf } from "../../bench/harness/result.ts";

const ROOT = new URL("../../", import.meta.url);

Deno.test("a median lies between the two in the middle, and a percentile near its end", () => {
  assert.equal(quantile([3, 1, 2], 0.5), 2);
  assert.equal(quantile([4, 1, 2, 3], 0.5), 2.5);
  assert.equal(quantile([1, 2, 3, 4, 5], 1), 5);
  assert.equal(quantile([7], 0.99), 7);
});

Deno.test("a time and a rate are compared with the floor of their own round", () => {
  assert.deepEqual(besideFloor([10, 40], [5, 10], false), [2, 4]);
  assert.deepEqual(besideFloor([10, 40], [50, 80], true), [5, 2]);
});

Deno.test("a table shows the median with its spread, and leaves out what was not measured", () => {
  const grid = new Grid();
  for (const [ours, floor] of [[10, 5], [20, 5], [12, 4]]) {
    grid.add("ours", { ms: ours });
    grid.add("floor", { ms: floor, other: 1 });
  }
  const table = tableOf("Both", grid, { column: "ms", floors: { ours: "floor" } });
  assert.equal(
    render(table),
    [
      "**Both**",
      "",
      "|  | ms | other | times the floor's time |",
      "| --- | ---: | ---: | ---: |",
      "| ours | 12 (10–20) |  | 3 (2–4) |",
      "| floor | 5 (4–5) | 1 |  |",
    ].join("\n"),
  );
});

Deno.test("a block of the page has its result, and everything else stays as it was", () => {
  const page = [
    "before",
    "<!-- bench: pages -->\nold\n<!-- end of pages -->",
    "between",
    "<!-- bench: runs -->\nkept\n<!-- end of runs -->",
  ].join("\n");
  const result: Result = {
    name: "pages",
    about: "",
    measured_at: "2026-11-26T02:00Z",
    commit: "abc1234",
    small: false,
    rounds: 3,
    cores: 2,
    processor: "some",
    deno: "2.9.6",
    postgres: "15.20",
    settings: { fsync: "on", shared_buffers: "1GB" },
    sizes: {},
    tables: [{ title: "New", columns: ["ms"], rows: [{ what: "a page", cells: [1] }] }],
  };
  const filled = fillPage(page, new Map([["pages", result]]));
  assert.match(filled, /^before\n<!-- bench: pages -->\n\n\*\*New\*\*[^]*a page \| 1 \|/);
  assert.match(filled, /<!-- end of pages -->\nbetween\n<!-- bench: runs -->\nkept\n/);
  assert.doesNotMatch(filled, /old/);
});

Deno.test("a plot has each line with its name, for a light and a dark page", () => {
  const svg = drawPlot({
    file: "growth",
    title: "Pages < runs",
    x: "events",
    y: "ms",
    lines: [
      { name: "first & last", points: [[10, 1], [1_000, 30]] },
      { name: "the same", points: [[10, 1], [1_000, 30]] },
      { name: "not measured", points: [] },
    ],
  });
  assert.match(svg, /<title>Pages &lt; runs<\/title>/);
  assert.match(svg, /prefers-color-scheme: dark/);
  assert.equal(svg.match(/<polyline/g)!.length, 2);
  const [first, second] = [...svg.matchAll(/y="([\d.]+)">(?:first &amp; last|the same), 30/g)]
    .map(([, y]) => Number(y));
  assert.ok(Math.abs(first - second) >= 16, "names that would cover each other are moved apart");
});

Deno.test("docs/performance.md has the figures of bench/results", async () => {
  const page = await Deno.readTextFile(new URL("docs/performance.md", ROOT));
  const filled = fillPage(page, await readResults(new URL("bench/results/", ROOT)));
  const formatter = new Deno.Command(Deno.execPath(), {
    args: ["fmt", "--ext=md", "-"],
    cwd: ROOT,
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const writer = formatter.stdin.getWriter();
  await writer.write(new TextEncoder().encode(filled));
  await writer.close();
  const { stdout } = await formatter.output();
  assert.equal(page, new TextDecoder().decode(stdout));
});
