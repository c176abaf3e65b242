/**
 * A project and a Calendly of canned answers on one loopback server, for tests of what the functions say
 * and ask where the real ones never would: another version, a broken answer.
 */

/** What answers a request: an RPC by its name, anything else by "METHOD /path". */
export type Answers = Record<string, (body: unknown, request: Request) => unknown>;

/** A request that arrived. `body` is what its JSON says, or its text. */
export interface Arrived {
  name: string;
  url: URL;
  // deno-lint-ignore no-explicit-any -- each test knows what it asked for
  body: any;
  headers: Headers;
}

export const SECRET_KEY = "sb_secret_of_the_stub";
export const TOKEN_KEY = "a key of the stub's that encrypts tokens";

export class Stub implements AsyncDisposable {
  readonly arrived: Arrived[] = [];
  readonly url: string;
  readonly #server: Deno.HttpServer<Deno.NetAddr>;
  readonly #arrivals: (() => void)[] = [];

  /** A value that is not a Response is answered as JSON; what is not in `answers` is answered with 404. */
  constructor(public answers: Answers, environment: Record<string, string> = {}) {
    this.#server = Deno.serve(
      { hostname: "127.0.0.1", port: 0, onListen() {} },
      (request) => this.#answer(request),
    );
    this.url = `http://127.0.0.1:${this.#server.addr.port}`;
    setEnvironment({
      SUPABASE_URL: this.url,
      SUPABASE_SECRET_KEYS: JSON.stringify({ default: SECRET_KEY }),
      SUPABASE_PUBLISHABLE_KEYS: JSON.stringify({ default: "sb_publishable_of_the_stub" }),
      CALENDLY_API_URL: this.url,
      CALENDLY_AUTH_URL: this.url,
      CALENDLY_TOKEN_KEY: TOKEN_KEY,
      ...environment,
    });
  }

  /** The bodies of the requests of that name. */
  asked(name: string): Arrived["body"][] {
    return this.arrived.filter((request) => request.name === name).map(({ body }) => body);
  }

  /** The names of the requests that arrived, in order. */
  get names(): string[] {
    return this.arrived.map(({ name }) => name);
  }

  /** Until so many requests of that name have arrived. */
  async arrival(name: string, times = 1): Promise<void> {
    while (this.asked(name).length < times) {
      await new Promise<void>((resolve) => this.#arrivals.push(resolve));
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.shutdown();
    setEnvironment({});
  }

  async #answer(request: Request): Promise<Response> {
    const url = new URL(request.url);
    const { pathname } = url;
    const [, rpc] = pathname.match(/^\/rest\/v1\/rpc\/(\w+)$/) ?? [];
    const name = rpc ?? `${request.method} ${pathname}`;
    const text = await request.text();
    const body = text.startsWith("{") ? JSON.parse(text) : text;
    this.arrived.push({ name, url, body, headers: request.headers });
    this.#arrivals.splice(0).forEach((arrived) => arrived());
    const answer = this.answers[name];
    if (!answer) return Response.json({ code: "PGRST202", message: `no ${name}` }, { status: 404 });
    const value = await answer(body, request);
    return value instanceof Response ? value : Response.json(value ?? null);
  }
}

/** Sets these variables of the functions and no others. */
export function setEnvironment(environment: Record<string, string>): void {
  for (const name of Object.keys(Deno.env.toObject())) {
    if (/^(SUPABASE|CALENDLY)_/.test(name)) Deno.env.delete(name);
  }
  for (const [name, value] of Object.entries(environment)) Deno.env.set(name, value);
}

/** Collects what is logged as errors until it is disposed of. */
export function collectErrors(): { lines: string[] } & Disposable {
  const lines: string[] = [];
  const { error } = console;
  console.error = (...words: unknown[]) => void lines.push(words.join(" "));
  return { lines, [Symbol.dispose]: () => void (console.error = error) };
}

/** A clock that stands still until a test moves it, in place of performance.now. */
export function stillClock(): { now: number } & Disposable {
  const { now } = performance;
  const clock = { now: 0, [Symbol.dispose]: () => void (performance.now = now) };
  performance.now = () => clock.now;
  return clock;
}
