/** The tests notice when a rule is broken. `deno task mutate` breaks every rule in place of two. */
import assert from "node:assert/strict";
import { needing } from "../harness/requirements.ts";
import { apply, mutate, readMutated } from "./mutate.ts";
import { MUTATIONS } from "./mutations.ts";

Deno.test("every mutation still finds the one place that it changes", async () => {
  assert.equal(new Set(MUTATIONS.map(({ breaks }) => breaks)).size, MUTATIONS.length);
  for (const mutation of MUTATIONS) {
    const text = await readMutated(mutation);
    assert.notEqual(apply(mutation, text), text, mutation.breaks);
  }
});

/** One of each language, whose tests are quick; each makes a copy of the project and runs them twice. */
for (
  const [language, breaks, long] of [
    ["SQL", "deliveries are deduplicated by event", false],
    ["TypeScript", "a ciphertext works for another connection", true],
  ] as const
) {
  Deno.test({
    ...needing(`a broken rule of the ${language} is noticed`, ...long ? ["longRun" as const] : []),
    async fn() {
      const { caught, survivors } = await mutate(MUTATIONS.filter((m) => m.breaks === breaks));
      assert.deepEqual(survivors, []);
      assert.equal(caught, 1);
    },
  });
}
