/**
 * Who is calling: a signed-in person by a JWT, or a server by a secret key. Nothing else in a request says
 * who somebody is.
 */
import {
  createLocalJWKSet,
  createRemoteJWKSet,
  decodeJwt,
  decodeProtectedHeader,
  errors,
  jwtVerify,
  type JWTVerifyGetKey,
} from "jose";
import { z } from "zod";
import { publishableKey, secretKeys, setting } from "./environment.ts";
import { ApiError } from "./errors.ts";

export type Caller = { kind: "user"; authUserId: string } | { kind: "server" };

/** Errors: not_authenticated, invalid_jwt, invalid_key, auth_unavailable. */
export async function authenticate(request: Request): Promise<Caller> {
  const token = bearerToken(request);
  // A person's request carries the publishable key as well; a server sends its key in either header.
  if (token && isUserToken(token)) return { kind: "user", authUserId: await verifyUser(token) };
  const key = token ?? request.headers.get("apikey");
  if (!key) {
    throw new ApiError(
      "not_authenticated",
      "Nobody is signed in.",
      "Send a user's JWT as Authorization: Bearer …, or a secret key as apikey.",
    );
  }
  if (!await isSecretKey(key)) {
    throw new ApiError(
      "invalid_key",
      "This key may not do that.",
      "Sign in and send the user's JWT, or use a secret key on a server.",
    );
  }
  return { kind: "server" };
}

/** The signed-in person's account. Errors: as authenticate; not_authenticated for a secret key. */
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

/** Whether a server calls, with a secret key. Anybody else is not asked who they are. */
export async function isServer(request: Request): Promise<boolean> {
  const token = bearerToken(request);
  if (token && isUserToken(token)) return false;
  const key = token ?? request.headers.get("apikey");
  return key !== null && await isSecretKey(key);
}

/** Error: not_authenticated. */
export async function authenticateServer(request: Request): Promise<void> {
  if (await isServer(request)) return;
  throw new ApiError("not_authenticated", "This is for servers.", "Send a secret key as apikey.");
}

function bearerToken(request: Request): string | undefined {
  return request.headers.get("authorization")?.match(/^Bearer +(.+)$/i)?.[1];
}

/** Names a person by the key of calendly_users or by their account: see calendly.requested_user. */
export interface NamedUser {
  user_id?: number;
  auth_user_id?: string;
}

/**
 * Whom a request is about: the signed-in person, or whoever a server names. Where a person names a
 * user_id, Postgres compares it with their account. Errors: user_id_required, another_user.
 */
export function requestedUser(caller: Caller, { user_id, auth_user_id }: NamedUser): NamedUser {
  if (caller.kind === "user") {
    return { user_id, auth_user_id: ownAccount(caller, auth_user_id) };
  }
  if (user_id === undefined && auth_user_id === undefined) {
    throw new ApiError(
      "user_id_required",
      "A server must say whom this is about.",
      'With a secret key, send {"user_id": n}, the id of a row of calendly_users.',
    );
  }
  return { user_id, auth_user_id };
}

/** The account of a signed-in person, or the one that a server names. Error: another_user. */
export function ownAccount(caller: Caller, named: string | undefined): string | undefined {
  if (caller.kind === "server") return named;
  if (named !== undefined && named.toLowerCase() !== caller.authUserId.toLowerCase()) {
    throw new ApiError(
      "another_user",
      "A signed-in person acts for their own account only.",
      "Leave auth_user_id out, or use a secret key on a server.",
    );
  }
  return caller.authUserId;
}

function isUserToken(token: string): boolean {
  if (token.startsWith("sb_")) return false;
  try {
    const { role } = decodeJwt(token);
    return role !== "service_role" && role !== "anon";
  } catch {
    return token.split(".").length === 3;
  }
}

/** In constant time: HMACs by a random key are compared in place of the keys themselves. */
async function isSecretKey(given: string): Promise<boolean> {
  const encoder = new TextEncoder();
  const hmac = await crypto.subtle.generateKey({ name: "HMAC", hash: "SHA-256" }, false, [
    "sign",
    "verify",
  ]);
  const signature = await crypto.subtle.sign("HMAC", hmac, encoder.encode(given));
  const matches = await Promise.all(
    Object.values(secretKeys()).map((key) =>
      crypto.subtle.verify("HMAC", hmac, signature, encoder.encode(key))
    ),
  );
  return matches.includes(true);
}

async function verifyUser(token: string): Promise<string> {
  let header;
  try {
    header = decodeProtectedHeader(token);
  } catch {
    throw invalidJwt("it is malformed.");
  }
  // Signed with the project's shared secret, which only the Auth server has.
  const isSymmetric = !header.kid || header.alg?.startsWith("HS") === true;
  const sub = await (isSymmetric ? askAuth(token) : verifyByKeySet(token));
  if (!z.guid().safeParse(sub).success) throw invalidJwt("its sub is not a user's id.");
  return sub;
}

/** How long the Auth server may take to answer, in milliseconds. */
const TIMEOUT = 5_000;

const AuthUser = z.object({ id: z.string() });
const AuthError = z.object({ msg: z.string() });

/** The id of the user whose token this is, as the Auth server says. */
async function askAuth(token: string): Promise<string> {
  const headers = { apikey: publishableKey(), authorization: `Bearer ${token}` };
  let response: Response;
  let body: unknown;
  try {
    response = await fetch(`${setting("SUPABASE_URL")}/auth/v1/user`, {
      headers,
      signal: AbortSignal.timeout(TIMEOUT),
    });
    body = await response.json().catch(() => undefined);
  } catch {
    throw authUnavailable("The Auth server does not answer.");
  }
  const user = AuthUser.safeParse(body);
  if (response.ok && user.success) return user.data.id;
  if (response.ok || response.status === 429 || response.status >= 500) {
    throw authUnavailable("The Auth server does not answer as it should.");
  }
  throw invalidJwt(AuthError.safeParse(body).data?.msg ?? "the Auth server refuses it.");
}

/** The id of the user whose token this is, by its signature. */
async function verifyByKeySet(token: string): Promise<string> {
  let payload;
  try {
    ({ payload } = await jwtVerify(token, keySet()));
  } catch (error) {
    if (error instanceof ApiError) throw error;
    if (!(error instanceof errors.JOSEError) || UNREADABLE_KEY_SET.includes(error.code)) {
      throw authUnavailable("The Auth server's keys cannot be read.");
    }
    throw invalidJwt(error.message);
  }
  if (payload.role !== "authenticated") throw invalidJwt("it is not a signed-in person's.");
  return payload.sub ?? "";
}

/** Errors of jose that say nothing about the token. */
const UNREADABLE_KEY_SET = ["ERR_JWKS_TIMEOUT", "ERR_JWKS_INVALID", "ERR_JOSE_GENERIC"];

let remote: { url: string; keys: JWTVerifyGetKey } | undefined;

/** The keys that sign the project's JWTs; jose remembers those that it has fetched. */
function keySet(): JWTVerifyGetKey {
  const given = setting("SUPABASE_JWKS");
  if (given) return createLocalJWKSet(given);
  const url = `${setting("SUPABASE_URL")}/auth/v1/.well-known/jwks.json`;
  if (remote?.url !== url) {
    remote = { url, keys: createRemoteJWKSet(new URL(url), { timeoutDuration: TIMEOUT }) };
  }
  return remote.keys;
}

function invalidJwt(reason: string): ApiError {
  return new ApiError(
    "invalid_jwt",
    `The JWT is not valid: ${reason}`,
    "Sign in again and send the new access token.",
  );
}

function authUnavailable(message: string): ApiError {
  return new ApiError("auth_unavailable", message, "Try again in a moment.");
}
