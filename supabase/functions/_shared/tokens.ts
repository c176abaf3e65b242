/**
 * Calendly's tokens are kept only as JWE, made here with a key that the database does not have. The
 * protected header names the key, so that it can be rotated, and the connection, so that a ciphertext
 * copied into another row is noticed.
 */
import { compactDecrypt, CompactEncrypt } from "jose";
import { ApiError } from "./errors.ts";
import { deriveKey, toHex, tokenSecrets } from "./keys.ts";

/** Errors: not_configured. */
export async function encryptToken(token: string, connectionId: string): Promise<string> {
  const [current] = await keys();
  return new CompactEncrypt(new TextEncoder().encode(token))
    .setProtectedHeader({ alg: "dir", enc: "A256GCM", kid: current.id, connection: connectionId })
    .encrypt(current.key);
}

/** Errors: not_configured, token_unreadable. */
export async function decryptToken(jwe: string, connectionId: string): Promise<string> {
  const known = await keys();
  try {
    const { plaintext, protectedHeader } = await compactDecrypt(jwe, ({ kid }) => {
      const found = known.find(({ id }) => id === kid);
      if (!found) throw new Error("unknown key");
      return found.key;
    }, { keyManagementAlgorithms: ["dir"], contentEncryptionAlgorithms: ["A256GCM"] });
    if (protectedHeader.connection !== connectionId) throw new Error("another connection's");
    return new TextDecoder().decode(plaintext);
  } catch {
    throw new ApiError(
      "token_unreadable",
      "The stored Calendly token cannot be read with the present CALENDLY_TOKEN_KEY.",
      "Put the key it was made with back into the list CALENDLY_TOKEN_KEY, or let the person connect again.",
    );
  }
}

function keys(): Promise<{ id: string; key: Uint8Array }[]> {
  return Promise.all(
    tokenSecrets().map(async (secret) => ({
      key: await deriveKey(secret, "calendly token"),
      id: toHex((await deriveKey(secret, "calendly token key id")).slice(0, 4)),
    })),
  );
}
