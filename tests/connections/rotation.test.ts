/** Rotating CALENDLY_TOKEN_KEY: nobody notices, and `deno task reencrypt` tells when the old one may go. */
import assert from "node:assert/strict";
import { type Person, type Project, projectTests } from "../functions/support.ts";
import { connectByOAuth, derivedKey, FEW, runSchedule, subscriptionsOf } from "./support.ts";

const [OLD, NEW, LOST] = ["old", "new", "lost"].map((name) => `the ${name} key`.padEnd(32, "."));

function useKeys(project: Project, keys: string): Promise<void> {
  return project.restart({ CALENDLY_TOKEN_KEY: keys });
}

/** Runs `deno task reencrypt` as an operator does. */
async function reencrypt(project: Project, keys: string): Promise<{ code: number; said: string }> {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["task", "--quiet", "reencrypt"],
    cwd: new URL("../../", import.meta.url),
    env: {
      SUPABASE_URL: project.wire.url,
      SUPABASE_SECRET_KEYS: JSON.stringify({ default: project.stack.secretKey }),
      CALENDLY_TOKEN_KEY: keys,
      NO_COLOR: "1",
    },
  }).output();
  const decoder = new TextDecoder();
  return { code, said: decoder.decode(stdout) + decoder.decode(stderr) };
}

async function assertAllSync(...people: Person[]): Promise<void> {
  for (const person of people) assert.equal((await person.sync()).body.status, "complete");
}

projectTests("Rotation", {
  "a key is rotated while everything goes on": async (project, t) => {
    const { control } = project.sandbox;
    await useKeys(project, OLD);
    const [ann, bob] = [await project.person(FEW), await project.person({ connected: false })];
    await connectByOAuth(bob);
    await ann.invoke("calendly-connect/webhooks", "POST");
    await assertAllSync(ann, bob);
    const book = async () => {
      control.book({ user: ann.host.uri });
      return (await control.deliver()).map(({ attempts }) => attempts.at(-1)!.status);
    };

    await t.step("the new key in front of the old one is enough to go on", async () => {
      await useKeys(project, `${NEW},${OLD}`);
      await project.advance("1m");
      await assertAllSync(ann, bob);
      assert.deepEqual(await book(), [200], "deliveries are signed with the old one's key");
    });

    await t.step("reencrypt leaves a token that is being refreshed to the refresh", async () => {
      await project.advance("3h");
      const held = project.wire.hold("calendly_finish_refresh");
      const syncing = bob.sync();
      await held.arrived;
      const { code, said } = await reencrypt(project, `${NEW},${OLD}`);
      assert.deepEqual([code, said.match(/^\d+ encrypted anew, \d+ were current/)?.[0]], [
        0,
        "1 encrypted anew, 1 were current",
      ]);
      held.release();
      assert.equal((await syncing).body.status, "complete");
    });

    await t.step("a second time there is nothing left to encrypt", async () => {
      const { code, said } = await reencrypt(project, `${NEW},${OLD}`);
      assert.equal(code, 0);
      assert.match(said, /^0 encrypted anew, 2 were current/);
    });

    await t.step("but it tells of webhooks whose key comes from the old one", async () => {
      const { said } = await reencrypt(project, `${NEW},${OLD}`);
      assert.match(said, /still need an older key: 1\b/);
    });

    await t.step("until the daily check has replaced them", async () => {
      const [before] = subscriptionsOf(ann);
      await project.advance("1d");
      await runSchedule(project);
      const [after, ...more] = subscriptionsOf(ann);
      assert.notEqual(after.uri, before.uri);
      assert.deepEqual(more, []);
      const { code, said } = await reencrypt(project, `${NEW},${OLD}`);
      assert.deepEqual([code, said.trim()], [0, "0 encrypted anew, 2 were current."]);
    });

    await t.step("then the old key may go", async () => {
      await useKeys(project, NEW);
      await project.advance("1m");
      await assertAllSync(ann, bob);
      assert.deepEqual(await book(), [200]);
      const [{ callback_url }] = subscriptionsOf(ann);
      assert.notEqual(derivedKey(NEW, callback_url), derivedKey(OLD, callback_url));
      await project.advance("3h");
      await assertAllSync(bob);
    });
    for (const person of [ann, bob]) await person.disconnect({ erase: true });
  },

  "what no key can read is named, and the rest is done": async (project) => {
    const people: Person[] = [];
    for (const keys of [LOST, OLD]) {
      await useKeys(project, keys);
      people.push(await project.person(FEW));
    }
    const [carl, dora] = people;
    const { code, said } = await reencrypt(project, `${NEW},${OLD}`);
    assert.equal(code, 1);
    assert.match(said, /1 encrypted anew, 0 were current/);
    const [{ id }] = await project.stack.sql(
      "select id from calendly_connections where user_id = $1",
      [carl.id],
    );
    assert.ok(said.includes(id));
    assert.match(said, /Put the key .* back into the list/);
    await useKeys(project, NEW);
    await assertAllSync(dora);
    assert.equal((await carl.sync()).body.error.code, "token_unreadable");
    await useKeys(project, `${NEW},${LOST}`);
    await project.advance("1m");
    await assertAllSync(carl);
  },

  "without what it needs it says so": async (project) => {
    for (const [keys, said] of [["", "is not set"], ["short", "shorter than 32"]]) {
      const outcome = await reencrypt(project, keys);
      assert.equal(outcome.code, 1);
      assert.match(outcome.said, new RegExp(`^CALENDLY_TOKEN_KEY.*${said}.*openssl`, "s"));
    }
  },
});
