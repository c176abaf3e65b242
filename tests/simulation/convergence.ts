/**
 * After the operations of a seed: nothing goes wrong any more, the schedule runs for nine days, and then
 * what is stored must be what Calendly has. What the rules say cannot be seen is excepted by name, and
 * counted.
 */
import type { Random } from "../../sandbox/random.ts";
import { compare, type Difference, type Divergence } from "./comparison.ts";
import { connect, drawHow, succeed } from "./connecting.ts";
import { checkOrganization, checkProject, checkRow, checkSyncs } from "./guarantees.ts";
import { dueDeliveries } from "./operations.ts";
import {
  coHosts,
  DAY,
  hasLeft,
  HOUR,
  isBanned,
  isSynced,
  liftBan,
  MINUTE,
  noteWhoIsKept,
  type Person,
  signUp,
  type Team,
} from "./team.ts";

export interface Verdict {
  divergences: Divergence[];
  exceptions: Record<string, number>;
}

/**
 * Long enough for a weekly FULL sync, for the last look for no-shows a week after a meeting, and for what
 * either of them leaves to the next sync.
 */
const SPANS = [2 * MINUTE, 16 * MINUTE, 7 * HOUR, DAY, 8 * DAY, 7 * HOUR];
const MOST_TICKS = 20;

/**
 * Faults end, what is still to come comes or is lost, some people come back, and time passes. Returns since
 * when nothing went wrong.
 */
export async function settle(team: Team, draw: Random): Promise<string> {
  const { project } = team;
  const { control } = project.sandbox;
  control.clear_faults();
  project.losses = [];
  project.crash = undefined;
  project.skew = 0;
  await project.setDatabaseClock();
  const isLost = draw.chance(0.4);
  for (const id of draw.shuffle(dueDeliveries(project))) {
    const options = isLost ? { drop: true } : { duplicate: draw.chance(0.3) };
    await project.runtime.until(control.deliver([id], options));
  }
  const since = project.sandbox.truth().now;
  for (const person of team.people) await comeBack(team, person, draw);
  noteWhoIsKept(team);
  for (const span of SPANS) {
    await project.advance(span);
    await reconnectAll(team);
    await project.runtime.until(control.deliver("due"));
    for (let ticks = 0; await project.tick() > 0; ticks++) {
      if (ticks > MOST_TICKS) throw new Error("the schedule comes to no end");
      await project.advance(MINUTE);
    }
  }
  return since;
}

/** Bans are lifted, people sign up again, and connect again. Not all of them. */
async function comeBack(team: Team, person: Person, draw: Random): Promise<void> {
  if (isBanned(team, person) && draw.chance(0.5)) await liftBan(team, person);
  if (!person.account && draw.chance(0.3)) await signUp(team, person, true);
  if (isBanned(team, person) || person.connection || hasLeft(team, person)) return;
  if (!draw.chance(0.5)) return;
  await team.project.advance(MINUTE);
  const how = drawHow(person, draw);
  await succeed(team, () => connect(team, person, how));
}

/** Does what a connection's state asks of its person, unless their account has just ended. */
async function reconnectAll(team: Team): Promise<void> {
  for (const person of team.people.filter(({ connection }) => connection)) {
    const [connection] = await team.project.sql(
      `select c.state from public.calendly_connections c
       where c.calendly_user_uri = $1`,
      [person.host.uri],
    );
    if (connection?.state !== "reconnect_required" || isBanned(team, person)) continue;
    const how = person.connection!.byAccount ? "token" : "server";
    await succeed(team, () => connect(team, person, how));
  }
}

/** Compares everything with the sandbox, and what was spent since then with the rules. */
export async function check(team: Team, since: string): Promise<Verdict> {
  const verdict: Verdict = { divergences: [], exceptions: {} };
  const report = (divergence: Divergence) => verdict.divergences.push(divergence);
  const except = (name: string) => verdict.exceptions[name] = (verdict.exceptions[name] ?? 0) + 1;

  for (const person of [...team.people, ...coHosts(team)]) {
    const found = await differences(team, person);
    for (const { exception, ...divergence } of found) {
      if (exception) except(exception);
      else report(divergence);
    }
    await checkRow(team, person, report);
    if (team.people.includes(person)) await checkSyncs(team, person, found, report);
  }
  await checkOrganization(team, report);
  await checkProject(team, since, report);
  return verdict;
}

/** Of somebody who is not synced any more, the stored meetings may differ in any way. */
async function differences(team: Team, person: Person): Promise<Difference[]> {
  return isSynced(team, person) ? await compare(team, person) : [];
}
