/**
 * The keys of a local project, which its data depends on: made once and kept beside the database (tokens
 * are encrypted with one of them, sessions are signed with another), or made anew for one in memory.
 */
import { generateApiKey } from "@supabase/lite";
import { SignJWT } from "jose";

export interface Keys {
  /** For apps, `sb_publishable_…`: the role anon. */
  publishableKey: string;
  /** For servers, `sb_secret_…`: the role service_role. */
  secretKey: string;
  /** Signs the users' JWTs (HS256). */
  jwtSecret: string;
  /** Encrypts the Calendly tokens: the functions' CALENDLY_TOKEN_KEY. */
  calendlyTokenKey: string;
  /** Signs webhook deliveries: the functions' CALENDLY_WEBHOOK_SIGNING_KEY. */
  calendlyWebhookSigningKey: string;
}

export async function makeKeys(): Promise<Keys> {
  return {
    publishableKey: (await generateApiKey("publishable")).key,
    secretKey: (await generateApiKey("secret")).key,
    jwtSecret: randomKey(),
    calendlyTokenKey: randomKey(),
    calendlyWebhookSigningKey: randomKey(),
  };
}

/** The keys in `file`, which is made, readable by its owner only, when it is not there. */
export async function keepKeys(file: string): Promise<Keys> {
  try {
    return JSON.parse(await Deno.readTextFile(file));
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  const keys = await makeKeys();
  await Deno.writeTextFile(file, JSON.stringify(keys, null, 2) + "\n", { mode: 0o600 });
  return keys;
}

/**
 * A user's JWT as Auth makes it, for tests: `sub` is the auth user's id; `expires` is a time in seconds
 * since the epoch, or a span such as "1h" or "-1m".
 */
export function signUserJwt(
  keys: Keys,
  claims: { sub: string; email?: string; role?: string; expires?: string | number },
): Promise<string> {
  const { sub, email, role = "authenticated", expires = "1h" } = claims;
  return new SignJWT({ email, role, aal: "aal1", is_anonymous: false })
    .setProtectedHeader({ alg: "HS256", typ: "JWT" })
    .setSubject(sub)
    .setAudience("authenticated")
    .setIssuedAt()
    .setExpirationTime(expires)
    .sign(new TextEncoder().encode(keys.jwtSecret));
}

/** 256 random bits in base64url. */
function randomKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(32));
  return btoa(String.fromCharCode(...bytes))
    .replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}
