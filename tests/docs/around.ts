/** What the pages' TypeScript has around it: an app's client, signed in, and its person's Calendly. */
import { createClient, type SupabaseClient } from "@supabase/supabase-js";
import type { Database } from "../../supabase/functions/_shared/calendly/database.types.ts";

/** Requests that were refused. */
const refused: string[] = [];
const { fetch } = globalThis;
globalThis.fetch = async (...args) => {
  const response = await fetch(...args);
  if (response.status >= 400) {
    const answer = await response.clone().text();
    refused.push(`${response.url}: ${response.status} ${answer.slice(0, 300)}`);
  }
  return response;
};

export interface Around {
  supabase: SupabaseClient<Database>;
  /** Of the person's account. */
  email: string;
  password: string;
  /** A personal access token of the person's. */
  token: string;
  /** With what Calendly's consent page sends back to the app. */
  code: string;
  state: string;
  /** The browser's. */
  location: { href: string };
  /** For requests to the sandbox. */
  headers: Record<string, string>;
  /** The app's own way to show something. */
  show: (...what: unknown[]) => void;
}

const env = (name: string) => Deno.env.get(name)!;

async function control(verb: string, body: unknown) {
  const response = await fetch(`${env("SANDBOX_URL")}/_sandbox/${verb}`, {
    method: "POST",
    body: JSON.stringify(body),
  });
  if (!response.ok) throw new Error(await response.text());
  return await response.json();
}

/** Somebody with an account here, and at Calendly; connected and synced, where the block does not do that. */
async function makeAround(text: string): Promise<Around> {
  const email = `${crypto.randomUUID()}@example.com`;
  const supabase = createClient<Database>(env("URL"), env("PUBLISHABLE_KEY"), {
    auth: { persistSession: false, autoRefreshToken: false },
  });
  const password = crypto.randomUUID();
  await supabase.auth.signUp({ email, password });
  const organization = (await control("create_organization", { name: email })).uri;
  const user = await control("create_user", { name: "Ana", email, organization, role: "owner" });
  const { token } = await control("create_token", { user: user.uri });
  const around = {
    supabase,
    email,
    password,
    token,
    code: "",
    state: "",
    location: { href: "" },
    headers: { authorization: `Bearer ${token}` },
    show: () => {},
  };
  if (text.includes("code, state")) Object.assign(around, await consent(supabase, user.uri));
  else if (!/\{ token|oauth\//.test(text)) {
    await supabase.functions.invoke("calendly-connect", { body: { token, sync: false } });
    await supabase.functions.invoke("calendly-sync", { method: "POST" });
  }
  return around;
}

/** What Calendly's page sends back of a person who allows all that is asked for. */
async function consent(supabase: SupabaseClient<Database>, user: string) {
  const { data } = await supabase.functions.invoke("calendly-connect/oauth/start", { body: {} });
  const page = new URL(data.url);
  const body = new URLSearchParams(page.search);
  body.set("user", user);
  body.set("decision", "allow");
  const follow = async (url: string, init: RequestInit = {}) => {
    const response = await fetch(url, { redirect: "manual", ...init });
    await response.body?.cancel();
    return response.headers.get("location")!;
  };
  const callback = await follow(page.origin + page.pathname, { method: "POST", body });
  const back = new URL(await follow(callback));
  const { code, state } = Object.fromEntries(back.searchParams);
  return { code, state };
}

/** What went wrong; null: nothing. */
export async function runBlock(
  run: ((around: Around) => Promise<void>) & { text: string },
): Promise<string | null> {
  refused.length = 0;
  try {
    await run(await makeAround(run.text));
  } catch (error) {
    return String((error as Error)?.stack ?? error);
  }
  return refused.length === 0 ? null : refused.join("\n");
}
