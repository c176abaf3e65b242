/** One request to Calendly from its arrival to its answer: log, rate limit, faults, handler. */
import { Bookings } from "../bookings.ts";
import { formatTime } from "../clock.ts";
import { ApiError, invalid, tooManyRequests } from "../errors.ts";
import { Faults, replacement, spoil, stall } from "../faults.ts";
import { OAuth } from "../oauth.ts";
import { Limit, RateLimit } from "../rate_limit.ts";
import { LoggedRequest, RequestLog } from "../request_log.ts";
import { Uri } from "../resources.ts";
import { requireScopes, Tokens } from "../tokens.ts";
import { Webhooks } from "../webhooks.ts";
import { World } from "../world.ts";
import { ApiRequest } from "./request.ts";
import { matchRoute } from "./routes.ts";

export interface ApiParts {
  world: World;
  bookings: Bookings;
  webhooks: Webhooks;
  tokens: Tokens;
  oauth: OAuth;
  /** Where links that a client may follow lead. */
  publicUrl: string;
  faults: Faults;
  log: RequestLog;
  rateLimit: RateLimit;
  /** The user's requests a minute. */
  limitOf: (user: Uri) => Limit;
  /** Runs a verb of the control API, for the fault `change`. */
  run: (verb: string, input: Record<string, unknown>) => unknown;
  /** Aborted when the sandbox closes: ends stalled requests. */
  closing: AbortSignal;
}

export class Api {
  readonly #parts: ApiParts;

  constructor(parts: ApiParts) {
    this.#parts = parts;
  }

  async fetch(request: Request): Promise<Response> {
    const { world, log, bookings } = this.#parts;
    const url = new URL(request.url);
    bookings.settleReadyConferences();
    const user = this.#callerOf(request);
    const logged: LoggedRequest = {
      at: formatTime(world.clock.now()),
      method: request.method,
      path: url.pathname,
      query: Object.fromEntries(url.searchParams),
      status: null,
      user,
      faults: [],
    };
    log.add(logged);
    const answer = await this.#answer(request, url, user, logged);
    answer.headers.set("date", new Date(Number(world.clock.now() / 1000n)).toUTCString());
    answer.headers.set("x-request-id", crypto.randomUUID());
    logged.status = answer.status;
    return answer;
  }

  async #answer(
    request: Request,
    url: URL,
    user: Uri | null,
    logged: LoggedRequest,
  ): Promise<Response> {
    const { faults, limitOf, oauth, rateLimit, run, closing } = this.#parts;
    const isOAuth = url.pathname.startsWith("/oauth/");
    const rate = user !== null && !isOAuth
      ? rateLimit.spend(user, limitOf(user))
      : { allowed: true, headers: {} };
    const { method } = request;
    if (!rate.allowed) {
      return Response.json(tooManyRequests().body, { status: 429, headers: rate.headers });
    }
    const effects = faults.strike({ method, path: url.pathname, query: url.searchParams, user });
    logged.faults = effects.map((effect) => effect.kind);
    for (const effect of effects) {
      if (effect.kind === "change") await run(effect.verb, effect.arguments ?? {});
      if (effect.kind === "stall") return stall(request.signal, closing);
    }
    let answer = effects.map(replacement).find((response) => response !== null) ??
      (isOAuth ? await oauth.handle(request) : await this.#handle(request, url, {
        empty: effects.some(({ kind }) => kind === "empty"),
        repeat_last_row: effects.some(({ kind }) => kind === "duplicate_row"),
      }));
    for (const [name, value] of Object.entries(rate.headers)) {
      if (!answer.headers.has(name)) answer.headers.set(name, value);
    }
    for (const effect of effects) answer = await spoil(answer, effect);
    return answer;
  }

  async #handle(request: Request, url: URL, listing: ApiRequest["listing"]): Promise<Response> {
    const { world, bookings, webhooks, tokens, publicUrl } = this.#parts;
    try {
      const token = tokens.authenticate(request.headers.get("authorization"));
      const { scope, handler, params } = matchRoute(request.method, url.pathname);
      requireScopes(token, [scope]);
      const { status, body } = handler({
        world,
        bookings,
        webhooks,
        token,
        user: world.user(token.user),
        path: url.pathname,
        publicUrl,
        query: url.searchParams,
        params,
        body: await jsonBody(request),
        listing,
      });
      return status === 204 ? new Response(null, { status }) : json(status, body);
    } catch (error) {
      if (error instanceof ApiError) return json(error.status, error.body);
      throw error;
    }
  }

  /** Whom a request counts for; null unless its token is good. */
  #callerOf(request: Request): Uri | null {
    try {
      return this.#parts.tokens.authenticate(request.headers.get("authorization")).user;
    } catch {
      return null;
    }
  }
}

function json(status: number, body: unknown): Response {
  return new Response(JSON.stringify(body), {
    status,
    headers: { "content-type": "application/json; charset=utf-8" },
  });
}

async function jsonBody(request: Request): Promise<Record<string, unknown>> {
  const text = await request.text();
  if (text === "") return {};
  try {
    const body = JSON.parse(text);
    if (typeof body === "object" && body !== null && !Array.isArray(body)) return body;
  } catch {
    // Not JSON: refused below, like any other body that is not an object.
  }
  throw invalid({ message: "the body must be a JSON object" });
}
