/**
 * Calendly signs what it delivers: `Calendly-Webhook-Signature: t=<seconds>,v1=<hex>`, where v1 is
 * HMAC-SHA256 over `t`, a dot and the raw body. Without a key nothing is authentic.
 */
import { ApiError } from "./errors.ts";

/**
 * When the body was signed, in seconds since 1970, if one of the keys signed it. Whether that is too
 * long ago is decided in SQL, whose clock is the only one. Error: not_authentic.
 */
export async function verifySignature(
  header: string | null,
  body: Uint8Array<ArrayBuffer>,
  keys: string[],
): Promise<number> {
  const parts = (header ?? "").split(",").map((part) => part.trim().split("="));
  const [time, ...moreTimes] = parts.filter(([name]) => name === "t").map(([, value]) => value);
  const signatures = parts.filter(([name]) => name === "v1").map(([, value]) => fromHex(value));
  if (
    !/^\d{1,12}$/.test(time ?? "") || moreTimes.length > 0 || signatures.length > MAX_SIGNATURES
  ) {
    throw new ApiError("not_authentic", "The signature is missing or malformed.");
  }
  const prefix = new TextEncoder().encode(`${time}.`);
  const signed = new Uint8Array(prefix.length + body.length);
  signed.set(prefix);
  signed.set(body, prefix.length);
  for (const key of keys) {
    const hmac = await importKey(key);
    for (const signature of signatures) {
      // verify compares in constant time
      if (signature && await crypto.subtle.verify("HMAC", hmac, signature, signed)) {
        return Number(time);
      }
    }
  }
  throw new ApiError("not_authentic", "The signature does not fit.");
}

const MAX_SIGNATURES = 5;

function importKey(key: string): Promise<CryptoKey> {
  const bytes = new TextEncoder().encode(key);
  return crypto.subtle.importKey("raw", bytes, { name: "HMAC", hash: "SHA-256" }, false, [
    "verify",
  ]);
}

function fromHex(text: string | undefined): Uint8Array<ArrayBuffer> | undefined {
  if (!text || !/^[0-9a-f]{64}$/i.test(text)) return undefined;
  return Uint8Array.from(text.match(/../g)!, (pair) => parseInt(pair, 16));
}
