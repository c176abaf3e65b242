/**
 * What holds for every meeting, whether webhooks or syncs bring the news of it: each sentence is a test of
 * both ways, on the product's own SQL. Where one of the ways cannot bring a case about, the list says why.
 */
import assert from "node:assert/strict";
import { databaseTest } from "../harness/databases.ts";
import { wanted } from "../harness/parts.ts";
import { at, canceled, hostedBy, noShow, seats, type Way, World } from "./world.ts";

type Behaviour = (world: World) => Promise<unknown>;

/** The same for both ways, or one for each; a text says why there can be none. */
const BEHAVIOURS: Record<string, Behaviour | Record<Way, Behaviour | string>> = {
  "an older snapshot does not overwrite a newer one": async (world) => {
    const named = (name: string, minute: number) => ({ name, updated_at: at(minute) });
    for (const [name, minute] of [["new", 2], ["old", 1]] as const) {
      const both = { event: named(name, minute), invitee: named(name, minute) };
      await world.bring("created", "E1", "ines", both);
      await world.wait();
    }
    assert.equal((await world.meeting("E1")).name, "new");
    assert.equal((await world.invitees("E1")).ines.name, "new");
  },

  "a canceled meeting stays canceled": async (world) => {
    await world.bring("canceled", "E1", "ines", canceled(1));
    await world.wait();
    const active = { updated_at: at(2) };
    await world.bring("created", "E1", "ines", {
      event: { ...active, name: "new" },
      invitee: active,
    });
    const { status, is_deleted, deleted_reason, cancellation, name } = await world.meeting("E1");
    assert.deepEqual([status, is_deleted, deleted_reason], ["canceled", true, "canceled"]);
    assert.deepEqual([cancellation.reason, name], ["ill", "new"]);
    assert.equal((await world.invitees("E1")).ines.status, "canceled");
  },

  "a snapshot that comes twice changes nothing": async (world) => {
    for (const [change, snapshots] of [["created", {}], ["canceled", canceled(1)]] as const) {
      await world.bring(change, "E1", "ines", snapshots);
      const before = await world.versions();
      await world.bring(change, "E1", "ines", snapshots);
      assert.deepEqual(await world.versions(), before);
    }
  },

  "an unchanged event writes nothing": {
    webhook: async (world) => {
      await world.bring("created", "E1", "ines", { event: seats(2, 2) });
      const before = await world.versions();
      await world.wait();
      await world.bring("created", "E1", "jo", { event: seats(2, 2) });
      const after = await world.versions();
      assert.deepEqual(before.filter((version) => !after.includes(version)), []);
      assert.equal(after.length, before.length + 1, "the other invitee");
    },
    sync: async (world) => {
      await world.bring("created", "E1", "ines");
      const before = await world.versions();
      await world.wait();
      const { ana } = await world.sync();
      assert.deepEqual(await world.versions(), before);
      assert.equal(ana.unchanged, 1);
    },
  },

  "a missing meeting is deleted only once its event is proven to be gone": {
    webhook: "no delivery says that an event is missing",
    sync: async (world) => {
      for (const event of ["E1", "E2"]) await world.bring("created", event, "ines");
      await world.wait();
      world.unlist("E1");
      world.remove("E2");
      await world.sync();
      assert.equal((await world.meeting("E1")).is_deleted, false, "it was only not listed");
      const { is_deleted, deleted_reason } = await world.meeting("E2");
      assert.deepEqual([is_deleted, deleted_reason], [true, "gone"]);
    },
  },

  "a failed request for details does not erase the stored ones": {
    webhook: async (world) => {
      await world.bring("created", "E1", "ines");
      const before = await world.versions();
      const broken = { event: { updated_at: at(2) }, invitee: { status: "?", updated_at: at(2) } };
      const { status } = await world.bring("created", "E1", "ines", broken);
      assert.equal(status, "deferred");
      assert.deepEqual(await world.versions(), before);
    },
    sync: async (world) => {
      await world.bring("created", "E1", "ines");
      world.refuseInvitees("E1");
      await world.wait();
      const { ana } = await world.bring("created", "E1", "jo", {
        event: { ...seats(2, 2), name: "new", updated_at: at(2) },
      });
      assert.deepEqual([ana.status, ana.rejected], ["complete", 1]);
      assert.equal((await world.meeting("E1")).name, "new");
      assert.deepEqual(Object.keys(await world.invitees("E1")), ["ines"]);
    },
  },

  "all events and all invitees are stored, however many there are": {
    webhook: async (world) => {
      const guests = Array.from({ length: 120 }, (_, n) => `guest${n}`);
      for (const guest of guests) {
        await world.bring("created", "E1", guest, { event: seats(120, 120, 300) });
      }
      assert.equal(Object.keys(await world.invitees("E1")).length, 120);
    },
    sync: async (world) => {
      const guests = Array.from({ length: 250 }, (_, n) => `guest${n}`);
      for (const guest of guests) await world.book("E0", guest, { event: seats(250, 250, 300) });
      for (let n = 1; n < 120; n++) await world.book(`E${n}`, "ines");
      const { ana } = await world.sync({ pageSize: 7 });
      assert.deepEqual([ana.status, ana.created], ["complete", 120]);
      assert.equal(Object.keys(await world.invitees("E0")).length, 250);
    },
  },

  "a host who is not kept gets no meeting": async (world) => {
    await world.bring("created", "E1", "ines", { event: hostedBy("stranger") });
    assert.deepEqual(await everybody(world, "E1"), [undefined, undefined]);
    assert.deepEqual(await world.invitees("E1"), {});
  },

  "a kept host without an account gets the meeting": async (world) => {
    await world.bring("created", "E1", "ines", { event: hostedBy("cleo") });
    assert.equal((await world.meeting("E1", "cleo")).status, "active");
    const [cleo] = await world.database.query(
      "select auth_user_id from public.calendly_users where id = tests.id_of('cleo')",
    );
    assert.equal(cleo.auth_user_id, null);
  },

  "a host whose connection has ended gets no more news": {
    webhook: async (world) => {
      await world.bring("created", "E1", "ines");
      await world.database.query("select tests.disconnect('ana')");
      await world.wait();
      const news = { updated_at: at(5), name: "new" };
      const { status } = await world.bring("created", "E1", "ines", { event: news, invitee: news });
      assert.equal(status, "ignored");
      assert.equal((await world.meeting("E1")).name, "Intro call");
    },
    sync: "without a connection there is no sync",
  },

  "every kept host gets the meeting": async (world) => {
    await world.bring("created", "E1", "ines", { event: hostedBy("ana", "stranger", "ben") });
    for (const row of await everybody(world, "E1")) assert.equal(row.is_deleted, false);
  },

  "a former host's meeting stays reassigned when an older snapshot comes": async (world) => {
    const hostedAt = (minute: number, ...hosts: string[]) => ({
      event: { ...hostedBy(...hosts), updated_at: at(minute) },
    });
    await world.bring("created", "E1", "ines", hostedAt(1, "ana"));
    await world.wait();
    const [moved, old] = [hostedAt(3, "ben"), hostedAt(2, "ana")];
    // another invitee's, so that it is no duplicate
    for (const [snapshots, guest] of [[moved, "jo"], [old, "kim"]] as const) {
      await world.bring("created", "E1", guest, snapshots);
      await world.wait();
      const [ana, ben] = await everybody(world, "E1");
      assert.deepEqual([ana.is_deleted, ana.deleted_reason], [true, "reassigned"]);
      assert.equal(ben.is_deleted, false);
    }
  },

  "an older snapshot makes no meeting for a former host": async (world) => {
    await world.bring("created", "E1", "ines", {
      event: { ...hostedBy("ben"), updated_at: at(2) },
    });
    await world.wait();
    await world.bring("created", "E1", "jo", { event: { ...hostedBy("ana"), updated_at: at(1) } });
    const [ana, ben] = await everybody(world, "E1");
    assert.deepEqual([ana, ben.is_deleted], [undefined, false]);
  },

  "a canceled invitee does not cancel a group event": async (world) => {
    await world.bring("created", "E1", "ines", { event: seats(1, 1) });
    await world.bring("created", "E1", "jo", { event: { ...seats(2, 2), updated_at: at(1) } });
    await world.wait();
    await world.bring("canceled", "E1", "ines", {
      event: { ...seats(2, 1), updated_at: at(2) },
      invitee: canceled(2).invitee,
    });
    const { status, is_deleted } = await world.meeting("E1");
    assert.deepEqual([status, is_deleted], ["active", false]);
    const { ines, jo } = await world.invitees("E1");
    assert.deepEqual([ines.status, jo.status], ["canceled", "active"]);
  },

  "a no-show counts although updated_at has not moved": async (world) => {
    await world.bring("created", "E1", "ines", { invitee: { updated_at: at(2) } });
    await world.wait();
    // its updated_at is older than the stored one
    const invitee = { ...noShow("2026-06-01T12:00:40.000000Z"), updated_at: at(1) };
    await world.bring("marked", "E1", "ines", { invitee });
    assert.equal((await world.invitees("E1")).ines.no_show_uri, invitee.no_show.uri);
    await world.wait();
    await world.bring("unmarked", "E1", "ines", { invitee: { updated_at: at(1) } });
    assert.equal((await world.invitees("E1")).ines.no_show_at, null);
  },

  "the two meetings of a reschedule are linked, whichever comes first": async (world) => {
    const invitee = (event: string) =>
      `https://api.calendly.com/scheduled_events/${event}/invitees/ines`;
    for (const [from, to, newFirst] of [["E1", "E2", false], ["E3", "E4", true]] as const) {
      const old = canceled(1);
      const halves = [
        () =>
          world.bring("canceled", from, "ines", {
            event: old.event,
            invitee: { ...old.invitee, rescheduled: true, new_invitee: invitee(to) },
          }),
        () => world.bring("created", to, "ines", { invitee: { old_invitee: invitee(from) } }),
      ];
      for (const half of newFirst ? halves.toReversed() : halves) {
        await half();
        await world.wait();
      }
      const [before, after] = [await world.meeting(from), await world.meeting(to)];
      assert.equal(before.rescheduled_to, after.calendly_event_uri);
      assert.equal(after.rescheduled_from, before.calendly_event_uri);
      assert.deepEqual([before.is_deleted, after.is_deleted], [true, false]);
    }
  },

  "a newer snapshot restores a meeting that was gone": async (world) => {
    await world.bring("created", "E1", "ines");
    await world.wait();
    world.remove("E1");
    await world.sync();
    assert.equal((await world.meeting("E1")).deleted_reason, "gone");
    await world.wait();
    const news = { updated_at: at(5) };
    await world.bring("created", "E1", "ines", { event: news, invitee: news });
    const { is_deleted, deleted_reason, deleted_at } = await world.meeting("E1");
    assert.deepEqual([is_deleted, deleted_reason, deleted_at], [false, null, null]);
  },

  "an older snapshot does not restore a meeting that is gone": {
    webhook: async (world) => {
      await world.bring("created", "E1", "ines");
      await world.wait();
      world.remove("E1");
      await world.sync();
      await world.bring("created", "E1", "jo");
      assert.equal((await world.meeting("E1")).deleted_reason, "gone");
    },
    sync: "what Calendly lists is there, however old its snapshot is",
  },

  "snapshots of equal time give the same meeting in any order": {
    webhook: async (world) => {
      const names = ["Alpha", "Beta"];
      const outcomes = [];
      for (const [event, order] of [["E1", names], ["E2", names.toReversed()]] as const) {
        for (const [n, name] of order.entries()) {
          await world.bring("created", event, `guest${n}`, { event: { name, ...seats(2, 2) } });
        }
        outcomes.push((await world.meeting(event)).name);
      }
      assert.equal(outcomes[0], outcomes[1]);
    },
    sync: "the API is read in order, so the later snapshot knows more",
  },

  "an event that cannot be used does not stop the others": async (world) => {
    await world.book("E1", "ines", { event: { start_time: "tomorrow" } });
    await world.bring("created", "E1", "ines", { event: { start_time: "tomorrow" } });
    await world.bring("created", "E2", "jo");
    assert.equal(await world.meeting("E1"), undefined);
    assert.equal((await world.meeting("E2")).status, "active");
    await world.bring("created", "E1", "kim");
    assert.equal((await world.meeting("E1")).status, "active", "and can be used later");
  },

  "a conference's password is not stored": async (world) => {
    const location = { type: "zoom", join_url: "https://x", data: { id: 1, password: "s3cret" } };
    await world.bring("created", "E1", "ines", { event: { location } });
    assert.deepEqual((await world.meeting("E1")).raw.location.data, { id: 1 });
    const [{ stored }] = await world.database.query(
      "select jsonb_agg(e.payload)::text as stored from public.calendly_webhook_events e",
    );
    assert.doesNotMatch(`${stored}`, /s3cret/);
  },

  "an erased invitee is not stored again": async (world) => {
    const stored = async () =>
      JSON.stringify([
        await world.database.query("select * from public.calendly_invitees"),
        await world.database.query("select * from public.calendly_webhook_events"),
      ]);
    await world.bring("created", "E1", "ines");
    assert.match(await stored(), /ines@guest/);
    await world.database.query("select public.calendly_erase_invitee('ines@guest.example.com')");
    await world.wait();
    const news = { updated_at: at(5) };
    await world.bring("created", "E1", "ines", { event: news, invitee: news });
    assert.doesNotMatch(await stored(), /ines@guest/);
  },

  "a meeting that the app has added is not changed": async (world) => {
    await world.database.query(
      "insert into public.calendly_meetings (user_id, name) values (tests.id_of('ana'), 'our own')",
    );
    const own = () =>
      world.database.query(
        "select * from public.calendly_meetings where calendly_event_uri is null",
      );
    const before = await own();
    await world.bring("created", "E1", "ines");
    await world.bring("canceled", "E1", "ines", canceled(1));
    assert.deepEqual(await own(), before);
  },

  "last_calendly_sync moves when something is applied": async (world) => {
    await world.bring("created", "E1", "ines");
    const isFresh = () =>
      world.database.query(
        `select u.last_calendly_sync = calendly.now() as fresh from public.calendly_users u
         where u.id = tests.id_of('ana')`,
      );
    assert.deepEqual(await isFresh(), [{ fresh: true }]);
    await world.wait();
    assert.deepEqual(await isFresh(), [{ fresh: false }]);
    await world.bring("canceled", "E1", "ines", canceled(1));
    assert.deepEqual(await isFresh(), [{ fresh: true }]);
  },
};

for (const [way, title] of [["webhook", "By webhooks"], ["sync", "By syncs"]] as const) {
  databaseTest(title, async (database, t) => {
    await World.make(database);
    for (const sentence of wanted(Object.keys(BEHAVIOURS))) {
      const behaviour = BEHAVIOURS[sentence];
      const test = typeof behaviour === "function" ? behaviour : behaviour[way];
      if (typeof test === "string") continue;
      await t.step(sentence, async () => void await test(await World.empty(database, way)));
    }
  }, { seed: false });
}

function everybody(world: World, event: string) {
  return Promise.all(["ana", "ben"].map((name) => world.meeting(event, name)));
}
