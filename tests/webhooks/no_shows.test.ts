/** No-shows have a clock of their own: marking one moves no `updated_at`. */
import assert from "node:assert/strict";
import { assertMirrors } from "../functions/mirror.ts";
import type { Person } from "../functions/support.ts";
import { type Hooks, hookTest } from "./support.ts";

/** Somebody who did not come, in a meeting that has just ended. */
async function missed(hooks: Hooks): Promise<{ person: Person; invitee: string }> {
  const person = await hooks.person();
  const { invitee } = hooks.control.book({
    user: person.host.uri,
    location: "physical",
    start_time: "2026-03-02T10:30:00Z",
  });
  await hooks.deliver();
  await hooks.project.advance("70m");
  return { person, invitee: invitee.uri };
}

/** Whether the invitee is known as a no-show, by row and by Calendly's JSON. */
async function isMarked(person: Person): Promise<boolean> {
  const [{ no_show_at, no_show_uri, raw }] = await person.invitees();
  assert.deepEqual([no_show_uri, no_show_at === null], [
    raw.no_show?.uri ?? null,
    raw.no_show === null,
  ]);
  return no_show_at !== null;
}

hookTest("a no-show is marked and unmarked, twice", async (hooks) => {
  const { person, invitee } = await missed(hooks);
  for (const time of [1, 2]) {
    const { uri } = hooks.control.mark_no_show({ invitee });
    await hooks.deliver();
    assert.ok(await isMarked(person), `marked for time ${time}`);
    assert.equal((await person.invitees())[0].no_show_uri, uri);
    await hooks.project.advance("1s");
    hooks.control.undo_no_show({ invitee });
    await hooks.deliver();
    assert.ok(!await isMarked(person), `unmarked for time ${time}`);
    await hooks.project.advance("1s");
  }
  assert.ok((await hooks.events()).every(({ status }) => status === "processed"));
  assert.equal((await hooks.events()).length, 5);
});

hookTest("marks and undoings give the last one, in whatever order they come", async (hooks, t) => {
  const { person, invitee } = await missed(hooks);
  const told: string[][] = [[], []];
  for (const time of [0, 1]) {
    hooks.control.mark_no_show({ invitee });
    await hooks.project.advance("1s");
    told[time] = await hooks.take();
    if (time === 1) break;
    hooks.control.undo_no_show({ invitee });
    await hooks.project.advance("1s");
    told[time].push(...await hooks.take());
  }
  const [[mark, undo], [mark2]] = told;
  const forget = () => hooks.project.stack.sql("delete from public.calendly_webhook_events");
  const orders: [string[], boolean][] = [
    [[mark, undo], false],
    [[undo, mark], false],
    [[mark2, undo, mark], true],
    [[undo, mark2, mark], true],
    [[mark, mark2, undo], true],
  ];
  for (const [bodies, marked] of orders) {
    const names = bodies.map((body) =>
      body === undo ? "undo" : body === mark ? "mark" : "mark again"
    );
    await t.step(names.join(", "), async () => {
      await forget();
      await hooks.project.stack.sql("delete from public.calendly_meetings");
      for (const body of bodies) await hooks.send(body);
      assert.equal(await isMarked(person), marked);
    });
  }
});

hookTest(
  "a mark and an undoing within one second are asked for again, and end right",
  async (hooks, t) => {
    for (const marked of [false, true]) {
      for (const order of ["created", "reversed"] as const) {
        await t.step(`${marked ? "marked" : "unmarked"} in the end, told ${order}`, async () => {
          const { person, invitee } = await missed(hooks);
          hooks.control.mark_no_show({ invitee });
          hooks.control.undo_no_show({ invitee });
          if (marked) hooks.control.mark_no_show({ invitee });
          await hooks.deliver({ order });
          const { next_sync } = await person.connection();
          assert.ok(
            Date.parse(next_sync) <= Number(hooks.project.sandbox.clock.now() / 1000n) + 60_000,
            "due within a minute",
          );
          await hooks.project.advance("1m");
          await person.sync();
          assert.equal(await isMarked(person), marked);
          await assertMirrors(person);
        });
      }
    }
  },
);

hookTest(
  "a mark that no webhook told of is found after the meeting, and its late webhook changes nothing",
  async (hooks) => {
    const { person, invitee } = await missed(hooks);
    hooks.control.mark_no_show({ invitee });
    const [late] = await hooks.take();
    await hooks.project.advance("1h");
    await person.sync();
    assert.ok(await isMarked(person));
    const before = await person.invitees();
    await hooks.send(late);
    assert.ok(await isMarked(person));
    assert.deepEqual(
      (await person.invitees()).map(({ raw }) => raw),
      before.map(({ raw }) => raw),
    );

    hooks.control.undo_no_show({ invitee });
    await hooks.take();
    await hooks.project.advance("25h");
    await person.sync();
    assert.ok(!await isMarked(person));
    await hooks.send(late);
    assert.ok(!await isMarked(person), "an old mark does not come back");
  },
);

hookTest("a no-show survives a cancellation and other news", async (hooks) => {
  const person = await hooks.person();
  const event_type = hooks.control.create_event_type({ user: person.host.uri, kind: "group" }).uri;
  const { event, invitee } = hooks.control.book({ event_type, location: "physical" });
  hooks.control.mark_no_show({ invitee: invitee.uri });
  await hooks.project.advance("2s");
  hooks.control.book({ event: event.uri });
  hooks.control.cancel({ invitee: invitee.uri });
  await hooks.deliver({ order: "shuffled" });
  assert.ok(await isMarked(person));
  await person.sync({ full: true });
  await assertMirrors(person);
});

hookTest("a webhook without a no-show key says nothing about no-shows", async (hooks) => {
  const { person, invitee } = await missed(hooks);
  hooks.control.mark_no_show({ invitee });
  await hooks.deliver();
  await hooks.project.advance("5s");
  hooks.control.edit({ invitee, set: { name: "Jane Roe" } });
  const { event, invitees: [row] } = hooks.project.sandbox.truth().scheduled_events.find((
    { invitees },
  ) => invitees.some(({ uri }) => uri === invitee))!;
  const { no_show: _, ...sparse } = row;
  const answer = await hooks.send({
    event: "invitee.created",
    created_at: "2026-03-02T11:10:05.000000Z",
    created_by: person.host.uri,
    payload: { ...sparse, scheduled_event: event },
  });
  assert.deepEqual(answer.body, { status: "processed" });
  assert.equal((await person.invitees())[0].name, "Jane Roe");
  assert.ok(await isMarked(person));
});
