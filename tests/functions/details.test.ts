/** One answer that cannot be had costs no more than itself. */
import assert from "node:assert/strict";
import { assertMirrors } from "./mirror.ts";
import { idOf, projectTests } from "./support.ts";
import { FAILS, invitesOf, LISTING, thirty } from "./interrupted_person.ts";

projectTests("Details", {
  "what is known outlives a failed detail request": async (project, t) => {
    const { control } = project.sandbox;

    /** Somebody synced, whose next meeting then got another invitee's name. */
    async function changed() {
      const { person, strike } = await thirty(project);
      await person.sync();
      await project.advance("1m");
      const path = invitesOf(person, 0);
      const [{ event, invitees }] = control.state().scheduled_events
        .filter(({ event }) => path.includes(idOf(event.uri)));
      control.edit({ invitee: invitees[0].uri, set: { name: "Changed" } });
      control.edit({ event: event.uri, set: { name: "Changed too" } });
      const name = async () =>
        (await person.invitees()).find(({ uri }) => uri === invitees[0].uri)?.name;
      return { person, strike, path, event, was: invitees[0].name, name };
    }

    await t.step("through a pause", async () => {
      const { person, strike, path, was, name } = await changed();
      strike(path, FAILS, { times: 3 });
      assert.equal((await person.sync()).body.status, "paused");
      assert.deepEqual([(await person.invitees()).length, await name()], [30, was]);
      assert.equal((await person.sync()).body.status, "complete");
      await assertMirrors(person);
    });

    for (const status of [400, 403, 404]) {
      await t.step(
        `through a ${status}, which is put on record and tried again later`,
        async () => {
          const { person, strike, path, event, was, name } = await changed();
          strike(path, { kind: "status", status, body: { title: "No", message: "Not this one" } });
          const { body } = await person.sync();
          assert.deepEqual([body.status, body.updated, body.rejected], ["complete", 1, 1]);
          assert.equal(body.rejections[0].uri, event.uri);
          assert.match(body.rejections[0].problem, /Not this one/);
          assert.deepEqual([(await person.invitees()).length, await name()], [30, was]);
          await project.advance("16m");
          assert.equal((await person.sync()).body.updated, 1);
          await assertMirrors(person);
        },
      );
    }

    await t.step("through a listing of nobody, which is not believed at once", async () => {
      const { person, strike, path, event, was, name } = await changed();
      strike(path, { kind: "empty" });
      const { body } = await person.sync();
      assert.deepEqual([body.status, body.rejected], ["complete", 1]);
      assert.equal(body.rejections[0].uri, event.uri);
      assert.deepEqual([(await person.invitees()).length, await name()], [30, was]);
      await project.advance("61s");
      assert.equal((await person.sync()).body.requests, 3 + 1);
      await assertMirrors(person);
    });

    await t.step("unless Calendly says it twice in a row", async () => {
      const { person, strike, path } = await changed();
      strike(path, { kind: "empty" }, { times: 2 });
      await person.sync();
      await project.advance("61s");
      await person.sync();
      assert.equal((await person.invitees()).length, 29);
    });

    await t.step("one event that always fails does not hold up the others for ever", async () => {
      const { person, strike } = await thirty(project);
      strike(invitesOf(person, 0), FAILS, { times: 9 });
      const statuses = [];
      for (let click = 0; click < 4; click++) statuses.push((await person.sync()).body.status);
      assert.deepEqual(statuses, ["paused", "paused", "paused", "complete"]);
      const [run] = await person.runs();
      assert.deepEqual([run.rejected, run.requests], [1, 33 - 1 + 9]);
      assert.equal((await person.invitees()).length, 29);
      await project.advance("2h");
      await person.sync();
      await assertMirrors(person);
    });
  },

  "a page token that has expired costs a fresh listing of the rest": async (project) => {
    const { person, strike } = await thirty(project);
    strike(LISTING, { kind: "expired_page_token" }, { skip: 1 });
    const { body } = await person.sync();
    // The last event of the first page is listed once more: nobody says that it was alone at its time.
    const listings = 1 + 1 + 3;
    assert.deepEqual([body.status, body.created], ["complete", 30]);
    // Where the page was read ahead, its own step has asked once more.
    const again = body.requests - listings - 30;
    assert.ok(again === 0 || again === 1, `${body.requests} requests`);
    assert.equal(body.requests, person.requests());
    assert.deepEqual(body.fetched, { active: 30, canceled: 0 });
    await assertMirrors(person);
  },
});
