/** Serves a console on a port of this machine, by Node's server: on Node and on Deno alike. */
import { Buffer } from "node:buffer";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { Problem } from "../problem.ts";
import type { Console } from "./server.ts";

const HOSTNAME = "127.0.0.1";

/** In bytes: the largest body that is read. */
const MAX_BODY = 1_000_000;

export interface Listening {
  console: Console;
  /** Where it answers. */
  url: string;
  stop(): Promise<void>;
}

/**
 * Listens on the loopback address; port 0 takes a free one. `open` makes the console once its origins are
 * known. `onError` gets what should not have happened. Error: port_taken.
 */
export async function listen(
  port: number,
  open: (origins: string[]) => Console,
  onError: (error: unknown) => void,
): Promise<Listening> {
  const server = createServer();
  const taken = await bind(server, port);
  const origins = [HOSTNAME, "localhost"].map((name) => `http://${name}:${taken}`);
  const console = open(origins);
  server.on("request", (incoming: IncomingMessage, outgoing: ServerResponse) => {
    answer(console, incoming)
      .catch((error): Answered => {
        onError(error);
        return { status: 500, headers: [], bytes: Buffer.from("The console has failed.\n") };
      })
      .then((answered) => send(outgoing, answered));
  });
  return {
    console,
    url: origins[0],
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function bind(server: Server, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once("error", (cause: Error & { code?: string }) =>
      reject(
        cause.code !== "EADDRINUSE" ? cause : new Problem(
          "port_taken",
          `Port ${port} is taken.`,
          "Choose another one with --port, or leave it out for a free one.",
          { cause },
        ),
      ));
    server.listen(port, HOSTNAME, () => resolve((server.address() as AddressInfo).port));
  });
}

interface Answered {
  status: number;
  headers: [string, string][];
  bytes: Uint8Array;
}

async function answer(console: Console, incoming: IncomingMessage): Promise<Answered> {
  const request = await requestOf(incoming);
  const response = typeof request === "number"
    ? new Response(null, { status: request })
    : await console.fetch(request) ?? new Response("There is no such page.\n", { status: 404 });
  return {
    status: response.status,
    headers: [...response.headers],
    bytes: new Uint8Array(await response.arrayBuffer()),
  };
}

/** The request, or the status with which it is refused. */
async function requestOf(incoming: IncomingMessage): Promise<Request | number> {
  const { method = "GET", headers, url = "" } = incoming;
  // A path, and no other form: what the Host header says must be what is asked.
  const address = `http://${headers.host}${url}`;
  if (!url.startsWith("/") || !headers.host || !URL.canParse(address)) return 400;
  if (!["GET", "HEAD", "POST", "DELETE"].includes(method)) return 405;
  const body = await read(incoming);
  if (!body) return 413;
  return new Request(address, {
    method,
    headers: Object.entries(headers).flatMap(([name, value]) =>
      [value ?? []].flat().map((text): [string, string] => [name, text])
    ),
    body: method === "GET" || method === "HEAD" ? null : body as BodyInit,
  });
}

/** Undefined: there is too much of it, or whoever sent it has gone and reads no answer. */
async function read(incoming: IncomingMessage): Promise<Uint8Array | undefined> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  try {
    for await (const chunk of incoming) {
      size += chunk.length;
      if (size > MAX_BODY) return undefined;
      chunks.push(chunk);
    }
  } catch {
    return undefined;
  }
  return Buffer.concat(chunks);
}

function send(outgoing: ServerResponse, { status, headers, bytes }: Answered): void {
  outgoing.writeHead(status, Object.fromEntries(headers));
  outgoing.end(bytes);
}
