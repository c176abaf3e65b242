/** A listing of Calendly's that leads nowhere ends a sync in a pause, and costs few requests. */
import assert from "node:assert/strict";
import { assertMirrors } from "./mirror.ts";
import { projectTests } from "./support.ts";
import { few, invitesOf, LISTING, thirty } from "./interrupted_person.ts";

/** An answer that says that the same page comes next, for ever. */
function sameAgain(collection: unknown[]) {
  const pagination = { count: collection.length, next_page_token: "same" };
  return { kind: "status", status: 200, body: { collection, pagination } } as const;
}

projectTests("Paging", {
  "that does not advance in the listing pauses the run": async (project) => {
    const { person, strike } = await thirty(project);
    const [{ event }] = project.sandbox.control.state().scheduled_events
      .filter(({ event }) => event.event_memberships[0].user === person.host.uri);
    strike(LISTING, sameAgain([event]), { times: null });
    const { body } = await person.sync();
    assert.deepEqual([body.status, body.reason.code], ["paused", "page_token_expired"]);
    assert.match(body.reason.message, /same page/);
    assert.ok(person.requests() <= 12, `${body.requests} requests`);
    assert.equal((await person.row()).calendly_initial_sync_complete, false);

    project.sandbox.control.clear_faults();
    assert.equal((await person.sync()).body.status, "complete");
    await assertMirrors(person);
  },

  "that does not advance among the invitees leaves one event for later": async (project) => {
    const { person, strike } = await few(project);
    const path = invitesOf(person, 0);
    strike(path, sameAgain([]), { times: null });
    const statuses = [];
    for (let click = 0; click < 4; click++) statuses.push((await person.sync()).body.status);
    assert.deepEqual(statuses, ["paused", "paused", "paused", "complete"]);
    const [run] = await person.runs();
    assert.deepEqual([run.rejected, (await person.invitees()).length], [1, 2]);
    assert.match(run.rejections[0].problem, /same page/);
    assert.ok(run.requests <= 12, `${run.requests} requests`);

    project.sandbox.control.clear_faults();
    await project.advance("2h");
    await person.sync();
    await assertMirrors(person);
  },

  "goes on by next_page alone": async (project) => {
    const { person } = await thirty(project);
    const { fetch } = project.sandbox;
    let pages = 0;
    project.sandbox.fetch = async (request) => {
      const response = await fetch(request);
      if (!new URL(request.url).pathname.endsWith("/scheduled_events")) return response;
      pages++;
      const body = await response.json();
      const { count, next_page } = body.pagination;
      return Response.json({ ...body, pagination: { count, next_page } }, {
        headers: response.headers,
      });
    };
    const { body } = await person.sync();
    project.sandbox.fetch = fetch;
    assert.deepEqual([body.status, body.created, pages], ["complete", 30, 3]);
    await assertMirrors(person);
  },
});
