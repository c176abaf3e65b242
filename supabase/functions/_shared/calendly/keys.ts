/**
 * CALENDLY_TOKEN_KEY is the one secret to keep. What needs a key has its own, derived from it by HKDF,
 * so that none is stored and none is used for two purposes.
 */
import { required } from "./environment.ts";
import { ApiError } from "./errors.ts";

/** The secrets, the current one first. Error: not_configured. */
export function tokenSecrets(): string[] {
  const hint = "Set it to the output of `openssl rand -base64 32`; " +
    "while it is rotated, to a comma list with the new one first.";
  const secrets = required("CALENDLY_TOKEN_KEY", hint).split(",").map((secret) => secret.trim());
  if (secrets.some((secret) => secret.length < 32)) {
    throw new ApiError("not_configured", "CALENDLY_TOKEN_KEY is shorter than 32 characters.", hint);
  }
  return secrets;
}

/** Names a secret and tells nothing of it: what is made with it says so, and can be made anew when it is rotated. */
export async function keyId(secret: string): Promise<string> {
  return toHex((await deriveKey(secret, "calendly token key id")).slice(0, 4));
}

/** 256 bits for one purpose. */
export async function deriveKey(
  secret: string,
  purpose: string,
): Promise<Uint8Array<ArrayBuffer>> {
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

export function toHex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
