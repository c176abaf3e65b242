/** Rotating CALENDLY_TOKEN_KEY: nobody notices, and `deno task reencrypt` tells when the old one may go. */
import assert from "node:assert/strict";
import { type Person, type Project, projectTests } from "../functions/support.ts";
import { connectByOAuth, derivedKey, FEW, runSchedule, subscriptionsOf } from "./support.ts";

const [OLD, NEW, LOST] = ["old", "new", "lost"].map((name) => `the ${name} key`.padEnd(32, "."));

function useKeys(project: Project, keys: string): Promise<void> {
  return project.restart({ CALENDLY_TOKEN_KEY: keys });
}

/** Runs `deno task reencrypt` as an operator does; `env` has more, or other values. */
async function reencrypt(
  project: Project,
  keys: string,
  env: Record<string, string> = {},
): Promise<{ code: number; said: string }> {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["task", "--quiet", "reencrypt"],
    cwd: new URL("../../", import.meta.url),
    env: {
      SUPABASE_URL: project.wire.url,
      SUPABASE_SECRET_KEY: project.stack.secretKey,
      CALENDLY_TOKEN_KEY: keys,
      NO_COLOR: "1",
      ...env,
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

  "a database that goes away is not told as tokens that cannot be read": async (project) => {
    await useKeys(project, OLD);
    await project.person(FEW);
    project.wire.refuse("calendly_reencrypt", 1);
    const { code, said } = await reencrypt(project, `${NEW},${OLD}`);
    assert.equal(code, 2);
    assert.match(said, /^ {2}database_unavailable {2}.*\n {2}Try again/);
  },

  "without what it needs it says so, in one line and a hint": async (project) => {
    const { publishableKey, secretKey } = project.stack;
    const lacks: [env: Record<string, string>, code: string, message: string, hint: string][] = [
      [{ CALENDLY_TOKEN_KEY: "" }, "not_configured", "CALENDLY_TOKEN_KEY is not set", "openssl"],
      [{ CALENDLY_TOKEN_KEY: "short" }, "not_configured", "shorter than 32", "openssl"],
      [{ SUPABASE_URL: "" }, "no_project", "SUPABASE_URL is not set", "SUPABASE_SECRET_KEY"],
      [{ SUPABASE_URL: "my project" }, "no_project", "is not a project's address", "https://"],
      [{ SUPABASE_SECRET_KEY: "" }, "no_project", "SUPABASE_SECRET_KEY is not set", "sb_secret_"],
      [
        { SUPABASE_SECRET_KEY: publishableKey },
        "not_configured",
        "not accept",
        "Is it a secret key",
      ],
    ];
    for (const [env, code, message, hint] of lacks) {
      const outcome = await reencrypt(project, NEW, env);
      assert.equal(outcome.code, 2, outcome.said);
      assert.match(
        outcome.said,
        new RegExp(`^  ${code}  .*${message}.*\\n  .*${hint}.*\\n$`),
      );
    }
    project.wire.next(
      "calendly_list_credentials",
      () => Promise.resolve(Response.json({ code: "42501", message: "no right" }, { status: 403 })),
    );
    const { code, said } = await reencrypt(project, NEW);
    assert.equal(code, 2);
    assert.match(said, /^ {2}reencrypt_failed {2}.*no right\n {2}Is it a secret key.*\n$/);
    const legacy = { SUPABASE_SECRET_KEY: "", SUPABASE_SERVICE_ROLE_KEY: secretKey };
    assert.equal((await reencrypt(project, [NEW, OLD, LOST].join(), legacy)).code, 0);
  },
});
