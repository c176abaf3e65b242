/**
 * A stateful Calendly to develop against: the public API, the OAuth server, webhooks, and a control
 * API under /_sandbox. It lives in memory, knows nothing of its users, and the same seed gives the
 * same account.
 */
import { Api } from "./api/api.ts";
import { Bookings } from "./bookings.ts";
import { Clock } from "./clock.ts";
import { Control, Truth } from "./control.ts";
import { SandboxError } from "./errors.ts";
import { Faults } from "./faults.ts";
import { OAuth } from "./oauth.ts";
import type { PopulateInput } from "./populate.ts";
import { Random } from "./random.ts";
import { RateLimit } from "./rate_limit.ts";
import { RequestLog } from "./request_log.ts";
import { BASE, Organization, User } from "./resources.ts";
import { badState, readState, SavedState } from "./state.ts";
import { OAuthApp, Tokens } from "./tokens.ts";
import { describeVerbs } from "./verbs.ts";
import { Webhooks } from "./webhooks.ts";
import { World } from "./world.ts";

export type {
  BookInput,
  CancelInput,
  EditInput,
  InviteeInput,
  ReassignInput,
  RescheduleInput,
} from "./booking_inputs.ts";
export type { BookingResult, Control, Truth } from "./control.ts";
export type { ActiveFault, Effect, FaultRule } from "./faults.ts";
export type { PopulateInput } from "./populate.ts";
export type { LoggedRequest, RequestFilter, RequestReport } from "./request_log.ts";
export type * from "./resources.ts";
export type { SavedState } from "./state.ts";
export type { DeliverOptions, Delivery } from "./webhooks.ts";
export { SandboxError } from "./errors.ts";
export { serveSandbox } from "./server.ts";
export { sign } from "./webhooks.ts";

/** The demo user's personal access token, with every scope. */
export const DEMO_TOKEN = "sandbox-demo-token";
/** The demo OAuth application, which may return to any loopback address. */
export const DEMO_CLIENT_ID = "sandbox-client";
export const DEMO_CLIENT_SECRET = "sandbox-secret";

export interface SandboxOptions {
  /** The same seed gives the same ids and accounts (1). */
  seed?: number;
  /** Pins the virtual clock at this time; without it the clock runs with real time. */
  now?: string;
  /** Events to give the demo user at the start (0): so many, or as `populate` takes them. */
  events?: number | PopulateInput;
  /** Who sends webhooks: the sandbox at once, or `control.deliver`, as with a pinned clock. */
  deliver?: "automatic" | "manual";
  /**
   * Where clients reach the sandbox. The links that they may follow lead there: `next_page`,
   * `previous_page` and the form of the consent page. URIs stay, since they are names. Without it the
   * links lead to https://api.calendly.com, as Calendly's do.
   */
  publicUrl?: string;
  /** How webhooks are sent; the global fetch unless given. */
  fetch?: typeof fetch;
}

export interface Sandbox {
  /** The public API, /oauth/… and /_sandbox/…, whatever the host in the URL. */
  fetch(request: Request): Promise<Response>;
  control: Control;
  /** Times are microseconds since 1970. */
  clock: Pick<Clock, "now" | "advance" | "set" | "pinned" | "ahead" | "onMove" | "keepForward">;
  demo: { user: User; organization: Organization; token: string; app: OAuthApp };
  /** The whole state, with every row exactly as the API serialises it. */
  truth(): Truth;
  /** The whole state as JSON, for `loadSandbox`. */
  save(): SavedState;
  /** Calls `listener` after each request, verb and webhook: whenever the state may have changed. */
  onChange(listener: () => void): void;
  /** Stops retries and ends stalled requests. */
  close(): void;
}

/** A new sandbox: a demo user, alone or with events, and an OAuth application. */
export function createSandbox(options: SandboxOptions = {}): Sandbox {
  const { now, seed = 1, events, deliver = now === undefined ? "automatic" : "manual" } = options;
  const parts = assemble(new Clock(now), seed, { ...options, deliver });
  const { clock, control } = parts;
  // The account is older than anything that happens in it.
  clock.advance("-1000d");
  const organization = control.create_organization({ name: "Demo" });
  const user = control.create_user({
    name: "Demo Host",
    email: "host@example.com",
    organization: organization.uri,
    role: "owner",
  });
  const { token } = control.create_token({ user: user.uri, token: DEMO_TOKEN });
  const app = control.create_app({
    client_id: DEMO_CLIENT_ID,
    client_secret: DEMO_CLIENT_SECRET,
    name: "Demo app",
  });
  if (now === undefined) clock.advance("1000d");
  else clock.set(now);
  const sandbox = open(parts, { user, organization, token, app });
  if (events) control.populate(typeof events === "number" ? { events } : events);
  return sandbox;
}

/** A sandbox that goes on from a state that was saved; refuses what is none. */
export function loadSandbox(
  state: unknown,
  options: Pick<SandboxOptions, "deliver" | "fetch" | "publicUrl"> = {},
): Sandbox {
  const saved = readState(state);
  const deliver = options.deliver ?? (saved.webhooks.automatic ? "automatic" : "manual");
  const parts = assemble(Clock.load(saved.clock), 0, { ...options, deliver });
  try {
    const demo = loadInto(parts, saved);
    parts.webhooks.load(saved.webhooks); // Last, because it sends what is due.
    return open(parts, demo);
  } catch (error) {
    parts.webhooks.close();
    throw badState(error instanceof Error ? error.message : String(error));
  }
}

function loadInto(parts: Parts, saved: SavedState): Sandbox["demo"] {
  parts.world.load(saved.world);
  parts.tokens.load(saved.tokens);
  parts.oauth.load(saved.token_requests);
  parts.rateLimit.load(saved.rate_limit);
  parts.faults.load(saved.faults);
  parts.log.load(saved.requests);
  const { user, organization, token, client_id } = saved.demo;
  return structuredClone({
    user: parts.world.user(user),
    organization: parts.world.organization(organization),
    token,
    app: parts.tokens.app(client_id),
  });
}

type Parts = ReturnType<typeof assemble>;

function assemble(
  clock: Clock,
  seed: number,
  options: SandboxOptions & { deliver: "automatic" | "manual" },
) {
  const world = new World(clock, new Random(seed));
  const tokens = new Tokens(clock, new Random(world.random.int(0, 2 ** 31)));
  const webhooks = new Webhooks(world, {
    automatic: options.deliver === "automatic",
    fetch: options.fetch ?? fetch,
  });
  const bookings = new Bookings(
    world,
    (type, booking, asOf) => webhooks.announce(type, booking, asOf),
  );
  const publicUrl = baseUrl(options.publicUrl ?? BASE);
  const oauth = new OAuth(world, tokens, options.publicUrl === undefined ? "" : publicUrl);
  const faults = new Faults();
  const log = new RequestLog();
  const rateLimit = new RateLimit(clock);
  const parts = { clock, world, tokens, webhooks, bookings, oauth, faults, log, rateLimit };
  return { ...parts, publicUrl, control: new Control(parts) };
}

function open(parts: Parts, demo: Sandbox["demo"]): Sandbox {
  const { bookings, clock, webhooks } = parts;
  const listeners = new Set<() => void>();
  const changed = () => listeners.forEach((listener) => listener());
  webhooks.onAttempt = changed;
  clock.onMove(changed);
  parts.control.defaultUser = demo.user.uri;
  const control = followedBy(changed, parts.control);
  const closing = new AbortController();
  const api = new Api({
    ...parts,
    limitOf: (user) => control.limit_of(user),
    run: (verb, input) => control.run(verb, input),
    closing: closing.signal,
  });
  const save = (): SavedState => {
    bookings.settleReadyConferences();
    const state: SavedState = {
      calendly_sandbox: 1,
      clock: clock.save(),
      demo: {
        user: demo.user.uri,
        organization: demo.organization.uri,
        token: demo.token,
        client_id: demo.app.client_id,
      },
      world: parts.world.save(),
      tokens: parts.tokens.save(),
      token_requests: parts.oauth.save(),
      webhooks: webhooks.save(),
      rate_limit: parts.rateLimit.save(),
      faults: parts.faults.save(),
      requests: parts.log.save(),
    };
    return JSON.parse(JSON.stringify(state));
  };
  return {
    async fetch(request) {
      if (new URL(request.url).pathname.startsWith("/_sandbox")) {
        return await serveControl({ control, save }, request);
      }
      const response = await api.fetch(request);
      changed();
      return response;
    },
    control,
    clock,
    demo,
    truth: () => control.state(),
    save,
    onChange: (listener) => void listeners.add(listener),
    close() {
      webhooks.close();
      closing.abort();
    },
  };
}

/** The same verbs, each with a call of `after` when it has acted. */
function followedBy(after: () => void, control: Control): Control {
  return new Proxy(control, {
    get(target, name) {
      const verb = Reflect.get(target, name, target);
      if (typeof verb !== "function") return verb;
      return (...input: unknown[]) => {
        const answer = verb.apply(target, input);
        after();
        return answer;
      };
    },
  });
}

/** A URL to which a path can be added. */
function baseUrl(text: string): string {
  if (URL.canParse(text) && /^https?:/.test(text) && !/[?#]/.test(text)) {
    return text.replace(/\/+$/, "");
  }
  throw new SandboxError(
    "bad_url",
    `publicUrl cannot be ${text}.`,
    "Give an http or https URL without query, for example http://127.0.0.1:8090.",
  );
}

/** `POST /_sandbox/<verb>` with a JSON object; `GET` for what can be read. */
async function serveControl(
  { control, save }: Pick<Sandbox, "control" | "save">,
  request: Request,
): Promise<Response> {
  const { pathname, searchParams } = new URL(request.url);
  const verb = pathname.slice("/_sandbox/".length);
  try {
    if (request.method === "GET") {
      if (verb === "") return Response.json({ verbs: describeVerbs() });
      if (verb === "state") return Response.json(control.state());
      if (verb === "save") return Response.json(save());
      if (verb === "requests") {
        const { status, ...filter } = Object.fromEntries(searchParams);
        const input = status === undefined ? filter : { ...filter, status: Number(status) };
        return Response.json(control.run(verb, input));
      }
      if (["deliveries", "faults", "overview"].includes(verb)) {
        return Response.json(control.run(verb, {}));
      }
    }
    if (request.method !== "POST") {
      throw new SandboxError(
        "not_found",
        `There is no ${request.method} ${pathname}.`,
        "POST /_sandbox/<verb>, or GET /_sandbox for the verbs.",
      );
    }
    return Response.json(await control.run(verb, await inputOf(request)) ?? {});
  } catch (error) {
    if (!(error instanceof SandboxError)) throw error;
    const { code, message, hint } = error;
    const status = code === "not_found" || code === "unknown_verb" ? 404 : 400;
    return Response.json({ error: { code, message, hint } }, { status });
  }
}

async function inputOf(request: Request): Promise<Record<string, unknown>> {
  const text = await request.text();
  if (text === "") return {};
  try {
    const input = JSON.parse(text);
    if (typeof input === "object" && input !== null && !Array.isArray(input)) return input;
  } catch {
    // Refused below, like any other body that is not an object.
  }
  throw new SandboxError("bad_json", "The body must be a JSON object, or empty.");
}
