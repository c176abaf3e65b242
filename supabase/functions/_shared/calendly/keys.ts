/**
 * CALENDLY_TOKEN_KEY is the one secret to keep. Each purpose has a key of its own, derived from it by
 * HKDF, so that no derived key is stored and none is used for two purposes.
 */
import { toHex } from "./encoding.ts";
import { setting } from "./environment.ts";

/** What is derived from one secret of CALENDLY_TOKEN_KEY. */
export interface SecretKeys {
  /** Names the secret and tells nothing of it, so that what was made with it can be found. */
  id: string;
  /** Encrypts tokens. */
  tokenKey: Uint8Array<ArrayBuffer>;
  /** The key that signs the webhooks of one subscription. */
  signingKey(subscriptionId: string): Promise<string>;
}

let derived: { from: string; keys: Promise<SecretKeys[]> } | undefined;

/** The keys of each secret, the current secret first; derived once. Error: not_configured. */
export async function allKeys(): Promise<SecretKeys[]> {
  const secrets = setting("CALENDLY_TOKEN_KEY");
  const from = secrets.join();
  if (derived?.from !== from) derived = { from, keys: Promise.all(secrets.map(keysOf)) };
  return await derived.keys;
}

/** The keys of the secret that everything new is made with. Error: not_configured. */
export async function currentKeys(): Promise<SecretKeys> {
  return (await allKeys())[0];
}

async function keysOf(secret: string): Promise<SecretKeys> {
  const encoder = new TextEncoder();
  const material = await crypto.subtle.importKey("raw", encoder.encode(secret), "HKDF", false, [
    "deriveBits",
  ]);
  /** 256 bits for one purpose. */
  async function derive(purpose: string): Promise<Uint8Array<ArrayBuffer>> {
    const info = encoder.encode(purpose);
    const algorithm = { name: "HKDF", hash: "SHA-256", salt: new Uint8Array(), info };
    return new Uint8Array(await crypto.subtle.deriveBits(algorithm, material, 256));
  }
  return {
    id: toHex((await derive("calendly token key id")).slice(0, 4)),
    tokenKey: await derive("calendly token"),
    signingKey: async (subscriptionId) => toHex(await derive(`calendly webhook ${subscriptionId}`)),
  };
}
