/** Debian's Chromium, and contexts in it: what a browser of somebody is like before its first page. */
import { type Browser, type BrowserContext, chromium } from "playwright-core";
import { createClient } from "@supabase/supabase-js";
import type { Account, Stack } from "../../local/stack.ts";
import { CHROMIUM, REQUIREMENTS } from "../harness/requirements.ts";

export const VIEWPORTS = {
  phone: { width: 390, height: 844 },
  tablet: { width: 820, height: 1180 },
  desktop: { width: 1280, height: 800 },
} as const;

/** A foreign name that DNS leads to this machine. */
export const REBOUND = "rebound.test";

export interface ContextOptions {
  /** Light unless told otherwise. */
  theme?: "light" | "dark";
  /** Desktop unless told otherwise. */
  viewport?: keyof typeof VIEWPORTS | { width: number; height: number };
  /** Who is signed in from the beginning: nobody unless told otherwise. */
  as?: Account & { email?: string } | "demo";
  /** The zone of this browser: UTC unless told otherwise. */
  timezone?: string;
}

export async function launchChromium(): Promise<Browser> {
  if (CHROMIUM === undefined) throw new Error(`No Chromium: ${REQUIREMENTS.chromium.how}`);
  return await chromium.launch({
    executablePath: CHROMIUM,
    args: [
      "--disable-quic",
      // Nothing beyond this machine has an address, and one name leads here that must not.
      `--host-resolver-rules=MAP ${REBOUND} 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost`,
    ],
  });
}

/** A browser of its own, with its own cookies, storage and cache. */
export async function newContext(
  browser: Browser,
  stack: Stack,
  { theme = "light", viewport = "desktop", timezone = "UTC", as }: ContextOptions,
): Promise<BrowserContext> {
  return await browser.newContext({
    colorScheme: theme,
    viewport: typeof viewport === "string" ? VIEWPORTS[viewport] : viewport,
    hasTouch: viewport === "phone",
    locale: "en-GB",
    timezoneId: timezone,
    // A picture and a check of contrast must not depend on how far an animation has come.
    reducedMotion: "reduce",
    storageState: { cookies: [], origins: await signedIn(stack, as) },
  });
}

/** The browser's storage after a sign-in, as auth-js keeps it. */
async function signedIn(stack: Stack, as: ContextOptions["as"]) {
  if (as === undefined) return [];
  const session = as === "demo" ? await demoSession(stack) : sessionOf(as);
  const name = `calendly-console.auth.${new URL(stack.url).host}`;
  return [{ origin: stack.url, localStorage: [{ name, value: JSON.stringify(session) }] }];
}

function sessionOf({ access_token, auth_user_id, email }: Account & { email?: string }) {
  return {
    access_token,
    refresh_token: "not-used-before-the-hour-is-over",
    token_type: "bearer",
    expires_in: 3600,
    expires_at: Math.floor(Date.now() / 1000) + 3600,
    user: {
      id: auth_user_id,
      aud: "authenticated",
      role: "authenticated",
      email,
      app_metadata: {},
      user_metadata: {},
      created_at: new Date().toISOString(),
    },
  };
}

async function demoSession({ url, publishableKey, demoUser }: Stack) {
  const { auth } = createClient(url, publishableKey, { auth: { persistSession: false } });
  const { data, error } = await auth.signInWithPassword(demoUser);
  if (error) throw error;
  return data.session;
}
