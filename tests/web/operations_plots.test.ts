/** What the plots of the operations draw, and say to whoever does not see them. */
import assert from "node:assert/strict";
import {
  cumulate,
  describeFreshness,
  describeStack,
  durationMarks,
  freshnessData,
  stackByDay,
} from "../../web/operations/plots.ts";
import { cellsOf, describeCells } from "../../web/operations/ticks.ts";
import { place, scaleMarks, took } from "../../web/operations/timeline.ts";

const NOW = Date.parse("2026-11-26T08:30:00Z");
const ROWS = [
  { day: "2026-11-26", event_type: "invitee.created", status: "processed", count: 4 },
  { day: "2026-11-26", event_type: "invitee.canceled", status: "dead", count: 1 },
  {
    day: "2026-11-24T00:00:00+00:00",
    event_type: "invitee.canceled",
    status: "processed",
    count: 9,
  },
  { day: "2026-11-01", event_type: "invitee.created", status: "processed", count: 100 },
];

Deno.test("deliveries are stacked by day and type: empty days are zeros, older days are left out", () => {
  const stack = stackByDay(ROWS, NOW, 3);
  assert.deepEqual(
    stack.days.map((day) => new Date(day * 1000).toISOString().slice(0, 10)),
    ["2026-11-24", "2026-11-25", "2026-11-26"],
  );
  assert.deepEqual(stack.series, [
    { name: "invitee.canceled", counts: [9, 0, 1], total: 10 },
    { name: "invitee.created", counts: [0, 0, 4], total: 4 },
  ]);
  assert.deepEqual(stack.totals, [9, 0, 5]);
  assert.deepEqual(stack.dead, [0, 0, 1]);
  assert.deepEqual(cumulate(stack.series), [[9, 0, 1], [9, 0, 5]]);
});

Deno.test("the plot of deliveries is told in words", () => {
  assert.equal(
    describeStack(stackByDay(ROWS, NOW, 3)),
    "14 deliveries in 3 days: 13 processed, 1 dead. Most on 2026-11-24, 9.",
  );
  assert.equal(describeStack(stackByDay([], NOW, 7)), "No delivery in 7 days.");
});

Deno.test("freshness is given to the plot as columns, and told in words", () => {
  const points = [
    { at: "2026-11-26T08:00:00Z", p50_seconds: null, p95_seconds: null, max_seconds: null },
    { at: "2026-11-26T08:05:00Z", p50_seconds: 120, p95_seconds: 300, max_seconds: 720 },
    { at: "2026-11-26T08:10:00Z", p50_seconds: 480, p95_seconds: 500, max_seconds: 510 },
  ];
  const start = Date.parse("2026-11-26T08:00:00Z") / 1000;
  assert.deepEqual(freshnessData(points), [
    [start, start + 300, start + 600],
    [null, 120, 480],
    [null, 300, 500],
    [null, 720, 510],
  ]);
  assert.equal(
    describeFreshness(points),
    "p50 between 2 min and 8 min; nobody was staler than 12 min.",
  );
  assert.equal(describeFreshness(points.slice(0, 1)), "No complete sync in this time.");
});

Deno.test("marks on an axis of time are round and no more than asked for", () => {
  assert.deepEqual(durationMarks(700, 4), [0, 300, 600]);
  assert.deepEqual(durationMarks(0, 4), [0]);
  for (const max of [1, 59, 61, 3600, 86_400, 40 * 86_400, 4000 * 86_400]) {
    assert.ok(durationMarks(max, 4).length <= 5, `${max}`);
    assert.ok(durationMarks(max, 4).every((mark) => mark <= max), `${max}`);
  }
});

Deno.test("a run's steps lie between its begin and its end, the shortest still visible", () => {
  const placed = place([
    { from: 1000, to: 1000 },
    { from: 1000, to: 1500 },
    { from: 2000, to: 9000 },
  ], { from: 1000, to: 2000 });
  assert.deepEqual(placed[1], { left: 0, width: 0.5 });
  for (const { left, width } of placed) {
    assert.ok(width > 0 && left >= 0 && left + width <= 1.000001, `${left} ${width}`);
  }
});

Deno.test("a scale has few round marks, for milliseconds and for hours", () => {
  assert.deepEqual(scaleMarks(800), [0, 200, 400, 600, 800]);
  assert.deepEqual(scaleMarks(7_200_000), [0, 1_800_000, 3_600_000, 5_400_000, 7_200_000]);
  for (const length of [0, 1, 37, 999, 5300, 61_000, 9_999_999]) {
    assert.ok(scaleMarks(length).length <= 5, `${length}`);
  }
});

Deno.test("how long something took is told in two units at most", () => {
  assert.deepEqual([340, 2400, 185_000, 7_800_000, 200_000_000].map(took), [
    "340 ms",
    "2.4 s",
    "3 min 5 s",
    "2 h 10 min",
    "2 d 7 h",
  ]);
});

const at = (minute: number) => new Date(NOW + minute * 60_000).toISOString();
const TICK = {
  due: 0,
  nudges: 0,
  answered: null,
  running_workers: 0,
  runs_started: 0,
  error: null,
};

Deno.test("the strip has a cell for each tick, and for each that is missing after the first", () => {
  const cells = cellsOf([
    { ...TICK, at: at(-5) },
    { ...TICK, at: at(-4), due: 2, nudges: 2, answered: true },
    { ...TICK, at: at(-2), due: 1, nudges: 1, answered: false },
    { ...TICK, at: at(-1), due: 1 },
  ], { now: NOW + 30_000, step: 60_000, length: 10 });
  assert.deepEqual(cells.map(({ state }) => state), [
    "quiet",
    "answered",
    "missing",
    "unanswered",
    "thinned",
  ]);
  assert.equal(
    describeCells(cells),
    "5 ticks: 1 answered, 1 not answered, 1 thinned out, 1 nothing due, 1 no tick.",
  );
});

Deno.test("a tick that failed is shown before another of the same minute", () => {
  const failed = { ...TICK, at: at(-1), due: null, nudges: null, error: "canceled" };
  const [cell] = cellsOf([failed, { ...TICK, at: at(-1) }], {
    now: NOW,
    step: 60_000,
    length: 3,
  });
  assert.equal(cell.state, "failed");
});

Deno.test("where nothing has ticked yet no tick is missing", () => {
  assert.deepEqual(cellsOf([], { now: NOW, step: 60_000, length: 60 }), []);
  assert.equal(describeCells([]), "No tick in this time.");
});
