/** Connecting people, and asking the functions in their name. */
import type { Random } from "../../sandbox/random.ts";
import type { Account, Answer } from "./project.ts";
import { MINUTE, noteWhoIsKept, type Person, type Scope, signUp, type Team } from "./team.ts";

/** Most people sign up; then the owner connects the organization, or each but the last connects alone. */
export async function connectAll(team: Team, draw: Random): Promise<void> {
  const { people, scope } = team;
  for (const person of people) {
    if (!draw.chance(0.7)) continue;
    await signUp(team, person, draw.chance(0.8));
  }
  for (const person of scope === "organization" ? people.slice(0, 1) : people.slice(0, -1)) {
    const how = drawHow(person, draw);
    await succeed(team, () => connect(team, person, how));
    if (!draw.chance(0.7)) continue;
    await succeed(team, () => askFor(team, person, "POST", "calendly-connect/webhooks"));
  }
  noteWhoIsKept(team);
}

/** Who sends the token: the signed-in account, by OAuth, or a server, which may name the account. */
export type How = "token" | "consent" | "server" | "server for the account";

export function drawHow({ account }: Person, draw: Random): How {
  if (!account) return "server";
  return draw.pick(["token", "token", "consent", "server for the account"]);
}

/** The last answer. Where it is an error or lost, `connection` follows what is stored. */
export async function connect(team: Team, person: Person, how: How): Promise<Answer> {
  const scope = scopeOf(team, person);
  const choice: Record<string, string> = { scope };
  if (scope === "organization") choice.members = team.members;
  const answer = how === "consent"
    ? await connectByConsent(team, person, choice)
    : await connectByToken(team, person, how, choice);
  const stored = await storedConnection(team, person);
  if (answer.status === 201) {
    person.connection = { scope, byAccount: how !== "server" || stored?.byAccount === true };
  } else {
    person.connection = stored;
  }
  if (person.connection) person.keptId = undefined;
  return answer;
}

/** The owner connects the organization where the team is connected that way; everybody else themselves. */
function scopeOf({ scope, people }: Team, person: Person): Scope {
  return person === people[0] ? scope : "user";
}

async function connectByToken(
  { project }: Team,
  person: Person,
  how: How,
  choice: Record<string, string>,
): Promise<Answer> {
  const { token } = project.sandbox.control.create_token({ user: person.host.uri });
  const named = how === "server for the account" ? { auth_user_id: person.account!.id } : {};
  const caller = how === "token" ? person.account! : "server";
  const answer = await project.runtime.until(
    project.ask(caller, "POST", "calendly-connect", { token, ...choice, ...named }),
  );
  if (answer.status === 201) person.token = token;
  return answer;
}

async function connectByConsent(
  { project }: Team,
  person: Person,
  choice: Record<string, string>,
): Promise<Answer> {
  const ask = (path: string, body: unknown) =>
    project.runtime.until(
      project.ask(person.account!, "POST", `calendly-connect/oauth/${path}`, body),
    );
  const started = await ask("start", choice);
  if (started.status !== 200) return started;
  const consent = new URL(started.body.url);
  consent.searchParams.set("user", person.host.uri);
  consent.searchParams.set("decision", "allow");
  const approved = await project.sandbox.fetch(
    new Request(consent.origin + consent.pathname, { method: "POST", body: consent.searchParams }),
  );
  const back = new URL(approved.headers.get("location")!).searchParams;
  const answer = await ask("finish", { code: back.get("code"), state: back.get("state") });
  if (answer.status === 201) person.token = undefined;
  return answer;
}

/** undefined also where the row is that of an account that has ended, and will be erased. */
async function storedConnection(
  { project }: Team,
  { host, account }: Person,
): Promise<Person["connection"]> {
  const [stored] = await project.sql(
    `select c.scope, u.auth_user_id from public.calendly_connections c
     join public.calendly_users u on u.id = c.user_id
     where u.calendly_user_uri = $1 and c.state <> 'disconnected'
       and (u.auth_user_id is null or u.auth_user_id = $2)`,
    [host.uri, account?.id ?? null],
  );
  return stored && {
    scope: stored.scope,
    byAccount: account !== undefined && stored.auth_user_id === account.id,
  };
}

// Asking ----------------------------------------------------------------------------------------------------

/** Asks while nothing is wrong; a minute later again where a rate limit is used up. Error: no success. */
export async function succeed({ project }: Team, ask: () => Promise<Answer>): Promise<void> {
  let { status, body } = await ask();
  if (body?.error?.code === "calendly_unavailable") {
    await project.advance(MINUTE);
    ({ status, body } = await ask());
  }
  if (status < 200 || status >= 300) throw new Error(`answered ${status} ${JSON.stringify(body)}`);
}

/** Who asks in a person's name: their account if it has a row, else a server, which names the row. */
export async function callerFor(
  team: Team,
  person: Person,
): Promise<{ caller: Account | "server"; named: { user_id?: number } }> {
  const row = await rowOf(team, person);
  const { account } = person;
  if (account && row?.auth_user_id === account.id) return { caller: account, named: {} };
  return { caller: "server", named: { user_id: row?.id ?? NOBODY } };
}

/** A user_id that is nobody's. */
const NOBODY = 2 ** 31 - 1;

/** Asks in a person's name. */
export async function askFor(
  team: Team,
  person: Person,
  method: string,
  path: string,
): Promise<Answer> {
  const { project } = team;
  const { caller, named } = await callerFor(team, person);
  return await project.runtime.until(project.ask(caller, method, path, named));
}

/** A person's row of calendly_users. */
export async function rowOf(
  { project }: Team,
  { host }: Person,
): Promise<{ id: number; auth_user_id: string | null; connection_id: string | null } | undefined> {
  const [row] = await project.sql(
    "select id, auth_user_id, connection_id from public.calendly_users where calendly_user_uri = $1",
    [host.uri],
  );
  return row;
}
