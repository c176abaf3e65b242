/**
 * What the connections' tests share: the way to Calendly's consent page and back, members of one
 * organization, and what Calendly has been asked for and still has.
 */
import assert from "node:assert/strict";
import { hkdfSync } from "node:crypto";
import { Functions } from "../../local/functions.ts";
import type { Account } from "../../local/stack.ts";
import type { Role, WebhookSubscription } from "../../sandbox/mod.ts";
import { type Answer, day, Person, type Project, until } from "../functions/support.ts";

/** Encrypts the tokens where a test has to know with what: CALENDLY_TOKEN_KEY. */
export const TOKEN_KEY = "the key that encrypts the tokens";

/** As many meetings as a test needs that is about something else. */
export const FEW = { events: 3, variety: "plain", from: day(2), to: day(9) } as const;

/** What a sync and its webhooks ask for. */
export const SCOPES = [
  "users:read",
  "organizations:read",
  "event_types:read",
  "scheduled_events:read",
  "webhooks:write",
];

/** What a person decides on the consent page. */
export interface Consent {
  /** Who signs in at Calendly (URI). */
  user: string;
  /** What is allowed; all that is asked for unless given. */
  scopes?: string[];
  decision?: "allow" | "deny";
}

/** Goes from the consent page back to the app: the page of the app where the browser ends. */
export async function consent(
  project: Project,
  url: string,
  { user, scopes, decision = "allow" }: Consent,
): Promise<URL> {
  const page = new URL(url);
  const form = new URLSearchParams(page.search);
  form.set("user", user);
  form.set("decision", decision);
  if (scopes) form.set("scope", scopes.join(" "));
  const decided = await fetch(page.origin + page.pathname, {
    method: "POST",
    body: form,
    redirect: "manual",
  });
  await decided.body?.cancel();
  if (decided.status !== 302) throw new Error(`the consent page answers ${decided.status}`);
  const callback = new URL(decided.headers.get("location")!);
  const back = await callBack(project, callback.search);
  return new URL(back.headers.get("location")!);
}

/** What a browser gets that Calendly has sent to the callback. */
export async function callBack(
  project: Project,
  search: string,
  headers: Record<string, string> = {},
): Promise<Response> {
  const path = `/functions/v1/calendly-connect/oauth/callback${search}`;
  const response = await fetch(project.stack.url + path, { redirect: "manual", headers });
  if (response.status === 302) await response.body?.cancel();
  return response;
}

/** Sets out for Calendly's consent page; its address. */
export async function start(
  person: Person,
  choice: { scope?: "user" | "organization"; replace?: boolean } = {},
): Promise<string> {
  const { status, body } = await person.invoke("calendly-connect/oauth/start", "POST", choice);
  if (status !== 200) throw new Error(JSON.stringify(body));
  return body.url;
}

export async function finish(
  person: Person,
  back: URL,
  body: { sync?: boolean } = { sync: false },
): Promise<Answer> {
  const { code, state } = Object.fromEntries(back.searchParams);
  const answer = await person.invoke("calendly-connect/oauth/finish", "POST", {
    code,
    state,
    ...body,
  });
  if (answer.status < 300) await person.readId();
  return answer;
}

/** The whole way by OAuth, as this person's Calendly user unless told otherwise. */
export async function connectByOAuth(
  person: Person,
  { scope, replace, sync = false, ...decision }:
    & { scope?: "user" | "organization"; replace?: boolean; sync?: boolean }
    & Partial<Consent> = {},
): Promise<Answer> {
  const url = await start(person, { scope, replace });
  const back = await consent(person.project, url, { user: person.host.uri, ...decision });
  return await finish(person, back, { sync });
}

/** Somebody who has connected by OAuth and is synced; of all, the only one that the schedule syncs. */
export async function connected(project: Project): Promise<Person> {
  await project.stack.sql("update calendly_connections set next_sync_at = null");
  const person = await project.person({ ...FEW, connected: false });
  assert.equal((await connectByOAuth(person)).status, 201);
  assert.equal((await person.sync()).body.status, "complete");
  return person;
}

/** Somebody with an account here and a Calendly user in that organization; not connected. */
export async function member(
  project: Project,
  organization: string,
  name: string,
  role: Role = "user",
): Promise<Person> {
  const email = `${name}@example.com`;
  const host = project.sandbox.control.create_user({ name, email, organization, role });
  const { token } = project.sandbox.control.create_token({ user: host.uri });
  const account = await project.stack.createUser({ email });
  await proveEmail(project, account);
  return new Person(project, account, host, token);
}

/** The account has followed the mail that was sent to it: the local Auth confirms without one. */
export async function proveEmail(project: Project, account: Account): Promise<void> {
  await project.stack.sql(
    "update auth.users set confirmation_sent_at = email_confirmed_at where id = $1",
    [account.auth_user_id],
  );
}

/** How many token requests Calendly has had. */
export function tokenRequests(project: Project): number {
  return project.sandbox.control.requests({ path: "/oauth/token" }).count;
}

/** Does Calendly's authorization server still accept this token? */
export async function isLive(project: Project, token: string): Promise<boolean> {
  const { client_id, client_secret } = project.sandbox.demo.app;
  const response = await project.sandbox.fetch(
    new Request("https://auth.calendly.com/oauth/introspect", {
      method: "POST",
      body: new URLSearchParams({ token, client_id, client_secret }),
    }),
  );
  return (await response.json()).active;
}

/** A pair of tokens as Calendly gives them out. */
export interface Pair {
  access_token: string;
  refresh_token: string;
}

/** Looks over Calendly's shoulder: the pairs that it has given out, in order. */
export function watchTokens(project: Project): { given: Pair[] } & Disposable {
  const given: Pair[] = [];
  const { fetch } = project.sandbox;
  project.sandbox.fetch = async (request) => {
    const response = await fetch(request);
    if (new URL(request.url).pathname === "/oauth/token" && response.ok) {
      given.push(await response.clone().json());
    }
    return response;
  };
  return { given, [Symbol.dispose]: () => void (project.sandbox.fetch = fetch) };
}

/** The subscriptions that Calendly has for a person's own events, or made by the person. */
export function subscriptionsOf(person: Person): WebhookSubscription[] {
  return person.project.sandbox.truth().webhook_subscriptions
    .filter(({ user, creator }) => user === person.host.uri || creator === person.host.uri);
}

/** The key of a subscription of ours: by HKDF from the one secret and the id, so that none is stored. */
export function derivedKey(secret: string, callbackUrl: string): string {
  const id = callbackUrl.slice(callbackUrl.lastIndexOf("/") + 1);
  return new Uint8Array(hkdfSync("sha256", secret, "", `calendly webhook ${id}`, 32)).toHex();
}

/** Has the schedule do what is due by now: syncs, then what has to be ended at Calendly. */
export async function runSchedule(project: Project): Promise<void> {
  const asked = () =>
    project.wire.calls.filter((call) => call === "calendly_claim_revocation").length;
  const askedBefore = asked();
  const idleBefore = project.wire.idleClaims;
  // after 30 attempts one is given up, not tried again
  const [{ pending_revocations }] = await project.stack.sql(
    `select count(*)::integer as pending_revocations from calendly.pending_revocations
     where next_try_at <= calendly.now() and attempts < 30`,
  );
  // where there are any: one question for each, and one that is answered with: nothing left
  const enough = askedBefore + pending_revocations + 1;
  // A function that ends a connection may take its revocation before the schedule does: then the nudge
  // after a while of quiet finds nothing, too.
  const idle = pending_revocations > 0 ? 2 : 1;
  const isDone = () =>
    (pending_revocations > 0 && asked() >= enough) ||
    project.wire.idleClaims >= idleBefore + idle;
  const { calls } = project.wire;
  let before = -1;
  let quiet = 0;
  await until(async () => {
    if (isDone()) return true;
    quiet = calls.length === before ? quiet + 1 : 0;
    // While two earlier loops are at work a nudge starts nothing: the next tick repeats it. Not while
    // something goes on, because a second loop would end before the first one.
    if (before < 0 || quiet === 100) {
      quiet = 0; // its own call may be among the calls before they are counted again
      const { status } = await project.fetch("calendly-sync/nudge", { method: "POST" });
      if (status !== 202) throw new Error(`the nudge is answered with ${status}`);
    }
    before = calls.length;
    return false;
  });
}

/** More instances of calendly-sync, each in a process of its own, on the same project. */
export function moreInstances(project: Project, count: number): Instances {
  const { stack, wire, sandbox, environment } = project;
  const named = (key: string) => JSON.stringify({ default: key });
  return new Instances(Array.from({ length: count }, () =>
    new Functions({
      deno: Deno.env.get("FUNCTIONS_DENO"),
      environment: () => ({
        SUPABASE_URL: wire.url,
        SUPABASE_PUBLISHABLE_KEYS: named(stack.publishableKey),
        SUPABASE_SECRET_KEYS: named(stack.secretKey),
        CALENDLY_API_URL: stack.calendlyUrl,
        CALENDLY_AUTH_URL: stack.calendlyUrl,
        CALENDLY_CLIENT_ID: sandbox.demo.app.client_id,
        CALENDLY_CLIENT_SECRET: sandbox.demo.app.client_secret,
        ...environment,
      }),
    })));
}

class Instances implements AsyncDisposable {
  constructor(readonly all: Functions[]) {}

  /** Presses the button, as answered by one of them. */
  async sync(instance: number, person: Person): Promise<Answer> {
    const functions = this.all[instance % this.all.length];
    const response = await functions.fetch(
      "calendly-sync",
      new Request(`${person.project.stack.url}/functions/v1/calendly-sync`, {
        method: "POST",
        headers: { authorization: `Bearer ${person.account.access_token}` },
      }),
    );
    return { status: response.status, body: await response.json() };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.all.map((functions) => functions.stop()));
  }
}
