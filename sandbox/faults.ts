/**
 * Faults on demand: rules that are matched against each request and change or withhold its answer.
 * What a rule can do is the `Effect` union; the table in README.md says the same in words.
 */
import { invalid, SandboxError, tooManyRequests } from "./errors.ts";
import { rateLimitHeaders } from "./rate_limit.ts";

export type Effect =
  /** An error in place of the answer: 500, 502, 503, 504 or any other. */
  | { kind: "status"; status: number; body?: unknown; headers?: Record<string, string> }
  /** 429 with the rate limit spent for so many seconds (60). */
  | { kind: "rate_limited"; reset?: number; headers?: Record<string, string> }
  /** No answer at all: the caller's time-out decides. */
  | { kind: "stall" }
  /** The true answer, late. */
  | { kind: "slow"; ms: number }
  /** The first half of the true answer, then a broken connection. */
  | { kind: "cut" }
  /** A page of HTML with status 200. */
  | { kind: "html" }
  /** The true answer under another content type (text/plain). */
  | { kind: "content_type"; type?: string }
  /** A listing without rows and without a next page. */
  | { kind: "empty" }
  /** The page begins with the last row of the page before. */
  | { kind: "duplicate_row" }
  /** 400 for the page token, which has expired from then on. */
  | { kind: "expired_page_token" }
  /** Something happens (a verb of the control API) just before the request is answered. */
  | { kind: "change"; verb: string; arguments?: Record<string, unknown> };

const KINDS: Effect["kind"][] = [
  "status",
  "rate_limited",
  "stall",
  "slow",
  "cut",
  "html",
  "content_type",
  "empty",
  "duplicate_row",
  "expired_page_token",
  "change",
];

export interface FaultRule {
  /** Only requests with this method. */
  method?: string;
  /** Only these paths: `*` is one segment, `**` any number. */
  path?: string;
  /** Only requests with these query values; `null` for a parameter that must be absent. */
  query?: Record<string, string | null>;
  /** Only requests of this user (URI). */
  user?: string;
  /** Let so many matching requests through first. */
  skip?: number;
  /** Then strike so many times (1); `null` for always. */
  times?: number | null;
  effect: Effect;
}

export interface ActiveFault extends FaultRule {
  /** Matching requests seen, and those struck. */
  seen: number;
  struck: number;
}

export interface FaultedRequest {
  method: string;
  path: string;
  query: URLSearchParams;
  user: string | null;
}

export class Faults {
  #rules: ActiveFault[] = [];
  /** Page tokens that have expired stay so. */
  #expiredTokens = new Set<string>();

  list(): ActiveFault[] {
    return this.#rules.map((rule) => ({ ...rule }));
  }

  add(rule: FaultRule): void {
    if (!KINDS.includes(rule.effect?.kind)) {
      throw new SandboxError(
        "unknown_effect",
        `There is no effect ${rule.effect?.kind}.`,
        `effect.kind is one of ${KINDS.join(", ")}.`,
      );
    }
    this.#rules.push({ ...rule, seen: 0, struck: 0 });
  }

  clear(): void {
    this.#rules = [];
  }

  /** The effects that strike this request, in the order of their rules. */
  strike(request: FaultedRequest): Effect[] {
    const token = request.query.get("page_token");
    if (token && this.#expiredTokens.has(token)) return [{ kind: "expired_page_token" }];
    const effects: Effect[] = [];
    for (const rule of this.#rules) {
      if (!matches(rule, request)) continue;
      rule.seen += 1;
      const times = rule.times === undefined ? 1 : rule.times;
      const skipped = rule.seen <= (rule.skip ?? 0);
      if (skipped || (times !== null && rule.struck >= times)) continue;
      rule.struck += 1;
      effects.push(rule.effect);
      if (rule.effect.kind === "expired_page_token" && token) this.#expiredTokens.add(token);
    }
    return effects;
  }
}

function matches(rule: FaultRule, request: FaultedRequest): boolean {
  if (rule.method && rule.method.toUpperCase() !== request.method) return false;
  if (rule.path && !pattern(rule.path).test(request.path)) return false;
  if (rule.user && rule.user !== request.user) return false;
  return Object.entries(rule.query ?? {}).every(([name, value]) =>
    request.query.get(name) === value
  );
}

function pattern(path: string): RegExp {
  const escaped = path.replace(/[.+?^${}()|[\]\\]/g, "\\$&");
  const source = escaped.replaceAll("**", "\0").replaceAll("*", "[^/]+").replaceAll("\0", ".*");
  return new RegExp(`^${source}$`);
}

/** The answer that an effect gives instead of the true one, or null when the true one is needed. */
export function replacement(effect: Effect): Response | null {
  switch (effect.kind) {
    case "status": {
      const { status, headers, body = { title: "Error", message: `Status ${status}` } } = effect;
      if (typeof body === "string") return new Response(body, { status, headers });
      return Response.json(body, { status, headers });
    }
    case "rate_limited":
      return Response.json(tooManyRequests().body, {
        status: 429,
        headers: { ...rateLimitHeaders(500, 0, effect.reset ?? 60), ...effect.headers },
      });
    case "html":
      return new Response("<!DOCTYPE html><title>One moment, please</title>", {
        headers: { "content-type": "text/html; charset=UTF-8" },
      });
    case "expired_page_token":
      return Response.json(invalid({ parameter: "page_token", message: "is invalid" }).body, {
        status: 400,
      });
    default:
      return null;
  }
}

const CUT = new Error("the connection was cut (a fault of the sandbox)");
CUT.stack = String(CUT); // Deno.serve logs it, and where it was made is of no interest.

/** The true answer, spoilt. */
export async function spoil(answer: Response, effect: Effect): Promise<Response> {
  if (effect.kind === "slow") {
    await new Promise((resolve) => setTimeout(resolve, effect.ms));
  } else if (effect.kind === "content_type") {
    answer.headers.set("content-type", effect.type ?? "text/plain");
  } else if (effect.kind === "cut") {
    const bytes = await answer.bytes();
    let sent = false;
    const body = new ReadableStream<Uint8Array>({
      pull(controller) {
        if (sent) return controller.error(CUT);
        controller.enqueue(bytes.slice(0, bytes.length >> 1));
        sent = true;
      },
    });
    return new Response(body, answer);
  }
  return answer;
}

/** Never answers; ends only when the caller gives up or the sandbox closes. */
export function stall(caller: AbortSignal, closing: AbortSignal): Promise<Response> {
  return new Promise((resolve, reject) => {
    if (caller.aborted) return reject(caller.reason);
    if (closing.aborted) return resolve(new Response(null, { status: 504 }));
    caller.addEventListener("abort", () => reject(caller.reason), { once: true });
    closing.addEventListener("abort", () => resolve(new Response(null, { status: 504 })), {
      once: true,
    });
  });
}
