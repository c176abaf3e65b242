/**
 * Calendly's API as far as a sync and its webhooks need it. ky does time-outs and retries. Here errors are
 * sorted into refusals (asking again does not help) and temporary failures (it does), requests are
 * counted and the rate limit is read from the answers. Rows are passed on unread: Postgres reads them.
 */
import ky, { HTTPError, type Options } from "ky";
import { z } from "zod";
import { setting } from "./environment.ts";
import { ApiError } from "./errors.ts";
import type { ErrorCode } from "./error_codes.ts";
import { cleanAnswer, parseJson } from "./json.ts";
import { nextPageToken, Pagination, Paging } from "./paging.ts";
import { reasonOf, withoutSecrets } from "./reason.ts";
import { secondsUntil, wholeNumber } from "./rate_limit.ts";

/** Calendly did not answer as it should, but may do so later. `retryAfter` in seconds. */
export class TemporaryFailure extends Error {
  constructor(
    readonly code: Extract<
      ErrorCode,
      "rate_limited" | "calendly_unavailable" | "page_token_expired"
    >,
    message: string,
    readonly retryAfter?: number,
  ) {
    super(message);
  }
}

/** Calendly refused this one request for good: 404, 403 and other 4xx about a single resource. */
export class RequestRefused extends Error {
  constructor(readonly status: number, message: string) {
    super(message);
  }
}

/** What may be asked of Calendly by now has been asked: see Calendly.allow. */
export class RequestsUsedUp extends Error {}

/** An answer, and Calendly's time when it was asked for: what it says was true then or later. */
export interface Observed<T> {
  body: T;
  observedAt: string;
}

const List = z.object({ collection: z.array(z.unknown()), pagination: Pagination });
const Resource = z.object({ resource: z.record(z.string(), z.unknown()) });
const Created = z.object({ resource: z.object({ uri: z.string().min(1) }) });
const CurrentUser = z.object({
  resource: z.object({
    uri: z.string().min(1),
    name: z.string().nullish(),
    email: z.string().nullish(),
    current_organization: z.string().nullish(),
  }),
});

/** A page of a listing. `next`: the token of the page after it; null where there is none. */
export interface Page {
  collection: unknown[];
  next: string | null;
}

/**
 * Invitees of an event. `problem`: there are more, and why they were not read. `failure`: what nothing
 * more can be read for.
 */
export interface ReadInvitees {
  invitees: unknown[];
  observedAt: string;
  problem?: string;
  failure?: TemporaryFailure;
}

/** The rows of a listing. `stopped`: there are more, and what ended the reading. */
interface ReadPages {
  rows: unknown[];
  observedAt: string;
  stopped?: TemporaryFailure | RequestsUsedUp | "too_many";
}

/** How #readPages asks. `limited`: only while `allow` lets it. */
interface Asking {
  signal?: AbortSignal;
  limited?: boolean;
}

export type CalendlyUser = z.infer<typeof CurrentUser>["resource"];

const TIMEOUT = 10_000;
const RETRIES = 2;

/**
 * The ceiling of one reading, so that a listing without an end ends: 10,000 invitees of an event. Of
 * an event with more the first ones are kept, and the run is told that there are more.
 */
const MAX_PAGES = 100;

/** Calendly's rate limit. `limit`: null where Calendly does not tell it. `reset`: in how many seconds. */
interface RateLimit {
  limit: number | null;
  remaining: number;
  reset: number;
}

/** Where a token comes from, and a new one when Calendly refuses it: see ConnectionToken. */
export interface TokenSource {
  current(): Promise<string>;
  renewed(refused: string): Promise<string | undefined>;
}

/** A token that is not stored yet. */
export function plainToken(token: string): TokenSource {
  return { current: () => Promise.resolve(token), renewed: () => Promise.resolve(undefined) };
}

export class Calendly {
  /** All that were made, retries included. */
  requests = 0;
  #token: TokenSource;
  #reported = 0;
  #lastRequest = Infinity;
  /** `resetsAt` in milliseconds of performance.now. */
  #rate: { limit: number | null; remaining: number; resetsAt: number } | undefined;

  constructor(token: TokenSource) {
    this.#token = token;
  }

  /**
   * Requests since the last call of this, retries included, and the rate limit as those answers told it:
   * of requests that run side by side the one that left the fewest. A limit that has reset since is
   * not told: it would be waited for once more.
   */
  takeUsage(): { requests: number; rate?: RateLimit } {
    const usage = { requests: this.requests - this.#reported, rate: this.#currentRate() };
    this.#reported = this.requests;
    this.#rate = undefined;
    return usage;
  }

  /** Lets invitees be read until this many requests were made in all, everything that runs counted. */
  allow(requests: number): void {
    this.#lastRequest = requests;
  }

  /** Whether invitees may be asked for. */
  get isAllowed(): boolean {
    return this.requests < this.#lastRequest;
  }

  /** Whose token this is. */
  async me(): Promise<CalendlyUser> {
    return (await this.#get("users/me", {}, CurrentUser)).body.resource;
  }

  /** One page of the events that `query` asks for. */
  async listEvents(query: Record<string, string>, signal?: AbortSignal): Promise<Page> {
    try {
      const { body } = await this.#get("scheduled_events", query, List, { signal });
      return { collection: body.collection, next: nextOf(body.pagination) };
    } catch (error) {
      if (!(error instanceof RequestRefused)) throw error;
      // Only the page token can be wrong: the rest of the query was accepted with the first page.
      if (error.status === 400 && query.page_token) {
        throw new TemporaryFailure("page_token_expired", error.message);
      }
      throw new ApiError(
        "calendly_refused",
        `Calendly refuses to list these events: ${error.message}`,
        query.organization
          ? "Only owners and admins of an organization may list its events: connect with scope user."
          : "Connect again with a token that may read scheduled events.",
      );
    }
  }

  /** One event. Error: RequestRefused. */
  async readEvent(eventUri: string): Promise<Record<string, unknown>> {
    return (await this.#get(`scheduled_events/${lastSegment(eventUri)}`, {}, Resource)).body
      .resource;
  }

  /**
   * The invitees of an event, 10,000 at most. What was read before the requests or the rate limit are used
   * up is not lost. Errors: RequestRefused, RequestsUsedUp.
   */
  async readInvitees(eventUri: string, signal?: AbortSignal): Promise<ReadInvitees> {
    const { rows, observedAt, stopped } = await this.#readPages(
      `scheduled_events/${lastSegment(eventUri)}/invitees`,
      { count: "100", sort: "created_at:asc" },
      { signal, limited: true },
    );
    return {
      invitees: rows,
      observedAt,
      ...(stopped ? { problem: problemOf(stopped, rows.length) } : {}),
      ...(stopped instanceof TemporaryFailure ? { failure: stopped } : {}),
    };
  }

  /** All subscriptions of a user or an organization that the token's owner may see. Error: RequestRefused. */
  async listSubscriptions(query: Record<string, string>): Promise<unknown[]> {
    const { rows, stopped } = await this.#readPages("webhook_subscriptions", {
      ...query,
      count: "100",
    });
    // Of a part of them one that is not in it would seem lost.
    if (stopped instanceof Error) throw stopped;
    return rows;
  }

  /** The rows of all pages, up to a limit. `observedAt`: of the first page. */
  async #readPages(
    path: string,
    query: Record<string, string>,
    asking: Asking = {},
  ): Promise<ReadPages> {
    const { collection, observedAt, next: second } = await this.#readPage(path, query, asking);
    const rows = [...collection];
    const paging = new Paging();
    paging.advances(collection, second);
    let next = second;
    for (let pages = 1; next !== null; pages++) {
      if (pages === MAX_PAGES) return { rows, observedAt, stopped: "too_many" };
      try {
        const page = await this.#readPage(path, { ...query, page_token: next }, asking);
        next = page.next;
        if (!paging.advances(page.collection, next)) {
          throw new TemporaryFailure(
            "calendly_unavailable",
            "Calendly shows the same page again and again.",
          );
        }
        rows.push(...page.collection);
      } catch (error) {
        if (isUsedUp(error)) return { rows, observedAt, stopped: error };
        throw error;
      }
    }
    return { rows, observedAt };
  }

  async #readPage(
    path: string,
    query: Record<string, string>,
    asking: Asking,
  ): Promise<Page & { observedAt: string }> {
    const { body, observedAt } = await this.#get(path, query, List, asking);
    return { collection: body.collection, next: nextOf(body.pagination), observedAt };
  }

  /** Creates a subscription and returns its URI. Not retried: it may exist already. Error: RequestRefused. */
  async createSubscription(subscription: Record<string, unknown>): Promise<string> {
    const { body } = await this.#request("post", "webhook_subscriptions", {
      json: subscription,
      retry: 0,
    }, Created);
    return body.resource.uri;
  }

  /** Deletes a subscription. That it no longer exists is no error. Error: RequestRefused. */
  async deleteSubscription(uri: string): Promise<void> {
    try {
      await this.#request("delete", `webhook_subscriptions/${lastSegment(uri)}`, {}, z.unknown());
    } catch (error) {
      if (!(error instanceof RequestRefused && error.status === 404)) throw error;
    }
  }

  #get<T>(
    path: string,
    query: Record<string, string>,
    schema: z.ZodType<T>,
    { signal, limited }: Asking = {},
  ): Promise<Observed<T>> {
    return this.#request("get", path, { searchParams: query, signal }, schema, limited);
  }

  async #request<T>(
    method: string,
    path: string,
    options: Options,
    schema: z.ZodType<T>,
    limited = false,
  ): Promise<Observed<T>> {
    const began = performance.now();
    const token = await this.#token.current();
    if (limited && !this.isAllowed) throw new RequestsUsedUp();
    let response: Response;
    try {
      response = await this.#send(method, path, options, token);
    } catch (error) {
      if (!(error instanceof ApiError && error.code === "token_refused")) throw error;
      const renewed = await this.#token.renewed(token);
      if (!renewed) throw error;
      response = await this.#send(method, path, options, renewed);
    }
    const text = await response.text();
    const parsed = schema.safeParse(text === "" ? undefined : JSON.parse(text));
    if (!parsed.success) {
      throw new TemporaryFailure(
        "calendly_unavailable",
        "Calendly's answer does not have the form that it documents.",
      );
    }
    const asked = (Date.parse(response.headers.get("date") ?? "") || Date.now()) -
      (performance.now() - began);
    return { body: cleanAnswer(parsed.data), observedAt: new Date(asked).toISOString() };
  }

  async #send(method: string, path: string, options: Options, token: string): Promise<Response> {
    const url = `${setting("CALENDLY_API_URL")}/${path}`;
    // Counted before it is sent: what runs beside it must know of it.
    this.requests++;
    try {
      return await ky(url, {
        method,
        headers: {
          authorization: `Bearer ${token}`,
          accept: "application/json",
          "user-agent": "calendly-sync-for-supabase",
        },
        fetch: (input, init) => this.#fetch(input, init),
        hooks: { beforeRetry: [() => void this.requests++] },
        timeout: TIMEOUT,
        redirect: "error",
        parseJson, // the message of an error is stored as well
        retry: {
          limit: RETRIES,
          retryOnTimeout: true,
          statusCodes: [408, 500, 502, 503, 504],
          afterStatusCodes: [],
          delay: (attempt) => 250 * 3 ** (attempt - 1),
        },
        ...options,
      });
    } catch (error) {
      throw error instanceof HTTPError
        ? fromHttpError(error, token)
        : new TemporaryFailure("calendly_unavailable", "Calendly does not answer.");
    }
  }

  #currentRate(): RateLimit | undefined {
    if (!this.#rate) return undefined;
    const { limit, remaining, resetsAt } = this.#rate;
    const reset = Math.ceil((resetsAt - performance.now()) / 1000);
    return reset > 0 ? { limit, remaining, reset } : undefined;
  }

  #noteRate(headers: Headers): void {
    const limit = wholeNumber(headers.get("x-ratelimit-limit"));
    const remaining = wholeNumber(headers.get("x-ratelimit-remaining"));
    const reset = secondsUntil(headers.get("x-ratelimit-reset"), headers);
    const known = this.#currentRate();
    if (remaining === undefined || reset === undefined) return;
    if (known && known.remaining < remaining) return;
    this.#rate = {
      // A limit below what is left of it is none.
      limit: limit !== undefined && limit > 0 && limit >= remaining ? limit : null,
      remaining,
      resetsAt: performance.now() + reset * 1000,
    };
  }

  /** One attempt. A body that is cut short or is not JSON makes it a failed one, which ky repeats. */
  async #fetch(input: RequestInfo | URL, init?: RequestInit): Promise<Response> {
    const response = await fetch(input, init);
    this.#noteRate(response.headers);
    const signal = input instanceof Request ? input.signal : init?.signal;
    try {
      const text = await response.text();
      if (response.ok && response.status !== 204) JSON.parse(text);
      return new Response(text || null, response);
    } catch (error) {
      if (signal?.aborted) throw error;
      return new Response(null, { status: 502, headers: response.headers });
    }
  }
}

/** That no more can be asked for now, and what was read is good. */
function isUsedUp(error: unknown): error is TemporaryFailure | RequestsUsedUp {
  return error instanceof RequestsUsedUp ||
    (error instanceof TemporaryFailure && error.code === "rate_limited");
}

/** Why a reading of an event's invitees has only the first ones. */
function problemOf(stopped: NonNullable<ReadPages["stopped"]>, count: number): string {
  if (stopped === "too_many") {
    return `has more than ${count} invitees: only the first ${count} are kept`;
  }
  const usedUp = stopped instanceof RequestsUsedUp
    ? "the requests of this run are used up for now"
    : "Calendly's rate limit is used up";
  return `has more than ${count} invitees: ${usedUp}, and all are read again later`;
}

/** The token of the page after this one; null where there is none. */
function nextOf(pagination: Pagination): string | null {
  const next = nextPageToken(pagination);
  if (next !== undefined) return next;
  throw new TemporaryFailure(
    "calendly_unavailable",
    "Calendly says that there is another page, and not how to ask for it.",
  );
}

/** What an HTTP error of Calendly's means for us. */
function fromHttpError(error: HTTPError, token: string): Error {
  const { status, headers } = error.response;
  const body = (typeof error.data === "object" && error.data !== null ? error.data : {}) as Record<
    string,
    unknown
  >;
  if (status === 429) return rateLimited(headers);
  if (status >= 500 || status === 408) {
    return new TemporaryFailure("calendly_unavailable", `Calendly answers with HTTP ${status}.`);
  }
  // Calendly always gives a reason. Without one, a proxy in front of it has answered, which says nothing
  // about the token or the resource.
  const message = body.cloudflare_error ? undefined : reasonOf(body, [token]);
  if (message === undefined) {
    return new TemporaryFailure(
      "calendly_unavailable",
      `Something in front of Calendly answers with HTTP ${status}.`,
    );
  }
  if (status === 401) {
    return new ApiError(
      "token_refused",
      `Calendly refuses the token: ${message}`,
      "Make a new token at Calendly and connect again.",
    );
  }
  if (
    status === 403 && (Array.isArray(body.required_scopes) || /scope/i.test(String(body.title)))
  ) {
    const scopes = Array.isArray(body.required_scopes)
      ? withoutSecrets(body.required_scopes.join(", "), [token]).slice(0, 500)
      : message;
    return new ApiError(
      "scope_missing",
      `The Calendly token lacks a scope: ${scopes}`,
      "Make a token with users:read and scheduled_events:read, and with webhooks:write for webhooks, and connect again.",
    );
  }
  return new RequestRefused(status, message);
}

/** What 429 means, of the API and of the authorization server. */
export function rateLimited(headers: Headers): TemporaryFailure {
  return new TemporaryFailure(
    "rate_limited",
    "Calendly's rate limit is used up.",
    secondsUntil(headers.get("retry-after"), headers) ??
      secondsUntil(headers.get("x-ratelimit-reset"), headers) ?? 60,
  );
}

/** The last segment of a URI, for a path: a URI is a name and is never fetched. Error: RequestRefused. */
function lastSegment(uri: string): string {
  const segment = uri.slice(uri.lastIndexOf("/") + 1);
  // As a part of a path, these three mean another resource.
  if (["", ".", ".."].includes(segment)) {
    throw new RequestRefused(400, `This URI does not name a resource: ${uri.slice(0, 200)}`);
  }
  return encodeURIComponent(segment);
}
