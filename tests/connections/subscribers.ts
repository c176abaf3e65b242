/** What tests of subscriptions share: somebody whose webhooks are on, and whether they still come. */
import assert from "node:assert/strict";
import { time } from "../functions/mirror.ts";
import { day, idOf, type Person, type Project } from "../functions/support.ts";
import { FEW, subscriptionsOf } from "./support.ts";

/** Somebody synced, whose webhooks are on; of all, the only one that the schedule syncs. */
export async function subscribed(project: Project): Promise<Person> {
  await project.stack.sql("update calendly_connections set next_sync_at = null");
  const person = await project.person(FEW);
  await person.invoke("calendly-connect/webhooks", "POST");
  await person.sync();
  return person;
}

/** A request to Calendly with the person's own token. */
export async function ask(person: Person, method: string, path: string, body?: unknown) {
  const response = await person.project.sandbox.fetch(
    new Request(`https://api.calendly.com${path}`, {
      method,
      headers: { authorization: `Bearer ${person.token}` },
      body: body === undefined ? null : JSON.stringify(body),
    }),
  );
  if (!response.ok) throw new Error(await response.text());
}

/** Ends the subscription at Calendly, behind our back. */
export async function remove(person: Person): Promise<void> {
  const [{ uri }] = subscriptionsOf(person);
  await ask(person, "DELETE", `/webhook_subscriptions/${idOf(uri)}`);
}

/** Fails unless one living subscription is at our address, and brings what is booked. */
export async function assertDelivers(person: Person): Promise<void> {
  const { sandbox, wire } = person.project;
  const [subscription, ...more] = subscriptionsOf(person);
  assert.deepEqual([subscription?.state, more], ["active", []]);
  assert.ok(subscription.callback_url.startsWith(`${wire.url}/functions/v1/calendly-webhook/`));
  const { event } = sandbox.control.book({ user: person.host.uri, location: "physical" });
  const sent = await sandbox.control.deliver();
  assert.deepEqual(sent.map(({ attempts }) => attempts.at(-1)!.status), [200]);
  assert.equal((await person.meeting(event.uri)).synced_via_webhook, true);
  assert.deepEqual((await person.connection()).webhooks, { state: "active", enabled: true });
}

/** The schedule's runs at this moment: one that finds the loss, and at once one that fills the gap. */
export async function scheduled(person: Person): Promise<string[]> {
  const runs = await person.runs();
  return runs.filter(({ trigger, started_at }) =>
    trigger === "scheduled" && time(started_at) === person.project.now
  ).map(({ sync_type, status }) => `${sync_type} ${status}`).sort();
}

/** Everything that happens to a calendar, some of it where only a FULL sync looks. */
export function liveOn(person: Person, from: number): void {
  const { control } = person.project.sandbox;
  const user = person.host.uri;
  const book = (days: number) =>
    control.book({
      user,
      location: "physical",
      start_time: day(from + days),
      end_time: day(from + days + 1 / 48),
    });
  book(1);
  book(300);
  control.cancel({ event: book(2).event.uri });
  control.reschedule({ invitee: book(3).invitee.uri, start_time: day(from + 4) });
  control.reschedule({ invitee: book(5).invitee.uri, start_time: day(from + 290) });
  control.mark_no_show({ invitee: book(6).invitee.uri });
}
