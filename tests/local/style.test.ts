/** The style rules of `deno task check`. */
import assert from "node:assert/strict";
import { findStyleProblems, LONGEST_SQL_LINE } from "../../local/style.ts";

const MIGRATION = "supabase/migrations/20270101000000_new.sql";

/** The words that are found in a file of this text, by line. */
function found(path: string, text: string): string[] {
  return findStyleProblems({ path, text }).map((problem) => {
    const [, line, word] = problem.match(/:(\d+): “(.*)” is not used any more: ./)!;
    return `${line} ${word}`;
  });
}

Deno.test("a removed word is found as a whole word, in every kind of file", () => {
  const text = "-- the farewell\nselect farewells, farewell_at from my_farewell;";
  for (const path of [MIGRATION, "tests/a.test.ts", "docs/a.md", ".ci/run"]) {
    assert.deepEqual(found(path, text), ["1 farewell", "2 farewells"]);
  }
  assert.deepEqual(found("README.md", "requests under way\ncalendly.hosts, calendly_hosts"), [
    "1 under way",
    "2 calendly.hosts",
  ]);
});

Deno.test("an ordinary word is refused in SQL only as a name", () => {
  const names = `create function calendly.fail(
  at timestamptz, doing text,
  instances integer
declare
  room constant integer := 1;`;
  assert.deepEqual(found(MIGRATION, names), [
    "1 fail",
    "2 at",
    "2 doing",
    "3 instances",
    "5 room",
  ]);
  const sentences = "-- What a listing fails to show, at the end of doing it.\nselect at, room";
  assert.deepEqual(found(MIGRATION, sentences), []);
  assert.deepEqual(found("tests/a.test.ts", names), []);
});

Deno.test("an ordinary word is refused in TypeScript only as the name of a function", () => {
  const text = `async function told() {}
const perform = async () => {};
const told = "what the caller was told";
keeper.perform();`;
  assert.deepEqual(found("local/a.ts", text), ["1 told", "2 perform"]);
  assert.deepEqual(found("docs/a.md", text), []);
});

Deno.test("a removed name of a file is refused", () => {
  assert.deepEqual(findStyleProblems({ path: "tests/webhooks/story.ts", text: "" }), [
    "tests/webhooks/story.ts: a file is not called “story” any more: what it does",
  ]);
  assert.deepEqual(findStyleProblems({ path: "tests/webhooks/history.ts", text: "" }), []);
});

Deno.test("a line of a migration has at most 100 characters, whatever their bytes", () => {
  const longest = "ü".repeat(LONGEST_SQL_LINE);
  const text = `${longest}\n${longest}x\n`;
  assert.deepEqual(findStyleProblems({ path: MIGRATION, text }), [
    `${MIGRATION}:2: 101 characters, of 100 at most`,
  ]);
  assert.deepEqual(findStyleProblems({ path: "tests/database/a.sql", text }), []);
});
