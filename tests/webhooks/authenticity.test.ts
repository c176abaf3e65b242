/** Who may say that something happened in Calendly, and how large, how old, how often signed it may be. */
import assert from "node:assert/strict";
import { hkdfSync, randomUUID } from "node:crypto";
import { digest, type Hooks, hookTest, type Sending, sign, SIGNING_KEY } from "./support.ts";

const TOKEN_KEYS = [
  "the present key that encrypts the tokens",
  "the former key that encrypted the tokens",
];
const LIMIT = 256 * 1024;

/** What Calendly would send of a new booking, ready to be signed. */
async function booking(hooks: Hooks): Promise<string> {
  const person = await hooks.person();
  hooks.control.book({ user: person.host.uri });
  return (await hooks.take())[0];
}

async function refuses(hooks: Hooks, body: string, sending: Sending): Promise<void> {
  const { status, body: answer } = await hooks.send(body, sending);
  assert.deepEqual([status, answer.error?.code], [401, "not_authentic"]);
  assert.deepEqual(await hooks.events(), []);
}

hookTest("only what Calendly signed is believed", async (hooks, t) => {
  const body = await booking(hooks);
  const at = hooks.now();
  const genuine = digest(body, SIGNING_KEY, at);
  const other = digest(body, "another key", at);
  const signature = (value: string | null) => ({
    headers: { "calendly-webhook-signature": value },
  });

  const forgeries: [what: string, Sending][] = [
    ["no signature", signature(null)],
    ["an empty signature", signature("")],
    ["another key's signature", { key: "another key" }],
    ["an empty key's signature", { key: "" }],
    ["another moment's signature", signature(`t=${at - 1},v1=${genuine}`)],
    ["a signature without its time", signature(`v1=${genuine}`)],
    ["two times", signature(`t=${at},t=${at},v1=${genuine}`)],
    ["a time that is no number", signature(`t=now,v1=${genuine}`)],
    ["a negative time", signature(sign(body, SIGNING_KEY, -at))],
    ["a signature of another scheme", signature(`t=${at},v0=${genuine}`)],
    ["half a signature", signature(`t=${at},v1=${genuine.slice(0, 32)}`)],
    ["a signature and more", signature(`t=${at},v1=${genuine}00`)],
    ["a signature that is no hex", signature(`t=${at},v1=${"z".repeat(64)}`)],
    [
      "more signatures than anybody sends",
      signature(`t=${at}${`,v1=${other}`.repeat(5)},v1=${genuine}`),
    ],
    ["a signature with the header's name misspelt", {
      headers: {
        "calendly-webhook-signature": null,
        "calendly-signature": sign(body, SIGNING_KEY, at),
      },
    }],
  ];
  for (const [what, sending] of forgeries) {
    await t.step(`${what} is refused`, () => refuses(hooks, body, sending));
  }
  await t.step(
    "one changed byte of the body is refused",
    () => refuses(hooks, body.replace("Jane", "Jana"), signature(sign(body, SIGNING_KEY, at))),
  );
  await t.step(
    "the same JSON with other spaces is refused",
    () =>
      refuses(
        hooks,
        JSON.stringify(JSON.parse(body), null, 1),
        signature(sign(body, SIGNING_KEY, at)),
      ),
  );
  await t.step("a forgery never reaches the database", async () => {
    hooks.project.wire.calls.length = 0;
    await refuses(hooks, body, { key: "another key" });
    assert.deepEqual(hooks.project.wire.calls, []);
  });
  await t.step(
    "what Calendly signed is believed, whatever stands beside its signature",
    async () => {
      const header = ` t=${at} , v0=zz , v1=${other},v1=${genuine.toUpperCase()} , v1=${other}`;
      assert.deepEqual(await hooks.send(body, signature(header)), {
        ...await hooks.send(body, signature(sign(body, SIGNING_KEY, at))),
        body: { status: "processed" },
      });
      assert.equal((await hooks.events()).length, 1);
    },
  );
});

hookTest("several keys are accepted while one is rotated", async (hooks) => {
  const person = await hooks.person();
  for (
    const [key, status] of [["new", 200], ["old", 200], ["older", 401], ["new, old", 401]] as const
  ) {
    hooks.control.book({ user: person.host.uri });
    const [body] = await hooks.take();
    assert.equal((await hooks.send(body, { key })).status, status, key);
  }
  assert.equal((await person.meetings()).length, 2);
}, { env: { CALENDLY_WEBHOOK_SIGNING_KEY: "new, old," } });

hookTest("without a signing key nothing is accepted", async (hooks) => {
  const body = await booking(hooks);
  for (const key of ["", "undefined", " "]) await refuses(hooks, body, { key });
  await refuses(hooks, body, { headers: { "calendly-webhook-signature": null } });
  assert.deepEqual([...new Set(hooks.said())], [
    "A webhook was refused: CALENDLY_WEBHOOK_SIGNING_KEY is not set.",
  ]);
}, { env: { CALENDLY_WEBHOOK_SIGNING_KEY: " , " } });

hookTest("a delivery may be 25 hours late and 5 minutes early", async (hooks, t) => {
  const person = await hooks.person();
  const cases: [what: string, offset: number, status: number][] = [
    ["25 hours old", -25 * 3600, 200],
    ["older", -25 * 3600 - 1, 401],
    ["from 1970", -hooks.now(), 401],
    ["5 minutes in the future", 300, 200],
    ["further in the future", 301, 401],
    ["from the end of time", 999_999_999_999 - hooks.now(), 401],
  ];
  for (const [what, offset, status] of cases) {
    await t.step(`${what}: ${status}`, async () => {
      hooks.control.book({ user: person.host.uri });
      const [body] = await hooks.take();
      const before = (await hooks.events()).length;
      const answer = await hooks.send(body, { at: hooks.now() + offset });
      assert.equal(answer.status, status, JSON.stringify(answer.body));
      assert.equal((await hooks.events()).length, before + Number(status === 200));
    });
  }
});

hookTest("a subscription of ours has a key of its own", async (hooks, t) => {
  const person = await hooks.person();
  const id = await hooks.registerSubscription(person);
  const [key, formerKey] = TOKEN_KEYS.map((secret) => derive(secret, id));
  const book = async () => {
    hooks.control.book({ user: person.host.uri });
    return (await hooks.take())[0];
  };
  const before = await book();

  await t.step("derived from its id, and the former secret's while that is rotated", async () => {
    for (const accepted of [key, formerKey]) {
      const answer = await hooks.send(await book(), { key: accepted, path: `/${id}` });
      assert.deepEqual([answer.status, answer.body], [200, { status: "processed" }]);
    }
    assert.deepEqual((await hooks.events()).map(({ user_id }) => user_id), [person.id, person.id]);
  });
  await t.step("that fits nowhere else", async () => {
    const another = await hooks.registerSubscription(person);
    const wrong: Sending[] = [
      { key, path: `/${another}` },
      { key, path: "" },
    ];
    for (const sending of wrong) assert.equal((await hooks.send(before, sending)).status, 401);
  });
  await t.step(
    "beside which the key of an OAuth app counts: Calendly signs with that",
    async () => {
      const answer = await hooks.send(before, { key: SIGNING_KEY, path: `/${id}` });
      assert.equal(answer.status, 200);
    },
  );
  await t.step(
    "an id that nobody has is refused by the one call that would store the event",
    async () => {
      const nobody = randomUUID();
      hooks.project.wire.calls.length = 0;
      const answer = await hooks.send(before, {
        key: derive(TOKEN_KEYS[0], nobody),
        path: `/${nobody}`,
      });
      assert.deepEqual([answer.status, answer.body.error.code], [401, "not_authentic"]);
      assert.deepEqual(hooks.project.wire.calls, ["calendly_receive_webhook"]);
    },
  );
  await t.step("what is no id is refused before", async () => {
    hooks.project.wire.calls.length = 0;
    for (const path of [`/${id.toUpperCase()}`, "/test", "/1", `/${id}'--`]) {
      assert.equal((await hooks.send(before, { key, path })).status, 401, path);
    }
    assert.deepEqual(hooks.project.wire.calls, []);
  });
  await t.step("which ends with the connection's end, and Calendly is told so", async () => {
    const known = await hooks.events();
    for (const [erase, kept] of [[false, known], [true, []]] as const) {
      await person.disconnect({ erase });
      const { status, body } = await hooks.send(before, { key, path: `/${id}` });
      assert.deepEqual([status, body.error.code], [410, "subscription_ended"]);
      assert.deepEqual(await hooks.events(), kept);
    }
  });
  await t.step("but nobody else ends a subscription", async () => {
    const forged = await hooks.send(before, { key: "another key", path: `/${id}` });
    assert.deepEqual([forged.status, forged.body.error.code], [401, "not_authentic"]);
    const old = await hooks.send(before, { key, path: `/${id}`, at: hooks.now() - 26 * 3600 });
    assert.deepEqual([old.status, old.body.error.code], [401, "not_authentic"]);
    hooks.project.wire.refuse("calendly_receive_webhook", 1);
    const away = await hooks.send(before, { key, path: `/${id}` });
    assert.deepEqual([away.status, away.body.error.code], [503, "database_unavailable"]);
  });
}, { env: { CALENDLY_TOKEN_KEY: TOKEN_KEYS.join(",") } });

/** The key of a subscription: by HKDF from the one secret and the id, so that none is stored. */
function derive(secret: string, id: string): string {
  return new Uint8Array(hkdfSync("sha256", secret, "", `calendly webhook ${id}`, 32)).toHex();
}

hookTest("a body is read up to 256 KiB", async (hooks, t) => {
  const person = await hooks.person();
  const padded = async (size: number) => {
    hooks.control.book({ user: person.host.uri });
    const [body] = await hooks.take();
    return body + " ".repeat(size - new TextEncoder().encode(body).length);
  };
  await t.step("exactly that much is accepted", async () => {
    assert.equal((await hooks.send(await padded(LIMIT))).status, 200);
  });
  await t.step("a byte more is too large, however well signed", async () => {
    const { status, body } = await hooks.send(await padded(LIMIT + 1));
    assert.deepEqual([status, body.error.code], [413, "body_too_large"]);
  });
  await t.step(
    "the limit holds where no length is announced, and the rest is not waited for",
    async () => {
      const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
      const writer = writable.getWriter();
      const answer = fetch(hooks.url(), {
        method: "POST",
        body: readable,
        headers: { "calendly-webhook-signature": sign("", SIGNING_KEY, hooks.now()) },
      });
      // never closed: the answer comes before the body's end
      const sent = (async () => {
        for (let bytes = 0; bytes <= LIMIT; bytes += 8192) await writer.write(new Uint8Array(8192));
      })();
      const response = await answer;
      assert.deepEqual([response.status, (await response.json()).error.code], [
        413,
        "body_too_large",
      ]);
      await sent.catch(() => {});
      await writer.abort().catch(() => {});
    },
  );
  assert.equal((await hooks.events()).length, 1);
}, { on: "embedded" });

hookTest("what is signed and no JSON is a bad request", async (hooks, t) => {
  await hooks.person();
  const nested = (depth: number) => `${"[".repeat(depth)}1${"]".repeat(depth)}`;
  for (const body of ["", "{", "invitee.created", '{"event": "invitee.created"', nested(100_000)]) {
    await t.step(`${body.slice(0, 20)} (${body.length})`, async () => {
      const answer = await hooks.send(body);
      assert.deepEqual([answer.status, answer.body.error.code], [400, "invalid_body"]);
    });
  }
  assert.deepEqual(await hooks.events(), []);
}, { on: "embedded" });

hookTest("there is nothing else at this address", async (hooks) => {
  const cases: [method: string, path: string, status: number][] = [
    ["GET", "", 405],
    ["PUT", "", 405],
    ["DELETE", "/test", 405],
    ["GET", "/test/more", 404],
    ["POST", "/a/b", 404],
  ];
  for (const [method, path, expected] of cases) {
    const { status, body, headers } = await hooks.project.fetch(`calendly-webhook${path}`, {
      method,
    });
    assert.equal(status, expected, `${method} ${path}`);
    assert.match(headers.get("content-type")!, /json/);
    assert.ok(body.error.code && body.error.message);
  }
}, { on: "embedded" });
