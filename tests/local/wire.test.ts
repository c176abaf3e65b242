/** psql, the Supabase CLI and any driver can use the embedded Postgres while the stack runs. */
import assert from "node:assert/strict";
import postgres from "postgres";
import { type Database } from "../../local/database.ts";
import { openTestDatabase } from "../harness/databases.ts";
import { needing } from "../harness/requirements.ts";

Deno.test("a statement of another client runs after a transaction, not in it", async () => {
  await using database = await openOnWire();
  await database.script("create table public.notes (id integer)");
  const client = postgres(database.url, { max: 1 });
  try {
    let inside: unknown;
    let outside: Promise<unknown[]> | undefined;
    await client.begin(async (sql) => {
      await sql`set local role anon`;
      // Sent in the middle of the transaction; answered after it, under its own role.
      outside = database.query("select current_user::text as role");
      [inside] = await sql`select current_user::text as role`;
    });
    assert.deepEqual(inside, { role: "anon" });
    assert.deepEqual(await outside, [{ role: "postgres" }]);
  } finally {
    await client.end();
  }
});

Deno.test("transactions of several clients and single queries run one after the other", async () => {
  await using database = await openOnWire();
  await database.script(
    "create table public.counter (n integer); insert into public.counter values (0)",
  );
  const clients = Array.from({ length: 5 }, () => postgres(database.url, { max: 1 }));
  try {
    await Promise.all([
      ...clients.map(async (sql) => {
        for (let round = 0; round < 10; round++) {
          await sql.begin(async (sql) => {
            const [{ n }] = await sql`select n from public.counter`;
            await sql`update public.counter set n = ${n + 1}`;
          });
        }
      }),
      ...Array.from({ length: 10 }, () => database.query("update public.counter set n = n + 1")),
    ]);
    assert.deepEqual(await database.query("select n from public.counter"), [{ n: 60 }]);
  } finally {
    await Promise.all(clients.map((sql) => sql.end()));
  }
});

Deno.test("the transaction of a client that disconnects is rolled back", async () => {
  await using database = await openOnWire();
  await database.script("create table public.notes (id integer)");
  const client = await rawClient(database);
  await client.send("begin; insert into public.notes values (1)");
  const waiting = database.query("select count(*)::int as n from public.notes");
  client.connection.close();
  assert.deepEqual(await waiting, [{ n: 0 }]);
});

Deno.test("settings of a client are discarded when the last client has left", async () => {
  await using database = await openOnWire();
  const client = postgres(database.url, { max: 1 });
  await client`set role anon`;
  await client.end();
  await settled(async () => {
    const [{ role }] = await database.query("select current_user::text as role");
    return role === "postgres";
  });
});

Deno.test("the statement after an error is answered", async () => {
  await using database = await openOnWire();
  const client = postgres(database.url, { max: 1 });
  try {
    await assert.rejects(client`select 1 / 0`, /division by zero/);
    assert.deepEqual([...await client`select 1 as one`], [{ one: 1 }]);
  } finally {
    await client.end();
  }
});

Deno.test("large values are sent in both directions", async () => {
  await using database = await openOnWire();
  const client = postgres(database.url, { max: 1 });
  try {
    const text = "ü".repeat(1_500_000);
    const [{ value }] = await client`select ${text}::text as value`;
    assert.ok(value === text);
  } finally {
    await client.end();
  }
});

Deno.test({
  ...needing("psql connects without an option about encryption", "psql"),
  async fn() {
    await using database = await openOnWire();
    const { stdout } = await new Deno.Command("psql", {
      args: ["--no-psqlrc", "--tuples-only", "--no-align", database.url, "--command=select 6 * 7"],
    }).output();
    assert.equal(new TextDecoder().decode(stdout).trim(), "42");
  },
});

function openOnWire(): Promise<Database & AsyncDisposable> {
  return openTestDatabase("embedded", { migrations: null }, true);
}

/** A client that can be disconnected: it connects and sends simple queries. */
async function rawClient(database: Database) {
  const connection = await Deno.connect({
    hostname: "127.0.0.1",
    port: Number(new URL(database.url).port),
  });
  const message = (type: string, text: string, head: number[] = []) => {
    const body = [...head, ...new TextEncoder().encode(text), 0];
    const bytes = new Uint8Array(type.length + 4 + body.length);
    bytes.set(new TextEncoder().encode(type));
    new DataView(bytes.buffer).setInt32(type.length, 4 + body.length);
    bytes.set(body, type.length + 4);
    return bytes;
  };
  const roundTrip = async (bytes: Uint8Array) => {
    await connection.write(bytes);
    let answer = "";
    // Every answer ends with ReadyForQuery: Z, a length of 5 and the transaction's state.
    while (!answer.slice(0, -1).endsWith("Z\0\0\0\x05")) {
      const chunk = new Uint8Array(65536);
      const size = await connection.read(chunk);
      if (size === null) throw new Error("the server hung up");
      answer += String.fromCharCode(...chunk.subarray(0, size));
    }
  };
  await roundTrip(message("", "user\0postgres\0", [0, 3, 0, 0]));
  return { connection, send: (sql: string) => roundTrip(message("Q", sql)) };
}

/** Waits up to two seconds until it has happened. */
async function settled(happened: () => Promise<boolean>): Promise<void> {
  for (let attempt = 0; attempt < 200; attempt++) {
    if (await happened()) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  assert.fail("it did not happen");
}
