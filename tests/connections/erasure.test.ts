/** A person who is erased here stays erased, though Calendly goes on telling of them. */
import assert from "node:assert/strict";
import { createClient } from "@supabase/supabase-js";
import { day, everythingStored, type Project, projectTest } from "../functions/support.ts";

const JANE = {
  name: "Jane Unforgettable",
  email: "jane@unforgettable.example",
  text_reminder_number: "+351 912 345 678",
  questions_and_answers: [{ question: "Phone?", answer: "+351 912 345 678", position: 0 }],
};
const OF_JANE = /unforgettable|912 345 678/i;

/** Erases as an operator does, with a secret key. */
async function forget(project: Project, email: string) {
  const { url, secretKey } = project.stack;
  const { data, error } = await createClient(url, secretKey, { auth: { persistSession: false } })
    .rpc("calendly_erase_invitee", { email });
  assert.equal(error, null);
  return data;
}

async function assertForgotten(project: Project): Promise<void> {
  assert.doesNotMatch(await everythingStored(project), OF_JANE);
}

projectTest("a person who is erased stays erased", async (project, t) => {
  const { control } = project.sandbox;
  const person = await project.person();
  await person.invoke("calendly-connect/webhooks", "POST");
  const user = person.host.uri;
  const group = control.create_event_type({
    user,
    kind: "group",
    seats: 5,
    locations: ["physical"],
  });
  const booked = control.book({ event_type: group.uri, invitee: JANE, start_time: day(3) });
  control.book({ event: booked.event.uri, invitee: { name: "Ida", email: "ida@example.com" } });
  const canceled = control.book({ user, location: "physical", invitee: JANE, start_time: day(4) });
  control.cancel({ invitee: canceled.invitee.uri, by: "invitee", reason: "912 345 678 rang" });
  control.book({ user, location: "physical", guests: [JANE.email], start_time: day(5) });
  control.book({ user, location: "physical", invitee: JANE, start_time: day(-5) });
  const late = control.book({ user, location: "physical", invitee: JANE, start_time: day(6) });
  const waiting = control.deliveries().at(-1)!;
  await control.deliver(control.deliveries().slice(0, 4).map(({ id }) => id));
  await person.sync();
  assert.match(await everythingStored(project), OF_JANE);

  await t.step("from everything that is stored", async () => {
    const counts = await forget(project, "JANE@unforgettable.example");
    assert.deepEqual(counts, { invitees: 4, meetings: 2, webhook_events: 3 });
    await assertForgotten(project);
  });

  await t.step("and the meetings and the seats are still there", async () => {
    assert.equal((await person.meetings()).length, 5);
    const invitees = await person.invitees();
    assert.deepEqual(
      invitees.filter((row) => row.calendly_event_uri === booked.event.uri).map(({ email }) =>
        email
      )
        .sort(),
      ["ida@example.com", null],
    );
    assert.equal((await person.meeting(canceled.event.uri)).deleted_reason, "canceled");
  });

  const returns: [string, () => Promise<unknown>][] = [
    ["the next sync", () => person.sync()],
    ["a FULL sync that rereads everything", () => person.sync({ full: true })],
    ["a late delivery", () => control.deliver([waiting.id])],
    ["every delivery again", () => control.deliver("all", { duplicate: true })],
    [
      "a replay by hand",
      () =>
        project.stack.sql("select calendly_replay_webhook_event(id) from calendly_webhook_events"),
    ],
    ["news of the old booking", () => {
      control.mark_no_show({ invitee: late.invitee.uri });
      control.reschedule({ invitee: booked.invitee.uri, start_time: day(8) });
      return control.deliver();
    }],
    ["a new booking", () => {
      control.book({
        user,
        location: "physical",
        invitee: { ...JANE, email: "Jane@Unforgettable.example" },
      });
      return control.deliver();
    }],
    ["a first sync from the beginning", async () => {
      await person.disconnect({ erase: true });
      await person.connect({ sync: false });
      await person.sync();
    }],
  ];
  for (const [what, comeBack] of returns) {
    await t.step(`does not come back by ${what}`, async () => {
      await project.advance("2m");
      await comeBack();
      await assertForgotten(project);
      assert.equal((await person.sync()).body.status, "complete");
      await assertForgotten(project);
    });
  }

  await t.step("while all others are as they were", async () => {
    const emails = (await person.invitees()).map(({ email }) => email).filter((email) => email);
    assert.ok(emails.includes("ida@example.com"));
    assert.equal((await person.meetings()).length, 7);
  });

  await t.step("which nobody may do with less than a secret key", async () => {
    const { error } = await person.supabase.rpc("calendly_erase_invitee", {
      email: "ida@example.com",
    });
    assert.equal(error?.code, "42501");
  });
});
