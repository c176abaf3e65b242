/** Stands before an HTTP server on loopback: counts the requests, and delays each as a network would. */

export class Proxy implements AsyncDisposable {
  readonly url: string;
  readonly #server: Deno.HttpServer<Deno.NetAddr>;
  #paths: string[] = [];
  #target = "";

  constructor(readonly milliseconds: number) {
    this.#server = Deno.serve(
      { hostname: "127.0.0.1", port: 0, onListen() {} },
      (request) => this.#pass(request),
    );
    this.url = `http://127.0.0.1:${this.#server.addr.port}`;
  }

  leadTo(url: string): void {
    this.#target = url;
  }

  /** How many requests there have been since this was last asked, of those whose path has this in it. */
  taken(part = ""): number {
    const taken = this.#paths.filter((path) => path.includes(part)).length;
    this.#paths = [];
    return taken;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.shutdown();
  }

  async #pass(request: Request): Promise<Response> {
    const { pathname, search } = new URL(request.url);
    this.#paths.push(pathname);
    const body = request.body && new Uint8Array(await request.arrayBuffer());
    const headers = new Headers(request.headers);
    headers.set("accept-encoding", "identity");
    if (this.milliseconds > 0) {
      await new Promise((resolve) => setTimeout(resolve, this.milliseconds));
    }
    return await fetch(this.#target + pathname + search, {
      method: request.method,
      headers,
      body,
      redirect: "manual",
    });
  }
}
