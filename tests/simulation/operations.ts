/**
 * What a seed does to its team. Operations are data, and each draws its details from a number of its own
 * among what there is at that moment: any subset of them can be run, which is how a failing seed is shrunk.
 */
import { SandboxError } from "../../sandbox/mod.ts";
import { Random } from "../../sandbox/random.ts";
import {
  banAccount,
  connectLater,
  createAccount,
  deleteAccount,
  unbanAccount,
} from "./accounts.ts";
import {
  book,
  cancelEvent,
  cancelSeat,
  edit,
  eraseEvent,
  eraseInvitee,
  join,
  leave,
  markNoShow,
  reassign,
  reschedule,
  undoNoShow,
} from "./bookings.ts";
import { callerFor } from "./connecting.ts";
import {
  calendlyFails,
  changeBetweenPages,
  clocksDiffer,
  databaseFails,
  deleteSubscription,
  revokeToken,
  workerCrashes,
} from "./faults.ts";
import type { Project } from "./project.ts";
import { DAY, HOUR, MINUTE, noteWhoIsKept, type Team } from "./team.ts";

export interface Operation {
  do: string;
  seed: number;
}

/** False: there was nothing to do it to. */
type Run = (team: Team, draw: Random) => unknown | Promise<unknown>;

/** How often each is drawn, relative to the others, and what it does. */
const OPERATIONS: Record<string, { weight: number; run: Run }> = {
  // At Calendly
  book: { weight: 14, run: book },
  join: { weight: 6, run: join },
  cancel_seat: { weight: 7, run: cancelSeat },
  cancel_event: { weight: 3, run: cancelEvent },
  reschedule: { weight: 6, run: reschedule },
  mark_no_show: { weight: 6, run: markNoShow },
  undo_no_show: { weight: 3, run: undoNoShow },
  reassign: { weight: 4, run: reassign },
  edit: { weight: 4, run: edit },
  erase_event: { weight: 2, run: eraseEvent },
  erase_invitee: { weight: 1, run: eraseInvitee },
  leave: { weight: 1, run: leave },
  // Accounts and connections
  create_account: { weight: 3, run: createAccount },
  connect: { weight: 4, run: connectLater },
  delete_account: { weight: 4, run: deleteAccount },
  ban_account: { weight: 4, run: banAccount },
  unban_account: { weight: 4, run: unbanAccount },
  // Time and syncs
  pass_time: { weight: 14, run: passTime },
  click: { weight: 9, run: click },
  deliver: { weight: 14, run: deliver },
  // Faults
  calendly_fails: { weight: 8, run: calendlyFails },
  change_between_pages: { weight: 2, run: changeBetweenPages },
  database_fails: { weight: 5, run: databaseFails },
  worker_crashes: { weight: 6, run: workerCrashes },
  clocks_differ: { weight: 1, run: clocksDiffer },
  revoke_token: { weight: 1, run: revokeToken },
  delete_subscription: { weight: 1, run: deleteSubscription },
};

/** The names of all kinds of operations. */
export function allOperations(): string[] {
  return Object.keys(OPERATIONS);
}

/** The operations of a seed, in their order. */
export function operationsOf(seed: number): Operation[] {
  const random = new Random(seed);
  const names = Object.entries(OPERATIONS)
    .flatMap(([name, { weight }]) => Array(weight).fill(name));
  return Array.from({ length: random.int(8, 36) }, () => ({
    do: random.pick(names),
    seed: random.int(0, 2 ** 31),
  }));
}

/** Whether it did anything. */
export async function run(team: Team, operation: Operation): Promise<boolean> {
  try {
    return await OPERATIONS[operation.do].run(team, new Random(operation.seed)) !== false;
  } catch (error) {
    // A seat that is taken, a token that is revoked already: Calendly's own rules.
    if (!(error instanceof SandboxError)) throw error;
    return false;
  } finally {
    noteWhoIsKept(team);
  }
}

// Time and syncs --------------------------------------------------------------------------------

async function passTime(team: Team, draw: Random) {
  const seconds = draw.pick([
    1,
    20,
    MINUTE,
    15 * MINUTE,
    15 * MINUTE,
    HOUR,
    6 * HOUR,
    DAY,
    2 * DAY,
  ]);
  await team.project.advance(seconds + draw.int(0, 59));
  const ticks = draw.int(0, 2);
  for (let tick = 0; tick < ticks; tick++) {
    const nudgesLost = draw.chance(0.2);
    if (nudgesLost) team.project.count("nudges lost");
    await team.project.tick({ nudgesLost });
  }
}

async function click(team: Team, draw: Random) {
  const { project } = team;
  const clicks = [];
  for (let left = draw.pick([1, 1, 1, 2]); left > 0; left--) {
    const { caller, named } = await callerFor(team, draw.pick(team.people));
    clicks.push({ caller, body: { ...named, ...draw.chance(0.15) ? { full: true } : {} } });
  }
  await project.runtime.until(
    Promise.all(
      clicks.map(({ caller, body }) => project.ask(caller, "POST", "calendly-sync", body)),
    ),
  );
}

/** Some of the due deliveries come, late or twice, in any order, several at once; some are lost. */
async function deliver(team: Team, draw: Random) {
  const { project } = team;
  const { control } = project.sandbox;
  const due = draw.shuffle(dueDeliveries(project));
  if (due.length === 0) return false;
  while (due.length > 0) {
    const together = due.splice(0, draw.int(1, 3)).map((id) => {
      if (draw.chance(0.15)) return Promise.resolve([]); // Later.
      const drop = draw.chance(0.12);
      const duplicate = draw.chance(0.2);
      if (drop) project.count("webhook lost");
      else if (duplicate) project.count("webhook twice");
      return control.deliver([id], { drop, duplicate });
    });
    await project.runtime.until(Promise.all(together));
  }
}

export function dueDeliveries({ sandbox }: Project): string[] {
  const { now } = sandbox.truth();
  return sandbox.control.deliveries()
    .filter(({ state, next_attempt_at }) => state === "pending" && next_attempt_at! <= now)
    .map(({ id }) => id);
}
