/**
 * Calendly's tokens are stored only as JWE, made here with a key that the database does not have. The
 * protected header names the key, so that it can be rotated, and the connection, so that a ciphertext
 * that was copied into another row is refused.
 */
import { compactDecrypt, CompactEncrypt, decodeProtectedHeader } from "jose";
import { ApiError } from "./errors.ts";
import { allKeys, currentKeys } from "./keys.ts";

/** What a connection needs at Calendly: a personal access token has no refresh token. */
export interface Token {
  access_token: string;
  refresh_token?: string;
}

/** Errors: not_configured. */
export function encryptToken(token: Token, connectionId: string): Promise<string> {
  const { access_token, refresh_token } = token;
  return encrypt(JSON.stringify({ access_token, refresh_token }), connectionId);
}

/** Errors: not_configured, token_unreadable. */
export async function decryptToken(jwe: string, connectionId: string): Promise<Token> {
  return JSON.parse(await decrypt(jwe, connectionId));
}

/** Encrypts a text that belongs to `id`. Errors: not_configured. */
export async function encrypt(text: string, id: string): Promise<string> {
  const current = await currentKeys();
  return await new CompactEncrypt(new TextEncoder().encode(text))
    .setProtectedHeader({ alg: "dir", enc: "A256GCM", kid: current.id, connection: id })
    .encrypt(current.tokenKey);
}

/** The text that was encrypted for `id`. Errors: not_configured, token_unreadable. */
export async function decrypt(jwe: string, id: string): Promise<string> {
  const keys = await allKeys();
  try {
    const { plaintext, protectedHeader } = await compactDecrypt(jwe, ({ kid }) => {
      const found = keys.find(({ id }) => id === kid);
      if (!found) throw new Error("unknown key");
      return found.tokenKey;
    }, { keyManagementAlgorithms: ["dir"], contentEncryptionAlgorithms: ["A256GCM"] });
    if (protectedHeader.connection !== id) throw new Error("it belongs to another connection");
    return new TextDecoder().decode(plaintext);
  } catch {
    throw new ApiError(
      "token_unreadable",
      "The stored Calendly token cannot be read with the present CALENDLY_TOKEN_KEY.",
      "Put the key it was made with back into the list CALENDLY_TOKEN_KEY, or let the person connect again.",
    );
  }
}

/** Was it made with the current key? Then the older keys are not needed for it. */
export async function isCurrent(jwe: string): Promise<boolean> {
  return decodeProtectedHeader(jwe).kid === (await currentKeys()).id;
}
