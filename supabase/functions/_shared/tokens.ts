/**
 * Calendly's tokens are kept only as JWE, made here with a key that the database does not have. The
 * protected header names the key, so that it can be rotated, and the connection, so that a ciphertext
 * copied into another row is noticed.
 */
import { compactDecrypt, CompactEncrypt } from "jose";
import { required } from "./environment.ts";
import { ApiError } from "./errors.ts";

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

async function keys(): Promise<{ id: string; key: Uint8Array }[]> {
  const hint =
    "Set it to the output of `openssl rand -base64 32`; while it is rotated, to a comma list with the new one first.";
  const secrets = required("CALENDLY_TOKEN_KEY", hint).split(",").map((secret) => secret.trim());
  if (secrets.some((secret) => secret.length < 32)) {
    throw new ApiError("not_configured", "CALENDLY_TOKEN_KEY is shorter than 32 characters.", hint);
  }
  return await Promise.all(secrets.map(async (secret) => {
    const key = await derive(secret, "calendly token");
    const id = await derive(secret, "calendly token key id");
    return {
      key,
      id: Array.from(id.slice(0, 4), (byte) => byte.toString(16).padStart(2, "0")).join(""),
    };
  }));
}

async function derive(secret: string, purpose: string): Promise<Uint8Array> {
  const encoder = new TextEncoder();
  const material = await crypto.subtle.importKey("raw", encoder.encode(secret), "HKDF", false, [
    "deriveBits",
  ]);
  const bits = await crypto.subtle.deriveBits(
    { name: "HKDF", hash: "SHA-256", salt: new Uint8Array(), info: encoder.encode(purpose) },
    material,
    256,
  );
  return new Uint8Array(bits);
}
