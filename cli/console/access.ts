/**
 * Who may see operations: a browser that has opened a one-time link. The link's code is exchanged for a
 * session in a cookie that scripts cannot read. Both are random, are kept in memory and end with the server.
 */
import { createHash, randomBytes, timingSafeEqual } from "node:crypto";

/** In milliseconds: how long a link can be opened. */
const LINK_LIFETIME = 10 * 60_000;

/** So many links can wait to be opened; a further one ends the oldest. */
const MAX_LINKS = 20;

export class Access {
  /** When each code ends, by the code. */
  readonly #codes = new Map<string, number>();
  readonly #sessions = new Set<string>();
  readonly #cookie: string;

  /** Cookies do not know ports: another console on this machine has another name for its own. */
  constructor(port: string, private readonly now: () => number = Date.now) {
    this.#cookie = `calendly_console_${port}`;
  }

  /** A new code, to be used once. */
  createCode(): string {
    if (this.#codes.size >= MAX_LINKS) this.#codes.delete(this.#codes.keys().next().value!);
    const code = randomBytes(16).toString("base64url");
    this.#codes.set(code, this.now() + LINK_LIFETIME);
    return code;
  }

  /** Ends the code and returns a `set-cookie` with a new session; undefined where the code is no good. */
  openSession(code: string): string | undefined {
    const end = this.#codes.get(code);
    this.#codes.delete(code);
    if (end === undefined || end <= this.now()) return undefined;
    const session = randomBytes(16).toString("base64url");
    this.#sessions.add(session);
    return `${this.#cookie}=${session}; Path=/console; HttpOnly; SameSite=Strict`;
  }

  hasSession(headers: Headers): boolean {
    return (headers.get("cookie") ?? "").split(/; */).some((pair) => {
      const [name, value] = pair.split("=");
      return name === this.#cookie && this.#sessions.has(value);
    });
  }
}

/** Compares in a time that does not depend on where the two differ. */
export function isSameSecret(one: string, other: string): boolean {
  const hash = (text: string) => createHash("sha256").update(text).digest();
  return timingSafeEqual(hash(one), hash(other));
}
