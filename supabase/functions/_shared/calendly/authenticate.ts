/** Who is calling: a signed-in person by a JWT, or a server by a secret key. Nothing else is believed. */
import { extractCredentials, verifyCredentials } from "@supabase/server/core";
import { createClient } from "@supabase/supabase-js";
import { decodeJwt, decodeProtectedHeader } from "jose";
import { publishableKey, secretKeys, supabaseUrl } from "./environment.ts";
import { ApiError } from "./errors.ts";

export type Caller = { kind: "user"; authUserId: string } | { kind: "server" };

/** Errors: not_authenticated, invalid_jwt, invalid_key, auth_unavailable. */
export async function authenticate(request: Request): Promise<Caller> {
  const { token, apikey } = extractCredentials(request);
  // A person's request carries the publishable key as well; a server sends its key in either place.
  if (token && isUserToken(token)) return { kind: "user", authUserId: await verifyUser(token) };
  const key = token ?? apikey;
  if (!key) {
    throw new ApiError(
      "not_authenticated",
      "Nobody is signed in.",
      "Send a user's JWT as Authorization: Bearer …, or a secret key as apikey.",
    );
  }
  const { error } = await verifyCredentials({ token: null, apikey: key }, {
    auth: "secret:*",
    env: { url: supabaseUrl(), secretKeys: secretKeys() },
  });
  if (error) {
    throw new ApiError(
      "invalid_key",
      "This key may not do that.",
      "Sign in and send the user's JWT, or use a secret key on a server.",
    );
  }
  return { kind: "server" };
}

/** The signed-in person's account. Errors: as authenticate, and another_user for a secret key. */
export async function authenticateUser(request: Request): Promise<string> {
  const caller = await authenticate(request);
  if (caller.kind !== "user") {
    throw new ApiError(
      "not_authenticated",
      "This is for a signed-in person.",
      "Send a user's JWT as Authorization: Bearer ….",
    );
  }
  return caller.authUserId;
}

function isUserToken(token: string): boolean {
  if (token.startsWith("sb_")) return false;
  try {
    return decodeJwt(token).role !== "service_role" && decodeJwt(token).role !== "anon";
  } catch {
    return token.split(".").length === 3;
  }
}

/** As long as a key set is waited for where JWTs have asymmetric signatures. */
const TIMEOUT = 5_000;

async function verifyUser(token: string): Promise<string> {
  const invalid = (reason: string) =>
    new ApiError(
      "invalid_jwt",
      `The JWT is not valid: ${reason}`,
      "Sign in again and send the new access token.",
    );
  let symmetric: boolean;
  try {
    const header = decodeProtectedHeader(token);
    symmetric = !header.kid || header.alg?.startsWith("HS") === true;
  } catch {
    throw invalid("it is malformed.");
  }
  if (symmetric) {
    // Signed with the project's shared secret, which only the Auth server has.
    const client = createClient(supabaseUrl(), publishableKey() ?? "", {
      auth: { persistSession: false, autoRefreshToken: false },
      global: {
        fetch: (input, init) => fetch(input, { ...init, signal: AbortSignal.timeout(TIMEOUT) }),
      },
    });
    const { data, error } = await client.auth.getUser(token);
    if (data?.user) return data.user.id;
    if (error && (!error.status || error.status === 429 || error.status >= 500)) {
      throw new ApiError(
        "auth_unavailable",
        "The Auth server does not answer.",
        "Try again in a moment.",
      );
    }
    throw invalid(error?.message ?? "unknown user.");
  }
  const { data, error } = await verifyCredentials({ token, apikey: null }, { auth: "user" });
  if (error && error.status >= 500) {
    throw new ApiError(
      "auth_unavailable",
      "The Auth server's keys cannot be read.",
      "Try again in a moment.",
    );
  }
  if (error) throw invalid(error.message);
  if (data.userClaims?.role !== "authenticated") throw invalid("it is not a signed-in person's.");
  return data.userClaims.id;
}
