/** Serves a sandbox over HTTP, on Node as on Deno. */
import { Buffer } from "node:buffer";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { finished } from "node:stream/promises";
import { SandboxError } from "./errors.ts";

/** What answers, and what ends the answers that are still to come. */
export interface Served {
  fetch(request: Request): Promise<Response>;
  close(): void;
}

/** Serves on a loopback address; `port` 0 takes a free one. A port that is taken is refused. */
export async function serveSandbox(
  served: Served,
  { port = 0, hostname = "127.0.0.1" }: { port?: number; hostname?: string } = {},
): Promise<{ url: string; stop(): Promise<void> }> {
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

function listen(server: Server, port: number, hostname: string): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once("error", (error: Error & { code?: string }) =>
      reject(
        error.code === "EADDRINUSE"
          ? new SandboxError("port_taken", `Port ${port} is taken.`, `Try --port ${port + 1}.`)
          : error,
      ));
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
    outgoing.writeHead(response.status, [...response.headers].flat());
    for await (const chunk of response.body ?? []) {
      await new Promise((written) => outgoing.write(chunk, written));
    }
    outgoing.end();
    await finished(outgoing);
  } catch (error) {
    // A body that breaks off is a fault on demand; a caller that has gone reads nothing.
    if (!outgoing.headersSent && !gone.signal.aborted) {
      console.error(error);
      outgoing.writeHead(500).end();
    } else {
      outgoing.destroy();
    }
  }
}

async function requestOf(incoming: IncomingMessage, signal: AbortSignal): Promise<Request> {
  const { method = "GET", headers, url = "/" } = incoming;
  const chunks: Uint8Array[] = [];
  for await (const chunk of incoming) chunks.push(chunk);
  return new Request(new URL(url, `http://${headers.host ?? "sandbox"}`), {
    method,
    headers: Object.entries(headers).flatMap(([name, value]) =>
      [value ?? []].flat().map((text): [string, string] => [name, text])
    ),
    body: chunks.length > 0 && !["GET", "HEAD"].includes(method) ? Buffer.concat(chunks) : null,
    signal,
  });
}
