/** Deliveries that Calendly has really sent or published as examples, where a folder of them is at hand. */
import assert from "node:assert/strict";
import { Project } from "../functions/support.ts";
import { needing } from "../harness/requirements.ts";
import { Hooks, SIGNING_KEY } from "./support.ts";

const FOLDER = `${Deno.env.get("CALENDLY_REFERENCE_DIR")}/samples`;

Deno.test({
  ...needing(
    "Calendly's own deliveries are processed when their host is a user",
    "calendlyReference",
  ),
  async fn(t) {
    const names = [...Deno.readDirSync(FOLDER)].map(({ name }) => name)
      .filter((name) => name.startsWith("webhook-")).sort();
    assert.ok(names.length >= 8, names.join(", "));
    for (const name of names) {
      await t.step(name, async () => {
        await using project = await Project.start("embedded", {
          env: { CALENDLY_WEBHOOK_SIGNING_KEY: SIGNING_KEY },
        });
        await send(new Hooks(project), await Deno.readTextFile(`${FOLDER}/${name}`));
      });
    }
  },
});

async function send(hooks: Hooks, text: string): Promise<void> {
  const { event, payload } = JSON.parse(text);
  const person = await hooks.project.person();
  if (!event.startsWith("invitee")) {
    assert.deepEqual((await hooks.send(text)).body, { status: "ignored" });
    return;
  }
  const [host] = payload.scheduled_event.event_memberships;
  assert.equal((await hooks.send(text)).body.status, host.user ? "ignored" : "deferred");
  await hooks.project.stack.sql("delete from public.calendly_webhook_events");

  // the same when the host is kept, by the Calendly user or by nothing but the e-mail at Calendly
  await hooks.project.stack.sql(
    host.user
      ? "update calendly_users set calendly_user_uri = $1 where id = $2"
      : "update calendly_users set email = $1 where id = $2",
    [host.user ?? host.user_email, person.id],
  );
  assert.deepEqual((await hooks.send(text)).body, { status: "processed" });
  assert.deepEqual((await hooks.send(text)).body, { status: "duplicate" });

  const [meeting] = await person.meetings();
  assert.equal(meeting.calendly_event_uri, payload.scheduled_event.uri);
  assert.equal(meeting.name, payload.scheduled_event.name);
  assert.ok(!JSON.stringify([meeting, await hooks.events()]).includes('"password"'));
  const [invitee] = await person.invitees();
  assert.deepEqual(
    [invitee.uri, invitee.email, invitee.status, invitee.no_show_uri],
    [payload.uri, payload.email, payload.status, payload.no_show?.uri ?? null],
  );
}
