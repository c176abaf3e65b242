/**
 * Calendly's tokens are kept only as JWE, made here with a key that the database does not have. The
 * protected header names the key, so that it can be rotated, and the connection, so that a ciphertext
 * copied into another row is noticed.
 */
import { compactDecrypt, CompactEncrypt, decodeProtectedHeader } from "jose";
import { ApiError } from "./errors.ts";
import { deriveKey, keyId, tokenSecrets } from "./keys.ts";

/** What a connection needs at Calendly: a personal access token has no refresh token. */
export interface Token {
  access_token: string;
  refresh_token?: string;
}

/** Errors: not_configured. */
export function encryptToken(token: Token, connectionId: string): Promise<string> {
  const { access_token, refresh_token } = token;
  return seal(JSON.stringify({ access_token, refresh_token }), connectionId);
}

/** Errors: not_configured, token_unreadable. */
export async function decryptToken(jwe: string, connectionId: string): Promise<Token> {
  return JSON.parse(await unseal(jwe, connectionId));
}

/** Encrypts a text for what `id` names. Errors: not_configured. */
export async function seal(text: string, id: string): Promise<string> {
  const [current] = await keys();
  return new CompactEncrypt(new TextEncoder().encode(text))
    .setProtectedHeader({ alg: "dir", enc: "A256GCM", kid: current.id, connection: id })
    .encrypt(current.key);
}

/** The text that was sealed for what `id` names. Errors: not_configured, token_unreadable. */
export async function unseal(jwe: string, id: string): Promise<string> {
  const known = await keys();
  try {
    const { plaintext, protectedHeader } = await compactDecrypt(jwe, ({ kid }) => {
      const found = known.find(({ id }) => id === kid);
      if (!found) throw new Error("unknown key");
      return found.key;
    }, { keyManagementAlgorithms: ["dir"], contentEncryptionAlgorithms: ["A256GCM"] });
    if (protectedHeader.connection !== id) throw new Error("another connection's");
    return new TextDecoder().decode(plaintext);
  } catch {
    throw new ApiError(
      "token_unreadable",
      "The stored Calendly token cannot be read with the present CALENDLY_TOKEN_KEY.",
      "Put the key it was made with back into the list CALENDLY_TOKEN_KEY, or let the person connect again.",
    );
  }
}

/** Was it made with the current key, so that the others are not needed for it? */
export async function isCurrent(jwe: string): Promise<boolean> {
  return decodeProtectedHeader(jwe).kid === (await keys())[0].id;
}

function keys(): Promise<{ id: string; key: Uint8Array }[]> {
  return Promise.all(
    tokenSecrets().map(async (secret) => ({
      key: await deriveKey(secret, "calendly token"),
      id: await keyId(secret),
    })),
  );
}
