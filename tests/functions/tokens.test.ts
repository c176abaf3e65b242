/** A Calendly token is of use to nobody without the key, which the database does not have. */
import assert from "node:assert/strict";
import { assertMirrors } from "./mirror.ts";
import { day, everythingStored, type Person, type Project, projectTests } from "./support.ts";

const FEW = { events: 3, variety: "plain", from: day(2), to: day(9) } as const;

const [OLD, NEW] = ["old key".padEnd(32, "."), "new key".padEnd(32, ".")];

function useKeys(project: Project, keys: string): Promise<void> {
  return project.restart({ CALENDLY_TOKEN_KEY: keys });
}

/** The stored form of a person's token. */
async function ciphertext(person: Person): Promise<string> {
  const [{ token_jwe }] = await person.project.stack.sql(
    `select k.token_jwe from calendly.credentials k
     join calendly_connections c on c.id = k.connection_id where c.user_id = $1`,
    [person.id],
  );
  return token_jwe;
}

async function store(person: Person, jwe: string): Promise<void> {
  await person.project.stack.sql(
    `update calendly.credentials k set token_jwe = $2
     from calendly_connections c where c.id = k.connection_id and c.user_id = $1`,
    [person.id, jwe],
  );
}

projectTests("Tokens", {
  "a token is nowhere to be read": async (project, t) => {
    const [ann, bob] = [await project.person(FEW), await project.person(FEW)];
    await ann.sync();
    project.sandbox.control.revoke_token({ token: bob.token });
    await bob.sync();
    await bob.connect({ token: `${bob.token}x` });

    await t.step("in the database, in whatever encoding", async () => {
      const stored = await everythingStored(project);
      assert.ok(stored.includes(ann.host.uri), "the search looks at what is there");
      for (const { token } of [ann, bob]) {
        const bytes = new TextEncoder().encode(token);
        for (
          const form of [
            token,
            token.slice(4, 40),
            btoa(token).slice(0, 40),
            bytes.toHex().slice(0, 80),
          ]
        ) {
          assert.ok(!stored.includes(form));
        }
      }
    });

    await t.step("in the functions' logs, nor is any other secret", () => {
      const printed = project.logs().join("\n");
      assert.ok(printed.includes("Calendly sync failed"));
      const secrets = [ann.token, bob.token, ann.account.access_token, project.stack.secretKey];
      for (const secret of secrets) assert.ok(!printed.includes(secret.slice(0, 40)));
    });

    await t.step("by the person it belongs to, or any API role", async () => {
      const { data } = await ann.supabase.from("calendly_connections").select("*");
      assert.equal(data!.length, 1);
      assert.ok(!JSON.stringify(data).includes("eyJ"), "no ciphertext either");
      assert.ok(!JSON.stringify(await ann.connection()).includes("eyJ"));
      for (const role of ["anon", "authenticated", "service_role"]) {
        const [{ allowed }] = await project.stack.sql(
          `select has_schema_privilege('${role}', 'calendly', 'usage')
           or has_table_privilege('${role}', 'calendly.credentials', 'select') as allowed`,
        );
        assert.equal(allowed, false, role);
      }
    });
  },

  "a ciphertext works for its own connection only": async (project) => {
    const [ann, bob] = [await project.person(FEW), await project.person(FEW)];
    const [anns, bobs] = [await ciphertext(ann), await ciphertext(bob)];
    await store(ann, bobs);
    await store(bob, anns);
    for (const person of [ann, bob]) {
      const { status, body: { error } } = await person.sync();
      assert.deepEqual([status, error.code], [500, "token_unreadable"]);
      assert.ok(error.hint);
      assert.deepEqual(await person.meetings(), []);
      assert.equal(person.requests(), 1, "the other's token was not used");
      const [run] = await person.runs();
      assert.deepEqual([run.status, run.error.code], ["failed", "token_unreadable"]);
    }
  },

  "a ciphertext that was tampered with is noticed": async (project) => {
    const person = await project.person(FEW);
    const intact = await ciphertext(person);
    const parts = intact.split(".");
    const flipped = parts[3].replace(/^./, (letter) => letter === "A" ? "B" : "A");
    for (
      const jwe of [
        [...parts.slice(0, 3), flipped, parts[4]].join("."),
        parts.slice(0, 4).join("."),
        "x",
        "",
      ]
    ) {
      await store(person, jwe);
      const { status, body: { error } } = await person.sync();
      assert.deepEqual([status, error.code], [500, "token_unreadable"]);
    }
    await store(person, intact);
    assert.equal((await person.sync()).body.status, "complete");
  },

  "a wrong CALENDLY_TOKEN_KEY is a clear error that loses nothing": async (project) => {
    await useKeys(project, OLD);
    const person = await project.person(FEW);
    await person.sync();
    await useKeys(project, NEW);
    await project.advance("1m");
    const { status, body: { error } } = await person.sync();
    assert.deepEqual([status, error.code], [500, "token_unreadable"]);
    assert.match(error.message + error.hint, /CALENDLY_TOKEN_KEY/);
    assert.equal((await person.runs())[0].status, "failed");
    assert.equal((await person.connection()).state, "active");
    await assertMirrors(person);
    await useKeys(project, OLD);
    assert.equal((await person.sync()).body.status, "complete");
  },

  "a key is rotated by putting the new one first": async (project) => {
    await useKeys(project, OLD);
    const [ann, bob] = [await project.person(FEW), await project.person({ connected: false })];
    await useKeys(project, `${NEW}, ${OLD}`);
    assert.equal((await ann.sync()).body.status, "complete");
    for (const person of [ann, bob]) await person.connect({ sync: false });
    await useKeys(project, NEW);
    for (const person of [ann, bob]) assert.equal((await person.sync()).body.status, "complete");
  },

  "without a usable CALENDLY_TOKEN_KEY nothing is stored": async (project) => {
    const person = await project.person({ connected: false });
    for (const keys of ["", "short", `${NEW},short`]) {
      await useKeys(project, keys);
      const { status, body: { error } } = await person.connect();
      assert.deepEqual([status, error.code], [503, "not_configured"]);
      assert.match(error.message + error.hint, /CALENDLY_TOKEN_KEY.*openssl/s);
      assert.equal((await person.connection()).state, "disconnected");
    }
  },
});
