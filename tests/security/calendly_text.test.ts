/**
 * Text from Calendly is text, in whatever field of a listing, of an invitee or of a delivery it stands: it is
 * kept word for word or the row is rejected, and nothing else happens.
 */
import assert from "node:assert/strict";
import { day, type Person } from "../functions/support.ts";
import { catalogue } from "../guest/catalogue.ts";
import { type Hooks, hookTest } from "../webhooks/support.ts";

/** Would do harm in SQL, JSON, a path, a pattern, a format, a log line or a page. */
const HOSTILE =
  `'); drop table public.calendly_meetings cascade; --"\\ \${1} $1 $$ %s %n {} [x] (.*) \r\n\t\u0000\ud800<b>`;
const KEPT = HOSTILE.replace("\u0000", "\ufffd").replace("\ud800", "\ufffd");

type Path = (string | number)[];
// deno-lint-ignore no-explicit-any -- JSON
type Json = any;

/** Every place of a text, or where one may stand: a mark as a no-show is never one. */
function places(value: Json, at: Path = []): Path[] {
  if (at.at(-1) === "no_show" && value === null) return [];
  if (typeof value === "string" || value === null) return [at];
  if (typeof value !== "object") return [];
  return Object.entries(value).flatMap(([key, inner]) => places(inner, [...at, key]));
}

function withText(value: Json, [first, ...rest]: Path): Json {
  if (first === undefined) return HOSTILE;
  const copy = Array.isArray(value) ? [...value] : { ...value };
  copy[first] = withText(copy[first], rest);
  return copy;
}

function textAt(value: Json, path: Path): unknown {
  return path.reduce((inner, key) => inner?.[key], value);
}

/** What cannot be any text: names, times, states, and whose it is. */
const MEANT = {
  event: /^(uri|status|(start|end|created|updated)_(time|at)|event_memberships\.0\.user)$/,
  invitee: /^(uri|status|(created|updated)_at)$/,
};

hookTest("a hostile text in any field", async (hooks, t) => {
  const { control, project } = hooks;
  const bystander = await project.person({ events: 3, variety: "plain" });
  await bystander.sync();
  const rows = async () => [await bystander.meetings(), await bystander.invitees()];
  const before = {
    rows: await rows(),
    structure: await catalogue({ query: project.stack.sql }),
  };

  await t.step("of an event that is listed", async (t) => {
    const person = await project.person();
    const book = (n: number) =>
      control.book({ user: person.host.uri, start_time: day(n + 1), location: "zoom" });
    const paths = places(book(0).event).filter((path) =>
      path.join(".") !== "location.data.password"
    );
    assert.ok(paths.length > 15);
    const events = paths.map((_, n) => book(n + 1).event);
    paths.forEach((path, n) => {
      const field = String(path[0]);
      control.override({
        uri: events[n].uri,
        fields: { [field]: withText(events[n], path)[field] },
      });
    });
    const { body } = await person.sync();
    const meant = paths.filter((path) => MEANT.event.test(path.join(".")));
    assert.deepEqual([body.status, body.rejected], ["complete", meant.length]);
    for (const [n, path] of paths.entries()) {
      await t.step(path.join("."), async () => {
        const meeting = await person.meeting(events[n].uri);
        if (meant.includes(path)) assert.equal(meeting, undefined);
        else assert.equal(textAt(meeting.raw, path), KEPT);
      });
    }
    const names = (await person.meetings()).map((row) =>
      [row.name, row.event_type_uri, row.location_type].filter((text) => text === KEPT)
    ).flat();
    assert.equal(names.length, 3, "and in the columns");
    assert.ok(
      (await person.meetings()).every((row) =>
        row.join_url === null || /^https:/.test(row.join_url)
      ),
      "and a link is a link",
    );
  });

  await t.step("of an invitee", async (t) => {
    const person = await project.person();
    const book = (n: number) => control.book({ user: person.host.uri, start_time: day(n + 1) });
    const paths = places(book(0).invitee);
    assert.ok(paths.length > 15);
    const invitees = paths.map((_, n) => book(n + 1).invitee);
    paths.forEach((path, n) => {
      const field = String(path[0]);
      control.override({
        uri: invitees[n].uri,
        fields: { [field]: withText(invitees[n], path)[field] },
      });
    });
    const { body } = await person.sync();
    const meant = paths.filter((path) => MEANT.invitee.test(path.join(".")));
    assert.equal(body.status, "complete");
    const stored = await person.invitees();
    for (const [n, path] of paths.entries()) {
      await t.step(path.join("."), () => {
        const invitee = stored.find(({ uri }) => uri === invitees[n].uri);
        if (meant.includes(path)) assert.equal(invitee, undefined);
        else assert.equal(textAt(invitee.raw, path), KEPT);
      });
    }
  });

  await t.step("of a delivery, signed by Calendly", async (t) => {
    const person = await hooks.person();
    for (const kind of ["invitee.created", "invitee_no_show.created", "invitee.canceled"]) {
      await t.step(kind, async () => {
        const paths = places(await delivery(hooks, person, kind));
        assert.ok(paths.length > 40);
        const ignored = new Set<string>();
        for (const path of paths) {
          const told = withText(await delivery(hooks, person, kind), path);
          const answer = await hooks.send(told);
          assert.equal(answer.status, 200, `${path.join(".")}: ${JSON.stringify(answer.body)}`);
          if (answer.body.status === "ignored") ignored.add(path.join("."));
        }
        // Of another type, or of a host who is not ours.
        assert.ok(ignored.size <= 2, [...ignored].join(", "));
        const stored = await hooks.events();
        for (const path of paths) {
          if (path.join(".").endsWith("location.data.password")) continue;
          if (ignored.has(path.join("."))) continue; // kept without its payload
          assert.ok(
            stored.some(({ payload }) => payload && textAt(payload, path) === KEPT),
            path.join("."),
          );
        }
      });
    }
    const errors = (await hooks.events()).filter(({ error }) => error).map(({ error }) =>
      error.code
    );
    assert.deepEqual([...new Set(errors)], ["not_understood"], "no error of Postgres' among them");
  });

  await t.step("leaves everything else as it was", async () => {
    assert.deepEqual(await rows(), before.rows);
    assert.deepEqual(
      await catalogue({ query: project.stack.sql }),
      before.structure,
    );
  });
});

/** A genuine delivery of this kind, of a booking that has much to tell. */
async function delivery(hooks: Hooks, { host }: Person, kind: string): Promise<Json> {
  const { control } = hooks;
  const { invitee } = control.book({ user: host.uri, location: "zoom" });
  if (kind === "invitee_no_show.created") control.mark_no_show({ invitee: invitee.uri });
  if (kind === "invitee.canceled") control.cancel({ invitee: invitee.uri, reason: "ill" });
  const bodies = (await hooks.take()).map((text) => JSON.parse(text));
  return bodies.find(({ event }) => event === kind);
}
