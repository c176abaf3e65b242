/** No-shows move no `updated_at`, so somebody has to look: one hour, a day and a week after a meeting. */
import assert from "node:assert/strict";
import { assertMirrors, time } from "./mirror.ts";
import { day, type Project, projectTests } from "./support.ts";

const HOUR = 1 / 24;
const MINUTE = HOUR / 60;

/** Somebody with one meeting that ends in two hours, and a clock that counts from its end. */
async function meeting(project: Project) {
  const person = await project.person();
  const end = day(2 * HOUR, project.now);
  const { event, invitee } = project.sandbox.control.book({
    user: person.host.uri,
    start_time: day(HOUR, project.now),
    end_time: end,
    location: "physical",
  });
  await person.sync();
  /** Syncs so many days after the end and returns what that cost. */
  const syncAt = async (days: number): Promise<number> => {
    await project.setClock(day(days, end));
    return (await person.sync()).body.requests;
  };
  const isNoShow = async () => (await person.invitees())[0].no_show_at !== null;
  return { person, event, invitee: invitee.uri, end, syncAt, isNoShow };
}

projectTests("No-shows", {
  "a no-show is found by looking after the meeting": async (project, t) => {
    const { control } = project.sandbox;

    await t.step("an hour, a day and a week after its end, and at no other time", async () => {
      const { person, invitee, syncAt, isNoShow } = await meeting(project);
      assert.equal(await syncAt(59 * MINUTE), 1);
      const { created_at } = control.mark_no_show({ invitee });
      assert.equal(await isNoShow(), false);
      assert.equal(await syncAt(61 * MINUTE), 2);
      const [row] = await person.invitees();
      assert.equal(time(row.no_show_at), created_at);
      await assertMirrors(person);

      control.undo_no_show({ invitee });
      assert.equal(await syncAt(23 * HOUR), 1);
      assert.equal(await isNoShow(), true);
      assert.equal(await syncAt(24 * HOUR + MINUTE), 2);
      assert.equal(await isNoShow(), false);
      await assertMirrors(person);

      await project.advance("1m");
      control.mark_no_show({ invitee });
      assert.equal(await syncAt(6), 1);
      assert.equal(await syncAt(7 + MINUTE), 2);
      assert.equal(await isNoShow(), true);
      await assertMirrors(person);
      assert.equal(await syncAt(8), 1);
      assert.equal(await syncAt(60), 1);
    });

    await t.step("a look that was missed is made up for once", async () => {
      const { invitee, syncAt, isNoShow } = await meeting(project);
      await project.advance("3h");
      control.mark_no_show({ invitee });
      assert.equal(await syncAt(3), 2);
      assert.equal(await isNoShow(), true);
      assert.equal(await syncAt(4), 1);
      assert.equal(await syncAt(8), 2);
      assert.equal(await syncAt(9), 1);
    });

    await t.step("any other read of the invitees settles it too", async () => {
      const { person, event, invitee, syncAt, isNoShow } = await meeting(project);
      await project.setClock(day(2, project.now));
      control.mark_no_show({ invitee });
      control.edit({ event: event.uri, set: { name: "Renamed" } });
      assert.equal((await person.sync()).body.requests, 2);
      assert.equal(await isNoShow(), true);
      assert.equal(await syncAt(3), 1);
      assert.equal(await syncAt(8), 2);
    });

    await t.step(
      "one marked in the moment of a look is looked at again a minute later",
      async () => {
        const { invitee, syncAt, isNoShow } = await meeting(project);
        assert.equal(await syncAt(2 * HOUR), 2);
        control.mark_no_show({ invitee });
        assert.equal(await syncAt(25 * HOUR), 2);
        assert.equal(await isNoShow(), true);
        assert.equal(await syncAt(25 * HOUR + 2 * MINUTE), 2);
        assert.equal(await syncAt(25 * HOUR + 4 * MINUTE), 1);
      },
    );

    await t.step("nobody looks after a meeting that was canceled", async () => {
      const { person, event, syncAt } = await meeting(project);
      control.cancel({ event: event.uri });
      await person.sync();
      assert.equal(await syncAt(2 * HOUR), 1);
      assert.equal(await syncAt(8), 1);
    });
  },

  "a look for no-shows that falls due in the very moment of a sync": async (project, t) => {
    await t.step("is made once, and once more a minute later", async () => {
      const { syncAt } = await meeting(project);
      assert.equal(await syncAt(HOUR), 2);
      assert.equal(await syncAt(HOUR + MINUTE + MINUTE / 60), 2);
      assert.equal(await syncAt(HOUR + 3 * MINUTE), 1);
    });

    await t.step("is made once a minute by a Calendly whose clock is behind", async () => {
      const { person, end } = await meeting(project);
      await project.setClock(day(HOUR + MINUTE, end));
      project.sandbox.control.set_clock({ now: day(HOUR - MINUTE, end) });
      assert.equal((await person.sync()).body.requests, 2);
      assert.equal((await person.sync()).body.requests, 1);
      await project.setClock(day(HOUR + 5 * MINUTE, end));
      assert.equal((await person.sync()).body.requests, 2);
      assert.equal((await person.sync()).body.requests, 1);
    });
  },
});
