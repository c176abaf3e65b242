/** For tests of the schedule: minutes that pass, and waiting for work that runs by itself. */
import assert from "node:assert/strict";
import { type Person, type Project } from "../functions/support.ts";

/** Advances both clocks by a minute and ticks, as the schedule does once a minute. */
export async function nextMinute(project: Project): Promise<void> {
  await project.advance("1m");
  await tick(project);
}

/** Runs the minutely jobs once, and sends the nudges. */
export async function tick(project: Project): Promise<void> {
  await tickBetween(project, "2026-03-02T12:00:30Z", "2026-03-02T12:01:30Z");
}

/** Runs the jobs whose time lies between two times of a day. */
export async function tickBetween(project: Project, since: string, until: string): Promise<void> {
  await project.stack.tick(new Date(since), new Date(until));
}

/** Waits until `holds` is true; fails with `what` in its message when that takes too long. */
export async function eventually(
  what: string,
  holds: () => Promise<boolean>,
  seconds = 30,
): Promise<void> {
  const end = Date.now() + seconds * 1000;
  while (!await within(5000, holds())) {
    if (Date.now() > end) assert.fail(`${what}: not after ${seconds} s`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** The answer, or false if there is none by then. */
async function within(milliseconds: number, answer: Promise<boolean>): Promise<boolean> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<false>((resolve) => {
    timer = setTimeout(() => resolve(false), milliseconds);
  });
  try {
    return await Promise.race([answer, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Waits until no connection is due or has a running run. */
export async function allSynced(project: Project, seconds?: number): Promise<void> {
  await eventually("everybody is synced", async () => await unfinished(project) === 0, seconds);
}

/** How many connections are due or have a running run. */
export async function unfinished(project: Project): Promise<number> {
  const [{ count }] = await project.stack.sql(
    `select count(*)::integer as count from public.calendly_connections c
     where c.state = 'active' and (c.next_sync_at <= calendly.now() or exists (
       select from public.calendly_sync_runs r where r.connection_id = c.id and r.status = 'running'))`,
  );
  return count;
}

/** Several people with a calendar each, connected and not yet synced. */
export async function people(project: Project, count: number, events = 0): Promise<Person[]> {
  const soon = { from: "2026-03-10T00:00:00Z", to: "2026-04-10T00:00:00Z" };
  const people: Person[] = [];
  while (people.length < count) {
    people.push(await project.person({ events, variety: "plain", ...soon }));
  }
  return people;
}

/** The number of requests to Calendly since the last call of this, and of those answered with 429. */
export function takeRequests(project: Project): { total: number; refused: number } {
  const { control } = project.sandbox;
  const total = control.requests().count;
  const refused = control.requests({ status: 429 }).count;
  control.clear_requests();
  return { total, refused };
}
