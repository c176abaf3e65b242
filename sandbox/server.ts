/** Serves a sandbox over HTTP: with Deno's own server, which is twice as fast there, or with Node's. */
import { Buffer } from "node:buffer";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { finished } from "node:stream";
import { SandboxError } from "./errors.ts";

/** What answers, and what ends the answers that are still to come. */
export interface Served {
  fetch(request: Request): Promise<Response>;
  close(): void;
}

interface Address {
  port?: number;
  hostname?: string;
}

interface Serving {
  url: string;
  stop(): Promise<void>;
}

/** Serves on a loopback address; `port` 0 takes a free one. A port that is taken is refused. */
export async function serveSandbox(served: Served, address: Address = {}): Promise<Serving> {
  const serve = typeof Deno === "undefined" ? serveOnNode : serveOnDeno;
  return await serve(served, address);
}

function serveOnDeno(served: Served, { port = 0, hostname = "127.0.0.1" }: Address): Serving {
  const answer: Deno.ServeHandler = async (request, { completed }) => {
    const gone = new AbortController();
    completed.catch(() => gone.abort());
    try {
      const { url, method, headers, body } = request;
      return await served.fetch(new Request(url, { method, headers, body, signal: gone.signal }));
    } catch (error) {
      if (!gone.signal.aborted) throw error;
      return new Response(null, { status: 499 }); // The caller has gone: nobody reads it.
    }
  };
  let server: Deno.HttpServer<Deno.NetAddr>;
  try {
    server = Deno.serve({ port, hostname, onListen() {} }, answer);
  } catch (error) {
    throw error instanceof Deno.errors.AddrInUse ? portTaken(port) : error;
  }
  return {
    url: `http://${hostname}:${server.addr.port}`,
    async stop() {
      served.close();
      await server.shutdown();
    },
  };
}

export async function serveOnNode(
  served: Served,
  { port = 0, hostname = "127.0.0.1" }: Address = {},
): Promise<Serving> {
  const unanswered = new Set<Promise<void>>();
  const server = createServer((incoming, outgoing) => {
    const answering = answer(served, incoming, outgoing).finally(() =>
      unanswered.delete(answering)
    );
    unanswered.add(answering);
  });
  const taken = await listen(server, port, hostname);
  return {
    url: `http://${hostname}:${taken}`,
    async stop() {
      served.close();
      const closed = new Promise((resolve) => server.close(resolve));
      await Promise.all(unanswered);
      server.closeAllConnections();
      await closed;
    },
  };
}

function portTaken(port: number): SandboxError {
  return new SandboxError("port_taken", `Port ${port} is taken.`, `Try port ${port + 1}.`);
}

function listen(server: Server, port: number, hostname: string): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once(
      "error",
      (error: Error & { code?: string }) =>
        reject(error.code === "EADDRINUSE" ? portTaken(port) : error),
    );
    server.listen(port, hostname, () => resolve((server.address() as AddressInfo).port));
  });
}

/** Answers one request; never rejects. */
async function answer(
  served: Served,
  incoming: IncomingMessage,
  outgoing: ServerResponse,
): Promise<void> {
  const gone = new AbortController();
  outgoing.once("close", () => {
    if (!outgoing.writableFinished) gone.abort();
  });
  try {
    const response = await served.fetch(await requestOf(incoming, gone.signal));
    const { bytes, whole } = await read(response.body);
    outgoing.writeHead(response.status, [...response.headers].flat());
    if (whole) outgoing.end(bytes);
    else outgoing.write(bytes, () => outgoing.destroy());
  } catch (error) {
    if (gone.signal.aborted) return void outgoing.destroy(); // Nobody reads it.
    console.error(error);
    outgoing.writeHead(500).end();
  }
  await new Promise((resolve) => finished(outgoing, resolve));
}

/** A body that breaks off, as a fault on demand lets it, is read up to there. */
async function read(body: ReadableStream<Uint8Array> | null) {
  const chunks: Uint8Array[] = [];
  try {
    for await (const chunk of body ?? []) chunks.push(chunk);
    return { bytes: Buffer.concat(chunks), whole: true };
  } catch {
    return { bytes: Buffer.concat(chunks), whole: false };
  }
}

async function requestOf(incoming: IncomingMessage, signal: AbortSignal): Promise<Request> {
  const { method = "GET", headers, url = "/" } = incoming;
  const hasBody = !["GET", "HEAD"].includes(method);
  const chunks: Uint8Array[] = [];
  if (hasBody) { for await (const chunk of incoming) chunks.push(chunk); }
  return new Request(new URL(url, `http://${headers.host ?? "sandbox"}`), {
    method,
    headers: Object.entries(headers).flatMap(([name, value]) =>
      [value ?? []].flat().map((text): [string, string] => [name, text])
    ),
    body: hasBody ? Buffer.concat(chunks) : null,
    signal,
  });
}
