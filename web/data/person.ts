/** The signed-in person: Auth, and PostgREST, functions and live updates with that person's rights only. */
import { signal } from "@preact/signals";
import { type AuthError, GoTrueClient, type Session } from "@supabase/auth-js";
import { FunctionsClient } from "@supabase/functions-js";
import { PostgrestClient } from "@supabase/postgrest-js";
import type { Database } from "../../supabase/functions/_shared/calendly/database.types.ts";
import { theConfig } from "./config.ts";
import { Problem, toProblem, unreachable } from "./problem.ts";

export type Account =
  | { state: "loading" }
  | { state: "signed_out" }
  | { state: "signed_in"; id: string; email: string };

/** Who is signed in, in all tabs of this browser. */
export const account = signal<Account>({ state: "loading" });

let client: GoTrueClient | undefined;

/** Auth of the project. Needs the config. */
export function auth(): GoTrueClient {
  if (client) return client;
  const { url, publishable_key } = theConfig();
  client = new GoTrueClient({
    url: `${url}/auth/v1`,
    headers: { apikey: publishable_key, authorization: `Bearer ${publishable_key}` },
    storageKey: `calendly-console.auth.${new URL(url).host}`,
    // `?code=` in the address is Calendly's consent, none of Auth's.
    detectSessionInUrl: false,
    flowType: "pkce",
  });
  client.onAuthStateChange((_event, session) => take(session));
  client.getSession().then(({ data }) => take(data.session), () => take(null));
  return client;
}

function take(session: Session | null): void {
  const before = account.peek();
  if (!session) {
    if (before.state !== "signed_out") account.value = { state: "signed_out" };
    return;
  }
  const { id, email = "" } = session.user;
  if (before.state === "signed_in" && before.id === id && before.email === email) return;
  account.value = { state: "signed_in", id, email };
}

/** Throws a `Problem`. */
export async function signIn(email: string, password: string): Promise<void> {
  const { error } = await auth().signInWithPassword({ email, password });
  if (error) throw fromAuth(error);
}

/** False where the e-mail has to be confirmed first. Throws a `Problem`. */
export async function signUp(email: string, password: string): Promise<boolean> {
  const { data, error } = await auth().signUp({ email, password });
  if (error) throw fromAuth(error);
  return data.session !== null;
}

/** Signs out of this browser, whether or not Auth answers. */
export async function signOut(): Promise<void> {
  await auth().signOut({ scope: "local" });
}

function fromAuth(error: AuthError): Problem {
  if (error.name === "AuthRetryableFetchError") return unreachable("Auth");
  return new Problem(
    error.code ?? "auth_failed",
    error.message,
    HINTS[error.code ?? ""],
    {},
    error.status,
  );
}

const HINTS: Record<string, string> = {
  invalid_credentials: "Check both, or make an account.",
  email_not_confirmed: "Open the link in the e-mail that was sent to you, then sign in.",
  user_already_exists: "Sign in instead.",
};

/** The access token, renewed where it is about to expire; the publishable key where nobody is signed in. */
export async function accessToken(): Promise<string> {
  const { data } = await auth().getSession();
  return data.session?.access_token ?? theConfig().publishable_key;
}

/** `fetch` with the person's rights. What would be asked in the moment of signing out is not asked. */
async function personFetch(input: RequestInfo | URL, init?: RequestInit): Promise<Response> {
  const { data } = await auth().getSession();
  if (!data.session) throw new Problem("signed_out", "You are signed out.", "Sign in again.");
  const headers = new Headers(init?.headers);
  headers.set("apikey", theConfig().publishable_key);
  headers.set("authorization", `Bearer ${data.session.access_token}`);
  return await fetch(input, { ...init, headers });
}

let rest: PostgrestClient<Database> | undefined;

/** PostgREST as the person: `rows(person().from("calendly_meetings").select())` with `rows` of operator.ts. */
export function person(): PostgrestClient<Database> {
  return rest ??= new PostgrestClient<Database>(`${theConfig().url}/rest/v1`, {
    fetch: personFetch,
  });
}

/** Whether the function that takes Calendly's deliveries answers: this call of it reads nothing. */
export async function functionsAnswer(): Promise<boolean> {
  try {
    return (await fetch(`${theConfig().url}/functions/v1/calendly-webhook/test`)).ok;
  } catch {
    return false;
  }
}

/** A function's answer, as the person: `callAsPerson("calendly-connect", {method: "GET"})`. Throws a `Problem`. */
export async function callAsPerson<T>(
  path: string,
  { method = "POST", body }: { method?: "GET" | "POST" | "DELETE"; body?: unknown } = {},
): Promise<T> {
  const functions = new FunctionsClient(`${theConfig().url}/functions/v1`, {
    customFetch: personFetch,
  });
  const { data, error } = await functions.invoke(path, {
    method,
    body: body as Record<string, unknown> | undefined,
  });
  if (error) throw await toProblem(error);
  return data as T;
}
