/**
 * The console's server: serves the page, and lets a browser with a session ask the project what only its
 * secret key may. The key stays here. The local stack serves it at its own address, `calendly-sync console`
 * for a hosted project; both on the loopback address alone.
 *
 * Any page that is open in a browser can send requests to a loopback address. So each request must be meant
 * for this address (a name that leads here by DNS is refused), each that needs a session must come from this
 * very page, and a write must say so.
 */
import { createHash } from "node:crypto";
import { promisify } from "node:util";
import { brotliCompress, constants, gzip as gzipData } from "node:zlib";
import { VERSION } from "../../supabase/functions/_shared/calendly/version.ts";
import { PROGRAM } from "../command.ts";
import { Problem } from "../problem.ts";
import type { ProblemCode } from "../problem_codes.ts";
import { Access, isSameSecret } from "./access.ts";
import {
  allowedFormat,
  allowedPreference,
  findForeignTable,
  FUNCTION_CALLS,
  RPCS,
  TABLES,
} from "./allowed.ts";
import { DATA_HEADERS, forward } from "./forward.ts";

export interface ConsoleOptions {
  /** The page's files by name. It is called when one is asked for. */
  files: () => Promise<ReadonlyMap<string, Uint8Array>>;
  project: { url: string; publishableKey: string; secretKey: string; kind: "local" | "hosted" };
  /** Where the console answers, such as http://127.0.0.1:54321; links lead to the first. */
  origins: string[];
  /** Whether the project broadcasts changes. */
  realtime?: boolean;
  /** Does what a verb of the sandbox says. Error: VerbRefused. */
  sandbox?: (verb: string, args: unknown) => Promise<unknown>;
  /** Somebody as whom everyone may sign in. */
  demoUser?: { email: string; password: string };
  /** How many milliseconds the project's clock is ahead of real time: none but in a local stack. */
  ahead?: () => number;
  /** Milliseconds since 1970. */
  now?: () => number;
}

/** Why the sandbox does not do what a verb says. Its codes are its own: docs/sandbox.md. */
export class VerbRefused extends Error {
  constructor(readonly code: string, message: string, readonly hint = "") {
    super(message);
  }
}

export interface Console {
  /** Undefined: the path is none of the console's. */
  fetch(request: Request): Promise<Response | undefined>;
  /** A new link that opens operations, once. */
  link(): string;
}

export function createConsole(options: ConsoleOptions): Console {
  const server = new ConsoleServer(options);
  return { fetch: (request) => server.fetch(request), link: () => server.link() };
}

const CONTENT_TYPES: Record<string, string> = {
  html: "text/html; charset=utf-8",
  js: "text/javascript; charset=utf-8",
  css: "text/css; charset=utf-8",
  svg: "image/svg+xml",
};

/** A refusal, with the status that it is answered with. */
class Refusal extends Problem {
  constructor(readonly status: number, code: ProblemCode, message: string, hint: string) {
    super(code, message, hint);
  }
}

class ConsoleServer {
  readonly #options: ConsoleOptions;
  readonly #access: Access;
  /** As browsers write them: without the port where it is 80. */
  readonly #origins: string[];
  readonly #hosts: Set<string>;

  constructor(options: ConsoleOptions) {
    const addresses = options.origins.map((origin) => new URL(origin));
    this.#options = options;
    this.#access = new Access(addresses[0].port || "80", options.now);
    this.#origins = addresses.map(({ origin }) => origin);
    this.#hosts = new Set(addresses.map(({ host }) => host));
  }

  link(): string {
    return `${this.#origins[0]}/console/open?code=${this.#access.createCode()}`;
  }

  async fetch(request: Request): Promise<Response | undefined> {
    const { pathname } = new URL(request.url);
    try {
      if (pathname.startsWith("/console/")) {
        this.#checkHost(request);
        return await this.#answer(request, pathname.slice("/console/".length));
      }
      if (request.method !== "GET" && request.method !== "HEAD") return undefined;
      const name = pathname === "/" ? "index.html" : pathname.slice(1);
      const type = CONTENT_TYPES[name.match(/^[\w-]+\.(\w+)$/)?.[1] ?? ""];
      return type ? await this.#file(request, name, type) : undefined;
    } catch (error) {
      return refuse(request, error);
    }
  }

  async #file(request: Request, name: string, type: string): Promise<Response | undefined> {
    const bytes = (await this.#options.files()).get(name);
    if (!bytes) return undefined;
    this.#checkHost(request);
    const { etag, ...forms } = await prepare(bytes);
    const accepted = request.headers.get("accept-encoding") ?? "";
    const encoding = (["br", "gzip"] as const).find((name) => accepted.includes(name));
    const headers = {
      "cache-control": "no-cache",
      ...encoding && { "content-encoding": encoding },
      "content-security-policy": this.#contentSecurityPolicy(),
      "content-type": type,
      "cross-origin-opener-policy": "same-origin",
      "cross-origin-resource-policy": "same-origin",
      etag,
      "referrer-policy": "no-referrer",
      vary: "accept-encoding",
      "x-content-type-options": "nosniff",
    };
    if (request.headers.get("if-none-match") === etag) {
      return new Response(null, { status: 304, headers });
    }
    const body = encoding ? forms[encoding] : bytes;
    return new Response(request.method === "HEAD" ? null : body as BodyInit, { headers });
  }

  #contentSecurityPolicy(): string {
    const { origin } = new URL(this.#options.project.url);
    return [
      "default-src 'none'",
      "script-src 'self'",
      "style-src 'self'",
      "img-src 'self' data:",
      "font-src 'self'",
      `connect-src 'self' ${origin} ${origin.replace(/^http/, "ws")}`,
      "base-uri 'none'",
      "form-action 'none'",
      "frame-ancestors 'none'",
    ].join("; ");
  }

  async #answer(request: Request, path: string): Promise<Response> {
    if (path === "open" && request.method === "GET") return this.#open(request);
    if (path === "link" && request.method === "POST") return this.#newLink(request);
    this.#checkOrigin(request);
    if (path === "config" && request.method === "GET") return json(this.#config(request));
    this.#checkSession(request);
    const [service, ...rest] = path.split("/");
    if (service === "rest") return await this.#data(request, rest);
    if (service === "functions") return await this.#function(request, rest);
    if (service === "sandbox") return await this.#sandbox(request, rest);
    throw notAllowed(request);
  }

  /** Exchanges a link's code for a session. */
  #open(request: Request): Response {
    // A browser that looks ahead would use the code up.
    if (/prefetch/.test(request.headers.get("sec-purpose") ?? "")) {
      return new Response(null, { status: 503, headers: { "cache-control": "no-store" } });
    }
    const code = new URL(request.url).searchParams.get("code") ?? "";
    const cookie = this.#access.openSession(code);
    const isIn = cookie !== undefined || this.#access.hasSession(request.headers);
    return new Response(null, {
      status: 303,
      headers: {
        "cache-control": "no-store",
        location: isIn ? "/#/operations" : "/#/operations?link=used",
        "referrer-policy": "no-referrer",
        ...cookie && { "set-cookie": cookie },
      },
    });
  }

  /** A new link, for a program that has the project's key. */
  #newLink(request: Request): Response {
    this.#checkOrigin(request, { required: false });
    const { secretKey } = this.#options.project;
    const [, key = ""] = request.headers.get("authorization")?.match(/^Bearer (.*)$/) ?? [];
    if (!isSameSecret(key, secretKey)) {
      throw new Refusal(
        401,
        "wrong_key",
        "This needs the project's secret key.",
        `${PROGRAM} console sends it.`,
      );
    }
    return json({ link: this.link() });
  }

  #config(request: Request) {
    const { project, realtime = false, sandbox, demoUser } = this.#options;
    const ahead = this.#options.ahead?.() ?? 0;
    return {
      url: project.url,
      publishable_key: project.publishableKey,
      kind: project.kind,
      operations: this.#access.hasSession(request.headers),
      realtime,
      sandbox: sandbox !== undefined,
      ...demoUser && { demo_user: demoUser },
      ...ahead !== 0 && { ahead },
      version: VERSION,
    };
  }

  async #data(request: Request, [version, name, rpc, ...rest]: string[]): Promise<Response> {
    const { method, headers } = request;
    const isRead = method === "GET" || method === "HEAD";
    const isAllowed = version === "v1" && rest.length === 0 && (
      rpc === undefined
        ? isRead && TABLES.has(name)
        : name === "rpc" && method === "POST" && RPCS.has(rpc)
    );
    if (!isAllowed) throw notAllowed(request);
    const query = allowedQuery(request);
    const table = findForeignTable(query);
    if (table !== undefined) throw notAllowed(request, `select of ${table}`);
    const { secretKey } = this.#options.project;
    const sent: Record<string, string | null | undefined> = {
      authorization: `Bearer ${secretKey}`,
      accept: allowedFormat(headers.get("accept")),
      "accept-profile": isRead ? "public" : undefined,
      "content-profile": isRead ? undefined : "public",
      prefer: allowedPreference(headers.get("prefer")),
      range: headers.get("range"),
      "range-unit": headers.get("range") && "items",
    };
    return await forward(this.#options.project, {
      method,
      path: `/rest/v1/${rpc === undefined ? name : `rpc/${rpc}`}?${query}`,
      headers: Object.fromEntries(
        Object.entries(sent).filter((header): header is [string, string] => Boolean(header[1])),
      ),
      body: isRead ? undefined : await request.text() || "{}",
    });
  }

  async #function(request: Request, [version, ...rest]: string[]): Promise<Response> {
    const { method } = request;
    const path = rest.join("/");
    if (version !== "v1" || !FUNCTION_CALLS.get(path)?.includes(method)) throw notAllowed(request);
    return await forward(this.#options.project, {
      method,
      path: `/functions/v1/${path}?${allowedQuery(request)}`.replace(/\?$/, ""),
      body: method === "GET" ? undefined : await request.text() || undefined,
    });
  }

  async #sandbox(request: Request, [verb, ...rest]: string[]): Promise<Response> {
    const { sandbox } = this.#options;
    if (!sandbox || request.method !== "POST" || !/^[a-z_]+$/.test(verb) || rest.length > 0) {
      throw notAllowed(request);
    }
    const text = await request.text() || "{}";
    let args: unknown;
    try {
      args = JSON.parse(text);
    } catch {
      throw new Refusal(400, "invalid_json", "The body is not JSON.", "Send the verb's arguments.");
    }
    try {
      return json(await sandbox(verb, args) ?? null);
    } catch (error) {
      if (!(error instanceof VerbRefused)) throw error;
      throw new Refusal(400, error.code as ProblemCode, error.message, error.hint);
    }
  }

  /** Error: wrong_host. A page elsewhere can make a name of its own lead to this address. */
  #checkHost(request: Request): void {
    const { host } = new URL(request.url);
    const named = request.headers.get("host");
    if (this.#hosts.has(host) && (named === null || this.#hosts.has(named))) return;
    throw new Refusal(
      421,
      "wrong_host",
      "The console does not answer under this name.",
      `Open it at ${this.#origins[0]}/.`,
    );
  }

  /** Error: wrong_origin. Browsers tell where a request comes from, and pages cannot change it. */
  #checkOrigin({ method, headers }: Request, { required = isWrite(method) } = {}): void {
    const origin = headers.get("origin");
    const isOwn = origin === null ? !required : this.#origins.includes(origin);
    const site = headers.get("sec-fetch-site") ?? "same-origin";
    if (isOwn && ["same-origin", "none"].includes(site)) return;
    throw new Refusal(
      403,
      "wrong_origin",
      "Only the console's own page may ask this.",
      `Open it at ${this.#origins[0]}/.`,
    );
  }

  /** Error: no_session. */
  #checkSession({ headers }: Request): void {
    if (this.#access.hasSession(headers)) return;
    throw new Refusal(
      401,
      "no_session",
      "This browser has no session for operations.",
      `${PROGRAM} console makes a link that opens one.`,
    );
  }
}

interface Prepared {
  etag: string;
  br: Uint8Array;
  gzip: Uint8Array;
}

const prepared = new WeakMap<Uint8Array, Promise<Prepared>>();

/** What is made of a file once. */
function prepare(bytes: Uint8Array): Promise<Prepared> {
  if (!prepared.has(bytes)) prepared.set(bytes, makeForms(bytes));
  return prepared.get(bytes)!;
}

async function makeForms(bytes: Uint8Array): Promise<Prepared> {
  // The best quality takes two seconds, and saves a tenth.
  const params = { [constants.BROTLI_PARAM_QUALITY]: 9 };
  const [br, gzip] = await Promise.all([
    promisify(brotliCompress)(bytes, { params }),
    promisify(gzipData)(bytes, { level: 9 }),
  ]);
  const hash = createHash("sha256").update(bytes).digest("hex").slice(0, 32);
  return { etag: `W/"${hash}"`, br, gzip };
}

function isWrite(method: string): boolean {
  return method !== "GET" && method !== "HEAD";
}

/** The query without a key, by which the platform, too, would let itself be told who asks. */
function allowedQuery(request: Request): URLSearchParams {
  const { searchParams } = new URL(request.url);
  if ([...searchParams.keys()].some((name) => name.toLowerCase() === "apikey")) {
    throw notAllowed(request, "the parameter apikey");
  }
  return searchParams;
}

function notAllowed({ method, url }: Request, what = "this"): Refusal {
  const { pathname } = new URL(url);
  return new Refusal(
    404,
    "not_allowed",
    `The console does not pass on ${what}: ${method} ${pathname}.`,
    "Ask the project itself, with a key of yours.",
  );
}

function json(body: unknown, status = 200): Response {
  return Response.json(body, { status, headers: DATA_HEADERS });
}

/** Errors that are no Problem are faults of this program. */
function refuse(request: Request, error: unknown): Response {
  if (!(error instanceof Problem)) throw error;
  const status = error instanceof Refusal ? error.status : 502;
  const response = json({ error }, status);
  return request.method === "HEAD" ? new Response(null, response) : response;
}
