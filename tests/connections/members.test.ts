/** Who of an organization is which of our users, and how members, and owners, come and go. */
import assert from "node:assert/strict";
import { assertMirrors } from "../functions/mirror.ts";
import { day, projectTests } from "../functions/support.ts";
import { connectAll, FEW, listings, organization, pass } from "./organization.ts";
import { connectByOAuth, member, proveEmail, tokenRequests } from "./support.ts";

projectTests("Members of an organization", {
  "who is who": async (project, t) => {
    const acme = await organization(project, { members: 2, events: 2 });
    const [ann, mallory] = acme.members;
    const { control } = project.sandbox;
    // Mallory signs up here with the e-mail of a colleague, and does not own its mailbox
    const victim = control.create_user({ email: "victim@example.com", organization: acme.uri });
    control.populate({ ...FEW, events: 2, user: victim.uri });
    // The local Auth confirms an e-mail at sign-up, without a mail: as where confirmation is off.
    const account = await project.stack.createUser({ email: "victim@example.com" });
    const claimed = () =>
      project.stack.sql(
        `select m.calendly_event_uri
         from calendly_meetings m join calendly_users u on u.id = m.user_id
         where u.auth_user_id = $1`,
        [account.auth_user_id],
      );

    await t.step(
      "an e-mail that was confirmed without a mail claims nobody's meetings",
      async () => {
        await connectAll(acme);
        assert.deepEqual(await claimed(), []);
        await assertMirrors(ann);
      },
    );

    await t.step("nor does a changed one, or one in users", async () => {
      const statements = [
        "update public.calendly_users set email = 'victim@example.com' where id = $1",
        "update auth.users set email = 'victim2@example.com', email_confirmed_at = null, email_change = 'victim@example.com' where id = (select auth_user_id from public.calendly_users where id = $1)",
      ];
      const before = await mallory.meetings();
      for (const statement of statements) {
        await project.stack.sql(statement, [mallory.id]);
        await pass(project, "16m");
        assert.deepEqual(
          (await mallory.meetings()).map((row) => row.calendly_event_uri),
          before.map((row) => row.calendly_event_uri),
        );
      }
    });

    await t.step("an e-mail that is proven claims the meetings of its owner", async () => {
      await proveEmail(project, account);
      await pass(project, "16m");
      assert.equal((await claimed()).length, 2);
    });

    await t.step("and from then on the Calendly user counts, not the e-mail", async () => {
      const other = control.create_user({
        email: "other.mail@example.com",
        organization: acme.uri,
      });
      control.populate({ ...FEW, events: 1, user: other.uri });
      // another Calendly user comes by the e-mail of ann, who has changed hers
      for (const { event } of project.sandbox.truth().scheduled_events) {
        const rename = (uri: string, email: string) =>
          event.event_memberships.map((host) =>
            host.user === uri ? { ...host, user_email: email } : host
          );
        const hosts = event.event_memberships.map(({ user }) => user);
        if (hosts.includes(other.uri)) {
          control.override({
            uri: event.uri,
            fields: { event_memberships: rename(other.uri, ann.host.email) },
          });
        } else if (hosts.includes(ann.host.uri)) {
          control.override({
            uri: event.uri,
            fields: { event_memberships: rename(ann.host.uri, "ann.new@example.com") },
          });
        }
      }
      await pass(project, "16m");
      assert.equal((await ann.meetings()).filter(({ is_deleted }) => !is_deleted).length, 2);
    });
  },

  "members join and leave": async (project, t) => {
    const acme = await organization(project, { members: 1, events: 2 });
    await connectAll(acme);
    const [ann] = acme.members;
    const { control } = project.sandbox;

    await t.step("who joins is in the next listing, from the beginning", async () => {
      const bob = await member(project, acme.uri, "joiner");
      control.populate({
        events: 2,
        variety: "plain",
        from: day(-600),
        to: day(-590),
        user: bob.host.uri,
      });
      control.populate({ ...FEW, events: 2, user: bob.host.uri });
      await pass(project, "16m");
      await assertMirrors(bob);
      assert.equal((await bob.meetings()).length, 4);
      assert.equal((await bob.row()).calendly_initial_sync_complete, true);
    });

    await t.step(
      "who leaves keeps the meetings, and gets no more by the organization",
      async () => {
        control.leave({ user: ann.host.uri });
        const own = control.create_event_type({ user: ann.host.uri, locations: ["physical"] });
        control.book({ event_type: own.uri });
        await pass(project, "16m");
        assert.equal((await ann.meetings()).length, 2);
        assert.equal((await acme.owner.connection()).last_error, null);
      },
    );

    await t.step("and is told so by a click", async () => {
      const { status, body: { error } } = await ann.sync();
      assert.deepEqual([status, error.code], [424, "calendly_refused"]);
      assert.equal((await ann.connection()).state, "disconnected");
      assert.equal((await ann.sync()).body.error.code, "not_connected");
      assert.equal(
        (await acme.owner.connection()).state,
        "active",
        "that is no fault of the token",
      );
    });

    await t.step("and may connect alone", async () => {
      await ann.connect({ sync: false });
      await ann.sync();
      await assertMirrors(ann);
    });
  },

  "the owner": async (project, t) => {
    const acme = await organization(project, { members: 1, events: 2 });
    const [ann] = acme.members;
    const { control } = project.sandbox;

    await t.step("may connect it by OAuth; one token serves everybody", async () => {
      await connectByOAuth(acme.owner, { scope: "organization" });
      await pass(project, "16m");
      await assertMirrors(ann);
      await project.advance("3h");
      const before = tokenRequests(project);
      assert.equal((await ann.sync()).body.status, "complete");
      assert.equal((await acme.owner.sync()).body.status, "complete");
      assert.equal(tokenRequests(project), before + 1);
    });

    await t.step("who is one no more is told that owners and admins only may", async () => {
      control.join({ user: acme.owner.host.uri, organization: acme.uri, role: "user" });
      await pass(project, "16m");
      const { last_error } = await acme.owner.connection();
      assert.equal(last_error.code, "calendly_refused");
      assert.match(last_error.hint, /owners and admins/);
      assert.equal((await ann.meetings()).length, 2, "nothing is lost");
    });

    await t.step("takes the members along when going back to the own meetings", async () => {
      await acme.owner.connect({ scope: "user", sync: false });
      assert.equal((await ann.connection()).state, "disconnected");
      assert.equal((await ann.meetings()).length, 2);
      listings(project);
      await acme.owner.sync();
      assert.deepEqual(listings(project), [{ user: acme.owner.host.uri }]);
    });
  },
});
