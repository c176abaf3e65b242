/**
 * What holds of every meeting, whichever way the news of it came: each sentence is a test by webhooks and by
 * syncs, on the product's own SQL. Where one of the ways cannot bring a thing about, the list says why.
 */
import assert from "node:assert/strict";
import { databaseTest } from "../harness/databases.ts";
import { wanted } from "../harness/parts.ts";
import { at, canceled, hostedBy, noShow, seats, type Way, World } from "./world.ts";

type Story = (world: World) => Promise<unknown>;

/** A story for both ways, or one for each; a text says why there can be none. */
type Behaviours = Record<string, Story | Record<Way, Story | string>>;

const BEHAVIOURS: Behaviours = {
  "older never overwrites newer": async (world) => {
    const copy = (name: string, minute: number) => ({ name, updated_at: at(minute) });
    for (const [name, minute] of [["new", 2], ["old", 1]] as const) {
      const both = { event: copy(name, minute), invitee: copy(name, minute) };
      await world.tell("created", "E1", "ines", both);
      await world.pass();
    }
    assert.equal((await world.meeting("E1")).name, "new");
    assert.equal((await world.invitees("E1")).ines.name, "new");
  },

  "canceled is final": async (world) => {
    await world.tell("canceled", "E1", "ines", canceled(1));
    await world.pass();
    const alive = { updated_at: at(2) };
    await world.tell("created", "E1", "ines", { event: { ...alive, name: "new" }, invitee: alive });
    const { status, is_deleted, deleted_reason, cancellation, name } = await world.meeting("E1");
    assert.deepEqual([status, is_deleted, deleted_reason], ["canceled", true, "canceled"]);
    assert.deepEqual([cancellation.reason, name], ["ill", "new"]);
    assert.equal((await world.invitees("E1")).ines.status, "canceled");
  },

  "a duplicate changes nothing": async (world) => {
    for (const [what, copies] of [["created", {}], ["canceled", canceled(1)]] as const) {
      await world.tell(what, "E1", "ines", copies);
      const before = await world.versions();
      await world.tell(what, "E1", "ines", copies);
      assert.deepEqual(await world.versions(), before);
    }
  },

  "an unchanged event writes nothing": {
    webhook: async (world) => {
      await world.tell("created", "E1", "ines", { event: seats(2, 2) });
      const before = await world.versions();
      await world.pass();
      await world.tell("created", "E1", "jo", { event: seats(2, 2) });
      const after = await world.versions();
      assert.deepEqual(before.filter((version) => !after.includes(version)), []);
      assert.equal(after.length, before.length + 1, "the other invitee");
    },
    sync: async (world) => {
      await world.tell("created", "E1", "ines");
      const before = await world.versions();
      await world.pass();
      const { ana } = await world.sync();
      assert.deepEqual(await world.versions(), before);
      assert.equal(ana.unchanged, 1);
    },
  },

  "missing is deleted only on proof": {
    webhook: "a delivery tells what is, never what is missing",
    sync: async (world) => {
      for (const event of ["E1", "E2"]) await world.tell("created", event, "ines");
      await world.pass();
      world.unlist("E1");
      world.lose("E2");
      await world.sync();
      assert.equal((await world.meeting("E1")).is_deleted, false, "it was only not listed");
      const { is_deleted, deleted_reason } = await world.meeting("E2");
      assert.deepEqual([is_deleted, deleted_reason], [true, "gone"]);
    },
  },

  "a failed detail keeps what is known": {
    webhook: async (world) => {
      await world.tell("created", "E1", "ines");
      const before = await world.versions();
      const broken = { event: { updated_at: at(2) }, invitee: { status: "?", updated_at: at(2) } };
      const { status } = await world.tell("created", "E1", "ines", broken);
      assert.equal(status, "deferred");
      assert.deepEqual(await world.versions(), before);
    },
    sync: async (world) => {
      await world.tell("created", "E1", "ines");
      world.lock("E1");
      await world.pass();
      const { ana } = await world.tell("created", "E1", "jo", {
        event: { ...seats(2, 2), name: "new", updated_at: at(2) },
      });
      assert.deepEqual([ana.status, ana.rejected], ["complete", 1]);
      assert.equal((await world.meeting("E1")).name, "new");
      assert.deepEqual(Object.keys(await world.invitees("E1")), ["ines"]);
    },
  },

  "nothing is truncated": {
    webhook: async (world) => {
      const guests = Array.from({ length: 120 }, (_, n) => `guest${n}`);
      for (const guest of guests) {
        await world.tell("created", "E1", guest, { event: seats(120, 120, 300) });
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

  "a foreign host gets nothing": async (world) => {
    await world.tell("created", "E1", "ines", { event: hostedBy("stranger") });
    assert.deepEqual(await everybody(world, "E1"), [undefined, undefined]);
    assert.deepEqual(await world.invitees("E1"), {});
  },

  "every host who is a user has the meeting": async (world) => {
    await world.tell("created", "E1", "ines", { event: hostedBy("ana", "stranger", "ben") });
    for (const row of await everybody(world, "E1")) assert.equal(row.is_deleted, false);
  },

  "a former host keeps it as reassigned, and no older copy gives it back": async (world) => {
    const copies = (minute: number, ...hosts: string[]) => ({
      event: { ...hostedBy(...hosts), updated_at: at(minute) },
    });
    await world.tell("created", "E1", "ines", copies(1, "ana"));
    await world.pass();
    const [moved, old] = [copies(3, "ben"), copies(2, "ana")];
    // another invitee's, so that it is no duplicate
    for (const [copy, guest] of [[moved, "jo"], [old, "kim"]] as const) {
      await world.tell("created", "E1", guest, copy);
      await world.pass();
      const [ana, ben] = await everybody(world, "E1");
      assert.deepEqual([ana.is_deleted, ana.deleted_reason], [true, "reassigned"]);
      assert.equal(ben.is_deleted, false);
    }
  },

  "an older copy makes no row for a former host": async (world) => {
    await world.tell("created", "E1", "ines", { event: { ...hostedBy("ben"), updated_at: at(2) } });
    await world.pass();
    await world.tell("created", "E1", "jo", { event: { ...hostedBy("ana"), updated_at: at(1) } });
    const [ana, ben] = await everybody(world, "E1");
    assert.deepEqual([ana, ben.is_deleted], [undefined, false]);
  },

  "a group event survives one invitee's cancellation": async (world) => {
    await world.tell("created", "E1", "ines", { event: seats(1, 1) });
    await world.tell("created", "E1", "jo", { event: { ...seats(2, 2), updated_at: at(1) } });
    await world.pass();
    await world.tell("canceled", "E1", "ines", {
      event: { ...seats(2, 1), updated_at: at(2) },
      invitee: canceled(2).invitee,
    });
    const { status, is_deleted } = await world.meeting("E1");
    assert.deepEqual([status, is_deleted], ["active", false]);
    const { ines, jo } = await world.invitees("E1");
    assert.deepEqual([ines.status, jo.status], ["canceled", "active"]);
  },

  "a no-show has a clock of its own": async (world) => {
    await world.tell("created", "E1", "ines", { invitee: { updated_at: at(2) } });
    await world.pass();
    // by its updated_at it is older than what is known, and counts all the same
    const invitee = { ...noShow("2026-06-01T12:00:40.000000Z"), updated_at: at(1) };
    await world.tell("marked", "E1", "ines", { invitee });
    assert.equal((await world.invitees("E1")).ines.no_show_uri, invitee.no_show.uri);
    await world.pass();
    await world.tell("unmarked", "E1", "ines", { invitee: { updated_at: at(1) } });
    assert.equal((await world.invitees("E1")).ines.no_show_at, null);
  },

  "a reschedule is one story, whichever half is known first": async (world) => {
    const invitee = (event: string) =>
      `https://api.calendly.com/scheduled_events/${event}/invitees/ines`;
    for (const [from, to, newFirst] of [["E1", "E2", false], ["E3", "E4", true]] as const) {
      const old = canceled(1);
      const halves = [
        () =>
          world.tell("canceled", from, "ines", {
            event: old.event,
            invitee: { ...old.invitee, rescheduled: true, new_invitee: invitee(to) },
          }),
        () => world.tell("created", to, "ines", { invitee: { old_invitee: invitee(from) } }),
      ];
      for (const half of newFirst ? halves.toReversed() : halves) {
        await half();
        await world.pass();
      }
      const [before, after] = [await world.meeting(from), await world.meeting(to)];
      assert.equal(before.rescheduled_to, after.calendly_event_uri);
      assert.equal(after.rescheduled_from, before.calendly_event_uri);
      assert.deepEqual([before.is_deleted, after.is_deleted], [true, false]);
    }
  },

  "what was gone is back with the first news of it": async (world) => {
    await world.tell("created", "E1", "ines");
    await world.pass();
    world.lose("E1");
    await world.sync();
    assert.equal((await world.meeting("E1")).deleted_reason, "gone");
    await world.pass();
    const news = { updated_at: at(5) };
    await world.tell("created", "E1", "ines", { event: news, invitee: news });
    const { is_deleted, deleted_reason, deleted_at } = await world.meeting("E1");
    assert.deepEqual([is_deleted, deleted_reason, deleted_at], [false, null, null]);
  },

  "a late old copy does not bring back what is gone": {
    webhook: async (world) => {
      await world.tell("created", "E1", "ines");
      await world.pass();
      world.lose("E1");
      await world.sync();
      await world.tell("created", "E1", "jo");
      assert.equal((await world.meeting("E1")).deleted_reason, "gone");
    },
    sync: "whatever Calendly lists is there, however long ago it was touched",
  },

  "at equal times any order gives the same": {
    webhook: async (world) => {
      const names = ["Alpha", "Beta"];
      const outcomes = [];
      for (const [event, order] of [["E1", names], ["E2", names.toReversed()]] as const) {
        for (const [n, name] of order.entries()) {
          await world.tell("created", event, `guest${n}`, { event: { name, ...seats(2, 2) } });
        }
        outcomes.push((await world.meeting(event)).name);
      }
      assert.equal(outcomes[0], outcomes[1]);
    },
    sync: "its readings have an order: the later one knows more",
  },

  "one that cannot be understood holds up no other": async (world) => {
    await world.book("E1", "ines", { event: { start_time: "tomorrow" } });
    await world.tell("created", "E1", "ines", { event: { start_time: "tomorrow" } });
    await world.tell("created", "E2", "jo");
    assert.equal(await world.meeting("E1"), undefined);
    assert.equal((await world.meeting("E2")).status, "active");
    await world.tell("created", "E1", "kim");
    assert.equal((await world.meeting("E1")).status, "active", "nor itself for good");
  },

  "a conference's password is not kept": async (world) => {
    const location = { type: "zoom", join_url: "https://x", data: { id: 1, password: "s3cret" } };
    await world.tell("created", "E1", "ines", { event: { location } });
    assert.deepEqual((await world.meeting("E1")).raw.location.data, { id: 1 });
    const [{ kept }] = await world.database.query(
      "select jsonb_agg(e.payload)::text as kept from public.calendly_webhook_events e",
    );
    assert.doesNotMatch(`${kept}`, /s3cret/);
  },

  "who was forgotten stays forgotten": async (world) => {
    const known = async () =>
      JSON.stringify([
        await world.database.query("select * from public.calendly_invitees"),
        await world.database.query("select * from public.calendly_webhook_events"),
      ]);
    await world.tell("created", "E1", "ines");
    assert.match(await known(), /ines@guest/);
    await world.database.query("select public.calendly_erase_invitee('ines@guest.example.com')");
    await world.pass();
    const news = { updated_at: at(5) };
    await world.tell("created", "E1", "ines", { event: news, invitee: news });
    assert.doesNotMatch(await known(), /ines@guest/);
  },

  "a meeting of the app's own is left alone": async (world) => {
    await world.database.query(
      "insert into public.calendly_meetings (user_id, name) values (tests.id_of('ana'), 'our own')",
    );
    const own = () =>
      world.database.query("select * from public.calendly_meetings where calendly_event_uri is null");
    const before = await own();
    await world.tell("created", "E1", "ines");
    await world.tell("canceled", "E1", "ines", canceled(1));
    assert.deepEqual(await own(), before);
  },

  "a person's freshness moves with what was applied": async (world) => {
    await world.tell("created", "E1", "ines");
    const fresh = () =>
      world.database.query(
        `select u.last_calendly_sync = calendly.now() as fresh from public.calendly_users u
         where u.id = tests.id_of('ana')`,
      );
    assert.deepEqual(await fresh(), [{ fresh: true }]);
    await world.pass();
    assert.deepEqual(await fresh(), [{ fresh: false }]);
    await world.tell("canceled", "E1", "ines", canceled(1));
    assert.deepEqual(await fresh(), [{ fresh: true }]);
  },
};

for (const [way, title] of [["webhook", "By webhooks"], ["sync", "By syncs"]] as const) {
  databaseTest(title, async (database, t) => {
    await World.make(database);
    for (const sentence of wanted(Object.keys(BEHAVIOURS))) {
      const stories = BEHAVIOURS[sentence];
      const story = typeof stories === "function" ? stories : stories[way];
      if (typeof story === "string") continue;
      await t.step(sentence, async () => void await story(await World.empty(database, way)));
    }
  }, { seed: false });
}

function everybody(world: World, event: string) {
  return Promise.all(["ana", "ben"].map((name) => world.meeting(event, name)));
}
