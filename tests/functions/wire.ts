/**
 * Stands between the functions and the project's Data API and Auth: a test sees every call that a
 * function makes there, and can hold one up, lose its answer or refuse it.
 */

export type Forward = () => Promise<Response>;

/** What becomes of one call, in place of passing it on. */
export type Interception = (forward: Forward) => Promise<Response>;

export class Wire {
  /** The SQL functions called since the list was last emptied, oldest first. */
  readonly calls: string[] = [];
  /** How often a worker of the schedule found nothing left to do. */
  idleClaims = 0;
  readonly url: string;
  readonly #server: Deno.HttpServer<Deno.NetAddr>;
  readonly #interceptions = new Map<string, Interception[]>();
  #target = "";

  constructor() {
    this.#server = Deno.serve(
      { hostname: "127.0.0.1", port: 0, onListen() {} },
      (request) => this.#pass(request),
    );
    this.url = `http://127.0.0.1:${this.#server.addr.port}`;
  }

  /** Where calls go from now on. */
  leadTo(url: string): void {
    this.#target = url;
  }

  /** Intercepts the next call of an SQL function (or of a path: "/auth/v1/user"), or the next but so many. */
  next(rpc: string, interception: Interception, skip = 0): void {
    const waiting = this.#interceptions.get(rpc) ?? [];
    for (let passed = 0; passed < skip; passed++) waiting.push((forward) => forward());
    this.#interceptions.set(rpc, [...waiting, interception]);
  }

  /** Holds the next call back: `arrived` when it has come, and `release` lets it go on. */
  hold(rpc: string, skip = 0): { arrived: Promise<void>; release: () => void } {
    const arrived = Promise.withResolvers<void>();
    const released = Promise.withResolvers<void>();
    this.next(rpc, async (forward) => {
      arrived.resolve();
      await released.promise;
      return await forward();
    }, skip);
    return { arrived: arrived.promise, release: released.resolve };
  }

  /** Passes the next call on, and loses its answer as a broken connection would. */
  loseAnswer(rpc: string, skip = 0): void {
    this.next(rpc, async (forward) => {
      await (await forward()).body?.cancel();
      return unavailable();
    }, skip);
  }

  /** Refuses the next calls as a gateway does whose database is away. */
  refuse(rpc: string, times: number): void {
    for (let call = 0; call < times; call++) this.next(rpc, () => Promise.resolve(unavailable()));
  }

  async stop(): Promise<void> {
    await this.#server.shutdown();
  }

  async #pass(request: Request): Promise<Response> {
    const { pathname, search } = new URL(request.url);
    const body = request.body && new Uint8Array(await request.arrayBuffer());
    const headers = new Headers(request.headers);
    headers.set("accept-encoding", "identity");
    const forward = () =>
      fetch(this.#target + pathname + search, { method: request.method, headers, body });
    const [, rpc] = pathname.match(/^\/rest\/v1\/rpc\/(\w+)$/) ?? [];
    if (rpc) this.calls.push(rpc);
    const interception = this.#interceptions.get(rpc ?? pathname)?.shift();
    const response = interception ? await interception(forward) : await forward();
    if (rpc === "calendly_claim_sync" && await isIdle(response.clone())) this.idleClaims++;
    return response;
  }
}

async function isIdle(claim: Response): Promise<boolean> {
  const { status, revocations_due } = await claim.json().catch(() => ({}));
  return status === "idle" && !revocations_due;
}

function unavailable(): Response {
  return new Response("upstream connect error", { status: 503 });
}
