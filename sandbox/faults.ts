/**
 * Faults on demand: rules that are matched against each request and change or withhold its answer.
 * What a rule can do is in the schema `Effect`; the table in docs/sandbox.md says the same in words.
 */
import { z } from "zod";
import { invalid, tooManyRequests } from "./errors.ts";
import { rateLimitHeaders } from "./rate_limit.ts";
import type { SavedState } from "./state.ts";

const areHeaders = (headers: Record<string, string>) => {
  try {
    return Boolean(new Headers(headers));
  } catch {
    return false;
  }
};

const HeaderFields = z.record(z.string(), z.string())
  .refine(areHeaders, "must be names and values of HTTP headers");

const ContentType = z.string()
  .refine((type) => areHeaders({ "content-type": type }), "must be the value of a header");

const EFFECTS = [
  z.strictObject({
    kind: z.literal("status"),
    status: z.int().min(200).max(599),
    body: z.unknown().optional(),
    headers: HeaderFields.optional(),
  }).describe("an error in place of the answer: 500, 502, 503, 504 or any other"),
  z.strictObject({
    kind: z.literal("rate_limited"),
    reset: z.number().describe("seconds (60)").optional(),
    headers: HeaderFields.optional(),
  }).describe("429 with the rate limit spent"),
  z.strictObject({ kind: z.literal("stall") })
    .describe("no answer at all: the caller's time-out decides"),
  z.strictObject({ kind: z.literal("slow"), ms: z.number().min(0).max(3_600_000) })
    .describe("the true answer, late"),
  z.strictObject({ kind: z.literal("cut") })
    .describe("the first half of the true answer, then a broken connection"),
  z.strictObject({ kind: z.literal("html") }).describe("a page of HTML with status 200"),
  z.strictObject({ kind: z.literal("content_type"), type: ContentType.optional() })
    .describe("the true answer under another content type (text/plain)"),
  z.strictObject({ kind: z.literal("empty") })
    .describe("a listing without rows and without a next page"),
  z.strictObject({ kind: z.literal("duplicate_row") })
    .describe("the page begins with the last row of the page before"),
  z.strictObject({ kind: z.literal("expired_page_token") })
    .describe("400 for the page token, which has expired from then on"),
  z.strictObject({
    kind: z.literal("change"),
    verb: z.string(),
    arguments: z.record(z.string(), z.unknown()).optional(),
  }).describe("a verb is run just before the request is answered"),
] as const;

/** What a rule does. */
export const Effect = z.discriminatedUnion(
  "kind",
  EFFECTS,
  `must be one of ${EFFECTS.map(({ shape }) => shape.kind.value).join(", ")}`,
);
export type Effect = z.input<typeof Effect>;

export const FaultRule = z.strictObject({
  method: z.string().describe("only requests with this method").optional(),
  path: z.string().describe("only these paths: * is one segment, ** any number").optional(),
  query: z.record(z.string(), z.string().nullable())
    .describe("only requests with these query values; null: without the parameter").optional(),
  user: z.string().describe("only requests of this user (URI)").optional(),
  skip: z.int().min(0).describe("lets so many matching requests through first").optional(),
  times: z.int().min(0).nullable().describe("then strikes so many (1); null: always").optional(),
  effect: Effect,
});
export type FaultRule = z.input<typeof FaultRule>;

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
    this.#rules.push({ ...rule, seen: 0, struck: 0 });
  }

  save(): SavedState["faults"] {
    return { rules: this.#rules, expired_page_tokens: [...this.#expiredTokens] };
  }

  load({ rules, expired_page_tokens }: SavedState["faults"]): void {
    this.#rules = rules;
    this.#expiredTokens = new Set(expired_page_tokens);
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

/** Answers that have no body, whatever the rule says. */
const NULL_BODY_STATUSES = [204, 205, 304];

/** The answer that an effect gives instead of the true one, or null when the true one is needed. */
export function replacement(effect: Effect): Response | null {
  switch (effect.kind) {
    case "status": {
      const { status, headers, body = { title: "Error", message: `Status ${status}` } } = effect;
      if (NULL_BODY_STATUSES.includes(status)) return new Response(null, { status, headers });
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
    const bytes = new Uint8Array(await answer.arrayBuffer());
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
