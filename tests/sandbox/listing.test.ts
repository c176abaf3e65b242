/** Listings: order, filters, keyset pagination. */
import assert from "node:assert/strict";
import { Client, pinned } from "./support.ts";

const at = (hour: number) => `2026-03-03T${String(hour).padStart(2, "0")}:00:00Z`;
const uris = (answer: { body: { collection: { uri: string }[] } }) =>
  answer.body.collection.map((row) => row.uri);

Deno.test("pages of a listing have every event once, in order, in both directions", async () => {
  const sandbox = pinned({ events: 250 });
  const client = new Client(sandbox);
  const user = sandbox.demo.user.uri;
  const truth = sandbox.truth().scheduled_events.map(({ event }) => event.uri);
  const ascending = await client.all("/scheduled_events", { user, count: "100" });
  assert.equal(ascending.pages, 3);
  assert.deepEqual(ascending.rows.map((row) => row.uri), truth);
  const descending = await client.all("/scheduled_events", {
    user,
    count: "7",
    sort: "start_time:desc",
  });
  assert.deepEqual(descending.rows.map((row) => row.uri), truth.toReversed());
});

Deno.test("the previous page's token leads back", async () => {
  const client = new Client(pinned({ events: 30 }));
  const first = await client.events({ count: "10" });
  const second = await client.events({
    count: "10",
    page_token: first.body.pagination.next_page_token,
  });
  const back = await client.events({
    count: "10",
    page_token: second.body.pagination.previous_page_token,
  });
  assert.deepEqual(uris(back), uris(first));
  assert.equal(back.body.pagination.previous_page_token, null);
});

Deno.test("pagination always has its five keys, and counts the rows of the page", async () => {
  const client = new Client(pinned({ events: 25 }));
  const { pagination } = (await client.events()).body;
  assert.equal(pagination.count, 20);
  assert.match(
    pagination.next_page,
    /^https:\/\/api\.calendly\.com\/scheduled_events\?.*page_token=/,
  );
  assert.equal(pagination.previous_page, null);
  const empty = await client.events({ invitee_email: "nobody@example.com" });
  assert.deepEqual(empty.body, {
    collection: [],
    pagination: {
      count: 0,
      next_page: null,
      next_page_token: null,
      previous_page: null,
      previous_page_token: null,
    },
  });
});

Deno.test("a page token needs the filters that it came with", async () => {
  const client = new Client(pinned({ events: 60 }));
  const first = await client.events({ status: "active" });
  const page_token = first.body.pagination.next_page_token;
  assert.equal((await client.events({ status: "active", page_token })).status, 200);
  for (
    const query of [
      { page_token },
      { page_token, status: "canceled" },
      { page_token: `A${page_token}` },
      { page_token: "rubbish" },
    ]
  ) {
    const { status, body } = await client.events(query as Record<string, string>);
    assert.equal(status, 400);
    assert.equal(body.details[0].parameter, "page_token");
  }
});

Deno.test("an event booked or erased between two pages neither repeats nor hides another", async () => {
  const sandbox = pinned();
  const client = new Client(sandbox);
  const booked = [9, 10, 11, 12].map((hour) => sandbox.control.book({ start_time: at(hour) }));
  const first = await client.events({ count: "2" });
  sandbox.control.erase_event({ event: booked[1].event.uri });
  sandbox.control.book({ start_time: at(8) });
  const second = await client.events({
    count: "2",
    page_token: first.body.pagination.next_page_token,
  });
  assert.deepEqual([...uris(first), ...uris(second)], booked.map(({ event }) => event.uri));
});

Deno.test("min_start_time and max_start_time leave out an event that starts just then", async () => {
  const sandbox = pinned();
  const client = new Client(sandbox);
  const [nine, ten, eleven] = [9, 10, 11].map((hour) =>
    sandbox.control.book({ start_time: at(hour) }).event.uri
  );
  assert.deepEqual(uris(await client.events({ min_start_time: at(9) })), [ten, eleven]);
  assert.deepEqual(uris(await client.events({ max_start_time: at(11) })), [nine, ten]);
  assert.deepEqual(
    uris(
      await client.events({
        min_start_time: "2026-03-03T10:59:59.999999+02:00",
        max_start_time: "2026-03-03T10:00:00.000001Z",
      }),
    ),
    [nine, ten],
  );
});

Deno.test("status and invitee_email filter; without a status both kinds are listed", async () => {
  const sandbox = pinned();
  const client = new Client(sandbox);
  const kept = sandbox.control.book({ invitee: { email: "Ana@example.com" } }).event.uri;
  const gone = sandbox.control.book().event.uri;
  sandbox.control.cancel({ event: gone });
  assert.deepEqual(uris(await client.events({ status: "active" })), [kept]);
  assert.deepEqual(uris(await client.events({ status: "canceled" })), [gone]);
  assert.deepEqual(uris(await client.events()), [kept, gone]);
  assert.deepEqual(uris(await client.events({ invitee_email: "ana@example.com" })), [kept]);
});

Deno.test("bad parameters are 400 and named in the details", async () => {
  const client = new Client(pinned());
  for (
    const [name, value] of [
      ["count", "0"],
      ["count", "101"],
      ["count", "ten"],
      ["status", "gone"],
      ["sort", "updated_at:desc"],
      ["sort", "start_time:up"],
      ["min_start_time", "2026-02-30T00:00:00Z"],
      ["max_start_time", "tomorrow"],
      ["user", "https://example.com/users/x"],
    ]
  ) {
    const { status, body } = await client.events({ [name]: value });
    assert.equal(status, 400, `${name}=${value}`);
    assert.equal(body.title, "Invalid Argument");
    assert.equal(body.details[0].parameter, name);
  }
});

Deno.test("invitees are listed by creation, by status and by e-mail, over several pages", async () => {
  const sandbox = pinned();
  const client = new Client(sandbox);
  const { uri: event_type } = sandbox.control.create_event_type({ kind: "group", seats: 300 });
  const { event } = sandbox.control.book({ event_type, invitee: { email: "i0@example.com" } });
  for (let i = 1; i < 250; i++) {
    sandbox.control.book({ event: event.uri, invitee: { email: `i${i}@example.com` } });
  }
  const path = `/scheduled_events/${event.uri.split("/").at(-1)}/invitees`;
  const { rows, pages } = await client.all(path, { count: "100" });
  assert.equal(pages, 3);
  assert.deepEqual(rows.map((row) => row.email), Array.from(rows, (_, i) => `i${i}@example.com`));
  sandbox.control.cancel({ invitee: rows[3].uri });
  assert.deepEqual(uris(await client.get(path, { status: "canceled" })), [rows[3].uri]);
  assert.deepEqual(uris(await client.get(path, { email: "i7@example.com" })), [rows[7].uri]);
  const newest = await client.get(path, { sort: "created_at:desc", count: "1" });
  assert.deepEqual(uris(newest), [rows[249].uri]);
});

Deno.test("event types can be listed, newest change first, and read one by one", async () => {
  const sandbox = pinned();
  const client = new Client(sandbox);
  const workshop = sandbox.control.create_event_type({ name: "Workshop", kind: "group" });
  const listed = await client.get("/event_types", {
    user: sandbox.demo.user.uri,
    sort: "updated_at:desc",
    active: "true",
  });
  assert.deepEqual(
    listed.body.collection.map((row: { name: string }) => row.name),
    ["Workshop", "30 Minute Meeting"],
  );
  const read = await client.get(new URL(workshop.uri).pathname);
  assert.equal(read.body.resource.kind, "group");
});

Deno.test("12,000 events are listed page by page, each once", async () => {
  const sandbox = pinned({ events: 12_000 });
  sandbox.control.set_rate_limit({ limit: null });
  const query = { user: sandbox.demo.user.uri, count: "100" };
  const { rows, pages } = await new Client(sandbox).all("/scheduled_events", query);
  assert.equal(pages, 120);
  assert.equal(new Set(rows.map((row) => row.uri)).size, 12_000);
});

Deno.test("with a public URL, links lead there page by page, and URIs stay names", async () => {
  const publicUrl = "http://127.0.0.1:8090/calendly";
  const sandbox = pinned({ events: 45, publicUrl: `${publicUrl}/` });
  const client = new Client(sandbox);
  const user = sandbox.demo.user.uri;
  const found: string[] = [];
  let link: string | null = `${publicUrl}/scheduled_events?user=${user}&count=20`;
  let previous: string | null = null;
  while (link !== null) {
    assert.ok(link.startsWith(`${publicUrl}/scheduled_events?`), link);
    // What is in front takes its own prefix away.
    const { body } = await client.send("GET", link.slice(publicUrl.length));
    found.push(...uris({ body }));
    ({ next_page: link, previous_page: previous } = body.pagination);
  }
  assert.deepEqual(found, sandbox.truth().scheduled_events.map(({ event }) => event.uri));
  assert.ok(found.every((uri) => uri.startsWith("https://api.calendly.com/scheduled_events/")));
  assert.ok(previous!.startsWith(`${publicUrl}/scheduled_events?`));
});

Deno.test("a public URL that is none is refused", () => {
  for (const publicUrl of ["", "nowhere", "ftp://x", "http://x/?a=b"]) {
    assert.throws(() => pinned({ publicUrl }), { code: "bad_url" }, publicUrl);
  }
});
