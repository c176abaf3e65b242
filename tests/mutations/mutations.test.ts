/** The tests notice a broken rule. Here two rules are broken; `deno task mutate` breaks all of them. */
import assert from "node:assert/strict";
import { needing } from "../harness/requirements.ts";
import { apply, mutate, readMutated } from "./mutate.ts";
import { MUTATIONS } from "./mutations.ts";

Deno.test("every mutation finds the one place that it changes", async () => {
  assert.equal(new Set(MUTATIONS.map(({ breaks }) => breaks)).size, MUTATIONS.length);
  for (const mutation of MUTATIONS) {
    const text = await readMutated(mutation);
    assert.notEqual(apply(mutation, text), text, mutation.breaks);
  }
});

Deno.test("every mutation names tests that exist", async () => {
  for (const { breaks, caughtBy } of MUTATIONS) {
    for (const { file, test, part, step } of caughtBy) {
      const [source, name] = part?.endsWith(".sql")
        ? [`tests/database/${part}`, step!.replace(`${part}: `, "").replaceAll("'", "''")]
        : [file, part ?? test];
      const text = await Deno.readTextFile(new URL(`../../${source}`, import.meta.url));
      assert.ok(text.includes(name), `${breaks}: ${source} has no test "${name}"`);
    }
  }
});

/** One of each language, whose tests are quick. Each makes a copy of the project and runs them twice. */
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
