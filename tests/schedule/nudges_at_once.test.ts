/** An isolate that is nudged more often than it can work answers, and starts nothing. */
import assert from "node:assert/strict";
import calendlySync from "../../supabase/functions/calendly-sync/index.ts";
import { collectErrors, Stub } from "../functions/stub.ts";
import { eventually } from "./support.ts";

/** What goes on after the answers, as the platform is told of it. */
const pending: Promise<unknown>[] = [];
Object.assign(globalThis, {
  EdgeRuntime: { waitUntil: (work: Promise<unknown>) => void pending.push(work) },
});

async function nudge(times: number): Promise<void> {
  const url = "http://project.test/functions/v1/calendly-sync/nudge";
  await Promise.all(Array.from({ length: times }, async () => {
    const { status, body } = await calendlySync.fetch(new Request(url, { method: "POST" }));
    await body?.cancel();
    assert.equal(status, 202);
  }));
}

async function loopsEnd(): Promise<void> {
  await Promise.all(pending.splice(0));
}

Deno.test("of a hundred nudges at once two claim work, and all are answered", async () => {
  const released = Promise.withResolvers<void>();
  await using stub = new Stub({
    calendly_claim_sync: async () => {
      await released.promise;
      return { status: "idle", revocations_due: false };
    },
  });
  const claims = () => stub.asked("calendly_claim_sync").length;

  await nudge(100);
  await eventually("two claim", () => Promise.resolve(claims() >= 2));
  await nudge(10);
  released.resolve();
  await loopsEnd();
  assert.equal(claims(), 2);

  await nudge(1);
  await loopsEnd();
  assert.equal(claims(), 3, "a later nudge claims again");
});

Deno.test("a nudge for which nothing is due costs one call", async () => {
  await using stub = new Stub({
    calendly_claim_sync: () => ({ status: "idle", revocations_due: false }),
  });
  await nudge(1);
  await loopsEnd();
  assert.deepEqual(stub.names, ["calendly_claim_sync"]);
});

Deno.test("a nudge ends at Calendly what has ended here", async () => {
  await using stub = new Stub({
    calendly_claim_sync: () => ({ status: "idle", revocations_due: true }),
    calendly_claim_revocation: () => ({ status: "idle" }),
  });
  await nudge(1);
  await loopsEnd();
  assert.deepEqual(stub.names, ["calendly_claim_sync", "calendly_claim_revocation"]);
});

Deno.test("a loop of work that fails makes room for the next", async () => {
  using errors = collectErrors();
  await using stub = new Stub({});
  for (let round = 1; round <= 3; round++) {
    await nudge(2);
    await loopsEnd();
    assert.equal(stub.asked("calendly_claim_sync").length, 2 * round);
  }
  assert.equal(errors.lines.length, 1, "anybody may nudge: what repeats is counted");
});
