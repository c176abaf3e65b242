/** Operations on accounts and connections: people sign up, connect, are banned, leave and come back. */
import type { Random } from "../../sandbox/random.ts";
import { askFor, connect, drawHow, rowOf } from "./connecting.ts";
import {
  ban,
  DAY,
  hasLeft,
  HOUR,
  isBanned,
  keeperOf,
  liftBan,
  type Person,
  signUp,
  type Team,
} from "./team.ts";

const FOR_EVER = 100 * 365 * DAY;

export async function createAccount(team: Team, draw: Random) {
  const person = pickPerson(team, draw, ({ account }) => !account);
  if (!person) return false;
  await signUp(team, person, draw.chance(0.75));
}

/** Somebody connects who is not connected, or whose connection a server has made. */
export async function connectLater(team: Team, draw: Random) {
  const person = pickPerson(
    team,
    draw,
    (person) => !isBanned(team, person) && !person.connection?.byAccount && !hasLeft(team, person),
  );
  if (!person) return false;
  const before = await rowOf(team, person);
  const { status, body } = await connect(team, person, drawHow(person, draw));
  if (status !== 201) return false;
  const isTheirs = before && [null, person.account?.id].includes(before.auth_user_id);
  if (isTheirs && body.user_id !== before.id) {
    throw new Error(`${person.email} had the row ${before.id} and got the row ${body.user_id}`);
  }
  if (draw.chance(0.5)) await askFor(team, person, "POST", "calendly-connect/webhooks");
}

export async function deleteAccount(team: Team, draw: Random) {
  const person = pickPerson(team, draw, ({ account }) => account !== undefined);
  if (!person) return false;
  const account = person.account!;
  const row = await rowOf(team, person);
  await team.project.deleteAccount(account, { softly: draw.chance(0.5) });
  Object.assign(person, { account: undefined, bans: [] });
  if (row?.auth_user_id !== account.id) return;
  const isKept = team.members === "everyone" && !person.connection && row.connection_id !== null;
  person.keptId = isKept && keeperOf(team, person) ? row.id : undefined;
  if (isKept) return;
  if (person.connection?.scope === "organization") {
    // Whoever's end is noticed after the owner's is kept by nobody.
    for (const other of team.people) other.keptId = undefined;
  }
  person.connection = undefined;
  person.mayBeStored = false;
}

/** Somebody whose row belongs to their account: a ban concerns nobody else. */
export async function banAccount(team: Team, draw: Random) {
  const rows = new Map<Person, string | null | undefined>();
  for (const person of team.people) rows.set(person, (await rowOf(team, person))?.auth_user_id);
  const person = pickPerson(
    team,
    draw,
    (person) => person.account?.id === (rows.get(person) ?? "nobody's") && !isBanned(team, person),
  );
  if (!person) return false;
  await ban(team, person, team.project.now + draw.pick([HOUR, DAY, FOR_EVER]) * 1000);
}

export async function unbanAccount(team: Team, draw: Random) {
  const person = pickPerson(team, draw, (person) => isBanned(team, person));
  if (!person) return false;
  await liftBan(team, person);
}

function pickPerson(
  { people }: Team,
  draw: Random,
  fits: (person: Person) => boolean,
): Person | undefined {
  const fitting = people.filter(fits);
  return fitting.length === 0 ? undefined : draw.pick(fitting);
}
