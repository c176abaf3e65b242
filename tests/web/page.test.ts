/** What both doors share: addresses, times, and how an answer becomes a problem. */
import assert from "node:assert/strict";
import { fromResponse, toProblem } from "../../web/data/problem.ts";
import { ahead, currentTime, databaseTime, setDatabaseTime, setMoved } from "../../web/ui/clock.ts";
import { link, parseHash } from "../../web/routes.ts";
import { formatDuration, formatRelative, intervalSeconds, toDate } from "../../web/ui/time.tsx";

Deno.test("an address leads to the route that it was made of", () => {
  const made = link("operations", "a/b", { status: "failed", empty: undefined, search: "ä & b" });
  const { path, query } = parseHash(made);
  assert.deepEqual(path, ["operations", "a/b"]);
  assert.deepEqual(Object.fromEntries(query), { status: "failed", search: "ä & b" });
  assert.deepEqual(parseHash("").path, ["meetings"]);
  assert.deepEqual(parseHash("#/x/%E0%A4%A").path, ["x", "%E0%A4%A"]);
});

Deno.test("times are read as PostgREST sends them and as Postgres prints them", () => {
  const time = Date.parse("2026-11-26T08:43:12.540Z");
  assert.equal(toDate("2026-11-26T08:43:12.54+00:00").getTime(), time);
  assert.equal(toDate("2026-11-26 08:43:12.54+00").getTime(), time);
  assert.equal(intervalSeconds("2 days 01:02:03.5"), 2 * 86400 + 3723.5);
  assert.equal(intervalSeconds("00:00:14.087"), 14.087);
  assert.equal(intervalSeconds("-00:00:02"), -2);
});

Deno.test("a browser whose clock is wrong shows the database's time, and moved time on top", () => {
  const real = Date.now;
  try {
    Date.now = () => 1_000_000;
    setDatabaseTime(1_001_000);
    assert.equal(ahead.peek(), 0, "an answer takes a moment");
    setDatabaseTime(2_200_000);
    assert.deepEqual([currentTime(), databaseTime()], [2_200_000, 2_200_000]);
    setDatabaseTime(2_201_000);
    assert.equal(ahead.peek(), 1_200_000, "the same difference changes nothing");
    setMoved(86_400_000);
    assert.deepEqual([currentTime(), databaseTime()], [88_600_000, 2_200_000]);
    setDatabaseTime(1_000_500);
    assert.deepEqual([currentTime(), databaseTime()], [87_400_000, 1_000_000]);
  } finally {
    Date.now = real;
    setMoved(0);
  }
});

Deno.test("a length of time is told by its largest unit", () => {
  assert.deepEqual([0.42, 12, 200, 7300, 86400, 3 * 86400].map(formatDuration), [
    "0.4 s",
    "12 s",
    "3 min",
    "2 h",
    "1 day",
    "3 days",
  ]);
  assert.equal(formatRelative(10_000, 70_000), "1 min ago");
  assert.equal(formatRelative(70_000, 10_000), "in 1 min");
  assert.equal(formatRelative(10_000, 10_900), "just now");
});

Deno.test("an answer's error is told with its code, its hint and its details", async () => {
  const answer = (body: unknown, status: number) =>
    fromResponse(
      typeof body === "string" ? new Response(body, { status }) : Response.json(body, { status }),
    );
  const ours = await answer({
    error: { code: "sync_in_progress", message: "Runs.", hint: "Wait.", run_id: "x" },
  }, 409);
  assert.deepEqual([ours.code, ours.message, ours.hint, ours.details.run_id, ours.status], [
    "sync_in_progress",
    "Runs.",
    "Wait.",
    "x",
    409,
  ]);
  const postgrest = await answer({ code: "42501", message: "no", hint: null, details: null }, 403);
  assert.deepEqual([postgrest.code, postgrest.hint], ["42501", undefined]);
  const proxy = await answer("<html>Bad gateway</html>", 502);
  assert.deepEqual([proxy.code, proxy.message], ["http_502", "The answer was 502."]);
  const nothing = await answer("null", 500);
  assert.equal(nothing.code, "http_500");
  assert.equal((await toProblem(new TypeError("Failed to fetch"))).code, "unreachable");
  assert.equal((await toProblem(new TypeError("x is not a function"))).code, "unexpected");
});
