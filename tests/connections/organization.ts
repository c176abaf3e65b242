/** What the organization's tests share: an organization at Calendly, its connection, and time that goes by. */
import assert from "node:assert/strict";
import { day, type Person, type Project } from "../functions/support.ts";
import { member, runSchedule } from "./support.ts";

/** Plain events that every sync lists. */
export const FEW = { variety: "plain", from: day(2), to: day(30) } as const;

export interface Organization {
  uri: string;
  owner: Person;
  members: Person[];
}

let made = 0;

/** An organization with an owner and members who each have so many events; not connected. */
export async function organization(
  project: Project,
  { members, events, with_invitees }: { members: number; events: number; with_invitees?: number },
): Promise<Organization> {
  await project.stack.sql("update calendly_connections set next_sync_at = null");
  const { control } = project.sandbox;
  const { uri } = control.create_organization();
  const name = `org${++made}`;
  const owner = await member(project, uri, `${name}.owner`, "owner");
  const people: Person[] = [];
  for (let n = 0; n < members; n++) people.push(await member(project, uri, `${name}.member${n}`));
  for (const { host } of people) {
    control.populate({ ...FEW, events, with_invitees, user: host.uri });
  }
  return { uri, owner, members: people };
}

/** Connects the whole organization; the schedule has it synced. */
export async function connectAll({ owner, members }: Organization): Promise<void> {
  const { status } = await owner.connect({ scope: "organization", sync: false });
  assert.equal(status, 201);
  await pass(owner.project, "16m");
  for (const member of members) await member.readId().catch(() => {}); // One may have no event.
}

/** Time goes by, and the schedule does its work. */
export async function pass(project: Project, by: string): Promise<void> {
  await project.advance(by);
  await runSchedule(project);
}

/** The listings that Calendly was asked for since the last time: their queries but for range and page. */
export function listings(project: Project): Record<string, string>[] {
  const { requests } = project.sandbox.control.requests({ path: "/scheduled_events" });
  project.sandbox.control.clear_requests();
  return requests.map(({ query: { user, organization } }) => ({
    ...(user && { user }),
    ...(organization && { organization }),
  }));
}
