/** The tests notice when a rule is broken. `deno task mutate` breaks every rule in place of two. */
import assert from "node:assert/strict";
import { apply, mutate, readMutated } from "./mutate.ts";
import { MUTATIONS } from "./mutations.ts";

/** One of each language, whose tests are quick. */
const FEW = ["deliveries are deduplicated by event", "a ciphertext works for another connection"];

Deno.test("every mutation still finds the one place that it changes", async () => {
  assert.equal(new Set(MUTATIONS.map(({ breaks }) => breaks)).size, MUTATIONS.length);
  for (const mutation of MUTATIONS) {
    const text = await readMutated(mutation);
    assert.notEqual(apply(mutation, text), text, mutation.breaks);
  }
});

Deno.test("a broken rule is noticed", async () => {
  const { caught, survivors } = await mutate(
    MUTATIONS.filter(({ breaks }) => FEW.includes(breaks)),
  );
  assert.deepEqual(survivors, []);
  assert.equal(caught, FEW.length);
});
