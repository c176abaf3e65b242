/** One owner connects the organization: everyone in it who is a user gets the own meetings, at the price of one. */
import assert from "node:assert/strict";
import { assertMirrors } from "../functions/mirror.ts";
import { projectTests, until } from "../functions/support.ts";
import { connectAll, FEW, listings, organization, pass } from "./organization.ts";

projectTests("Organization", {
  "one listing brings the events of all members": async (project, t) => {
    const acme = await organization(project, { members: 5, events: 50, with_invitees: 0 });
    const stranger = project.sandbox.control.create_user({
      email: "no.user.here@example.com",
      organization: acme.uri,
    });
    project.sandbox.control.populate({ ...FEW, events: 7, with_invitees: 0, user: stranger.uri });

    await t.step("to each host who is a user, without a token of the member's", async () => {
      listings(project);
      await connectAll(acme);
      for (const person of acme.members) await assertMirrors(person);
      assert.equal((await acme.members[0].meetings()).length, 50);
      assert.equal(acme.members.reduce((sum, person) => sum + person.requests(), 0), 0);
    });

    await t.step("257 events of six people cost three requests", () => {
      assert.deepEqual(listings(project), Array(3).fill({ organization: acme.uri }));
      return Promise.resolve();
    });

    await t.step("and so does every sync after that", async () => {
      await pass(project, "16m");
      assert.equal(project.sandbox.control.requests().count, 3);
      const [run] = await acme.owner.runs();
      assert.deepEqual([run.status, run.requests, run.unchanged, run.created], [
        "complete",
        3,
        250,
        0,
      ]);
      listings(project);
    });

    await t.step("nothing is stored of who is no user here", async () => {
      const [{ rows }] = await project.stack.sql(
        "select count(*)::integer as rows from calendly_meetings where raw::text like '%' || $1 || '%'",
        [stranger.uri],
      );
      assert.equal(rows, 0);
      assert.deepEqual(await acme.owner.meetings(), [], "the owner hosts nothing");
    });

    await t.step("and each member sees the own state, and the own meetings only", async () => {
      const [ann] = acme.members;
      const { state, by, calendly_user, last_sync } = await ann.connection();
      assert.deepEqual([state, by, calendly_user.uri], ["active", "organization", ann.host.uri]);
      assert.ok(last_sync);
      const { data } = await ann.supabase.from("calendly_meetings").select("user_id");
      assert.deepEqual(data, Array(50).fill({ user_id: ann.id }));
    });
  },

  "an event of two members has a row for each, and its invitees are read once": async (project) => {
    const acme = await organization(project, { members: 2, events: 1 });
    const { control } = project.sandbox;
    const hosts = acme.members.map(({ host }) => host.uri);
    const { uri } = control.create_event_type({
      user: hosts[0],
      hosts,
      pooling_type: "collective",
      locations: ["physical"],
    });
    const { event } = control.book({ event_type: uri });
    project.sandbox.control.clear_requests();
    await connectAll(acme);
    for (const person of acme.members) await assertMirrors(person);
    assert.ok(await acme.members[0].meeting(event.uri));
    const { by_route } = control.requests();
    assert.equal(by_route["GET /scheduled_events/*/invitees"], 3, "three events, three readings");
    control.reassign_host({ event: event.uri, from: hosts[0], to: acme.owner.host.uri });
    await pass(project, "16m");
    assert.equal((await acme.members[0].meeting(event.uri)).deleted_reason, "reassigned");
    await assertMirrors(acme.members[1]);
    await assertMirrors(acme.owner);
  },

  "a member's click": async (project, t) => {
    const acme = await organization(project, { members: 3, events: 2 });
    await connectAll(acme);
    const [ann, bob] = acme.members;
    const { control } = project.sandbox;

    await t.step("lists the member within the organization, with the owner's token", async () => {
      const { event } = control.book({ user: ann.host.uri, location: "physical" });
      const unseen = control.book({ user: bob.host.uri, location: "physical" }).event;
      acme.owner.requests();
      listings(project);
      const { body } = await ann.sync();
      assert.deepEqual([body.status, body.user_id, body.created, body.unchanged], [
        "complete",
        ann.id,
        1,
        2,
      ]);
      assert.deepEqual(listings(project), [{ user: ann.host.uri, organization: acme.uri }]);
      assert.ok(await ann.meeting(event.uri));
      assert.equal(await bob.meeting(unseen.uri), undefined, "the others' wait for theirs");
      const [run] = await ann.runs();
      assert.deepEqual([run.user_id, run.subject, run.trigger], [ann.id, ann.host.uri, "manual"]);
    });

    await t.step(
      "has a lease of its own beside the organization's and other members'",
      async () => {
        await project.advance("16m");
        const held = project.wire.hold("calendly_apply_step");
        await project.fetch("calendly-sync/nudge", { method: "POST" });
        await held.arrived; // the organization's run has begun, and is at its first page
        const answers = await Promise.all([ann.sync(), bob.sync()]);
        assert.deepEqual(answers.map(({ body }) => body.status), ["complete", "complete"]);
        const [{ status, subject }] = await acme.owner.runs();
        assert.deepEqual([status, subject], ["running", acme.uri]);
        held.release();
        await until(async () => (await acme.owner.runs())[0].status === "complete");
        for (const person of [ann, bob]) await assertMirrors(person);
      },
    );

    await t.step("of one member twice at once is one sync", async () => {
      await project.advance("1m");
      const held = project.wire.hold("calendly_apply_step");
      const first = ann.sync();
      await held.arrived;
      const { status, body: { error } } = await ann.sync();
      assert.deepEqual([status, error.code], [409, "sync_in_progress"]);
      held.release();
      assert.equal((await first).body.run_id, error.run_id);
    });

    await t.step("shares the owner's rate limit", async () => {
      await project.advance("1m");
      control.set_rate_limit({ user: acme.owner.host.uri, limit: 2 });
      assert.equal((await ann.sync()).body.status, "complete");
      assert.equal((await bob.sync()).body.status, "complete");
      const { body } = await acme.members[2].sync();
      assert.deepEqual([body.status, body.reason?.code], ["paused", "rate_limited"]);
      control.set_rate_limit({ user: acme.owner.host.uri });
      await pass(project, "16m");
      await assertMirrors(acme.members[2]);
    });

    await t.step("may not be for somebody else", async () => {
      const { status, body: { error } } = await ann.sync({ user_id: bob.id });
      assert.deepEqual([status, error.code], [403, "another_user"]);
    });
  },

  "a member with an own connection": async (project, t) => {
    const acme = await organization(project, { members: 2, events: 3 });
    const [ann, bob] = acme.members;
    await ann.connect({ sync: false });
    await ann.sync();

    await t.step("is not fetched twice", async () => {
      const versions = () =>
        project.stack.sql(
          "select id, ctid::text from calendly_meetings where user_id = $1 order by id",
          [
            ann.id,
          ],
        );
      const before = await versions();
      const { event } = project.sandbox.control.book({ user: ann.host.uri, location: "physical" });
      await project.stack.sql("update calendly_connections set next_sync_at = null");
      await connectAll(acme);
      assert.deepEqual(await versions(), before, "the organization's sync writes none of these");
      assert.equal(await ann.meeting(event.uri), undefined);
      await assertMirrors(bob);
      await ann.sync();
      await assertMirrors(ann);
    });

    await t.step("which somebody may begin later, too", async () => {
      const before = await bob.meetings();
      await bob.connect({ sync: false });
      const { body } = await bob.sync();
      assert.deepEqual([body.status, body.unchanged, body.created], ["complete", 3, 0]);
      assert.deepEqual((await bob.meetings()).map(({ id }) => id), before.map(({ id }) => id));
      const { by, scope } = await bob.connection();
      assert.deepEqual([by, scope], [undefined, "user"]);
    });

    await t.step("and its end is the end of it, until the person asks for more", async () => {
      await bob.disconnect();
      project.sandbox.control.book({ user: bob.host.uri });
      await pass(project, "16m");
      assert.equal((await bob.meetings()).length, 3);
      assert.equal((await bob.connection()).state, "disconnected");
    });
  },
});
