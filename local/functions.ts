/**
 * The Edge Functions of supabase/functions, each in a Deno process of its own with its own environment and
 * few permissions, started by its first request and again after it has ended.
 */
import { fileURLToPath } from "node:url";

const FUNCTIONS = new URL("../supabase/functions/", import.meta.url);
const WORKER = new URL("./worker.ts", import.meta.url);
const KEPT_LOG_LINES = 10_000;

/**
 * A connection to a function is used for one request. A function may answer before it has read a whole
 * body; the request after it on the same connection would then fail.
 */
const client = Deno.createHttpClient({ poolMaxIdlePerHost: 0 });

export interface FunctionsOptions {
  /** What the functions find in their environment. Called when one starts. */
  environment: () => Record<string, string>;
  /** Path of the Deno that runs them; by default the one that runs the stack. */
  deno?: string;
  folder?: URL;
  /** How many times sooner the functions' pauses end, between attempts or before a step; by default 1. */
  shortenPauses?: number;
  /** Gets every line that a function prints. */
  log?: (name: string, line: string) => void;
}

/** The functions as the platform's gateway sees them. */
export class Functions {
  readonly #options: FunctionsOptions;
  readonly #folder: URL;
  readonly #workers = new Map<string, Worker>();

  constructor(options: FunctionsOptions) {
    this.#options = options;
    this.#folder = options.folder ?? FUNCTIONS;
  }

  /**
   * Passes a request on to the function called `name`. Where no function answers, this does, with the
   * platform's codes: NOT_FOUND, BOOT_ERROR, WORKER_ERROR.
   */
  async fetch(name: string, request: Request): Promise<Response> {
    let worker: Worker;
    try {
      worker = await this.#worker(name);
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) {
        return errorResponse(404, "NOT_FOUND", "Requested function was not found");
      }
      throw error;
    }
    let address: string;
    try {
      address = await worker.start();
    } catch {
      return errorResponse(503, "BOOT_ERROR", "Function failed to start (please check logs)");
    }
    const { pathname, search } = new URL(request.url);
    try {
      const { method, body } = request;
      const headers = new Headers(request.headers);
      headers.set("accept-encoding", "identity"); // Or this very hop would be compressed.
      return await fetch(address + pathname.slice("/functions/v1".length) + search, {
        method,
        headers,
        body,
        redirect: "manual",
        client,
      });
    } catch {
      await worker.waitForEnd();
      return errorResponse(
        500,
        "WORKER_ERROR",
        "Function exited due to an error (please check logs)",
      );
    }
  }

  /** Starts every function, which the first time fetches what it imports. Returns their names. */
  async warm(): Promise<string[]> {
    const names: string[] = [];
    for await (const { name } of Deno.readDir(this.#folder)) {
      if (await exists(new URL(`${name}/index.ts`, this.#folder))) names.push(name);
    }
    await Promise.all(names.map(async (name) => (await this.#worker(name)).start()));
    return names.sort();
  }

  /** Ends a function as if its machine had failed; the next request starts it again. */
  async kill(name: string): Promise<void> {
    await this.#workers.get(name)?.kill();
  }

  /** The last lines that a function printed. */
  logs(name: string): string[] {
    return this.#workers.get(name)?.lines ?? [];
  }

  /** The memory that a running function holds, in bytes; 0 when it does not run. */
  async memory(name: string): Promise<number> {
    return await this.#workers.get(name)?.memory() ?? 0;
  }

  /** The process of a running function. */
  pid(name: string): number | undefined {
    return this.#workers.get(name)?.pid;
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#workers.values()].map((worker) => worker.kill()));
  }

  /** Throws Deno.errors.NotFound where there is no such function. */
  async #worker(name: string): Promise<Worker> {
    const known = this.#workers.get(name);
    if (known) return known;
    const folder = new URL(`${name}/`, this.#folder);
    if (!/^[a-z0-9-]+$/.test(name) || !await exists(new URL("index.ts", folder))) {
      throw new Deno.errors.NotFound(`There is no function ${name}.`);
    }
    const isLocked = await exists(new URL("deno.lock", folder));
    const worker = this.#workers.get(name) ?? new Worker(name, folder, isLocked, this.#options);
    this.#workers.set(name, worker);
    return worker;
  }
}

/** One function's process. */
class Worker {
  readonly lines: string[] = [];
  readonly #name: string;
  readonly #folder: URL;
  readonly #isLocked: boolean;
  readonly #options: FunctionsOptions;
  #child?: Deno.ChildProcess;
  #address?: Promise<string>;
  #ended?: Promise<void>;

  constructor(name: string, folder: URL, isLocked: boolean, options: FunctionsOptions) {
    this.#name = name;
    this.#folder = folder;
    this.#isLocked = isLocked;
    this.#options = options;
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** Its address, once it listens. Throws when it ends instead. */
  start(): Promise<string> {
    return this.#address ??= this.#spawn();
  }

  async kill(): Promise<void> {
    const child = this.#child;
    if (!child) return;
    try {
      child.kill("SIGKILL");
    } catch (error) {
      if (!(error instanceof TypeError)) throw error; // It has ended by itself.
    }
    await this.#ended;
  }

  /** Waits half a second for a process that may be ending, so that the next request starts a new one. */
  async waitForEnd(): Promise<void> {
    if (!this.#child) return;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const moment = new Promise((resolve) => timer = setTimeout(resolve, 500));
    await Promise.race([this.#ended, moment]);
    clearTimeout(timer);
  }

  async memory(): Promise<number> {
    if (!this.#child) return 0;
    const status = await new Deno.Command("ps", {
      args: ["-o", "rss=", "-p", String(this.#child.pid)],
    }).output();
    return Number(new TextDecoder().decode(status.stdout)) * 1024;
  }

  #spawn(): Promise<string> {
    const environment = this.#options.environment();
    const child = new Deno.Command(this.#options.deno ?? Deno.execPath(), {
      args: [
        "run",
        "--quiet",
        "--no-prompt",
        this.#isLocked ? "--frozen" : "--no-lock",
        `--config=${fileURLToPath(new URL("deno.json", this.#folder))}`,
        `--allow-read=${fileURLToPath(new URL("../", this.#folder))}`,
        "--allow-env",
        `--allow-net=${reachable(environment).join(",")}`,
        fileURLToPath(WORKER),
        new URL("index.ts", this.#folder).href,
        String(this.#options.shortenPauses ?? 1),
      ],
      clearEnv: true,
      env: { ...denoEnvironment(), ...environment, NO_COLOR: "1" },
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    this.#child = child;
    const listening = Promise.withResolvers<string>();
    const read = Promise.all([
      this.#read(child.stdout, (port) => listening.resolve(`http://127.0.0.1:${port}`)),
      this.#read(child.stderr, () => {}),
    ]);
    this.#ended = (async () => {
      const [{ code, signal }] = await Promise.all([child.status, read]);
      await child.stdin.close().catch(() => {});
      this.#child = undefined;
      this.#address = undefined;
      listening.reject(new Error(`${this.#name} ended with ${signal ?? `code ${code}`}`));
    })();
    listening.promise.catch(() => {});
    return listening.promise;
  }

  async #read(
    stream: ReadableStream<Uint8Array<ArrayBuffer>>,
    onPort: (port: string) => void,
  ): Promise<void> {
    let rest = "";
    for await (const text of stream.pipeThrough(new TextDecoderStream())) {
      const lines = (rest + text).split("\n");
      rest = lines.pop()!;
      lines.forEach((line) => this.#line(line, onPort));
    }
    if (rest) this.#line(rest, onPort);
  }

  #line(line: string, onPort: (port: string) => void): void {
    const port = line.match(/^worker listens on (\d+)$/)?.[1];
    if (port) return onPort(port);
    this.lines.push(line);
    if (this.lines.length > KEPT_LOG_LINES) this.lines.shift();
    this.#options.log?.(this.#name, line);
  }
}

/** Hosts that a function may reach: those that its environment names. */
function reachable(environment: Record<string, string>): string[] {
  const hosts = ["127.0.0.1:0"];
  for (const value of Object.values(environment)) {
    if (!/^https?:\/\//.test(value)) continue;
    const { hostname, port, protocol } = new URL(value);
    hosts.push(`${hostname}:${port || (protocol === "https:" ? 443 : 80)}`);
  }
  return [...new Set(hosts)];
}

/** What Deno itself needs to find its cache, its registry and its certificates. */
export function denoEnvironment(all = Deno.env.toObject()): Record<string, string> {
  const kept =
    /^(HOME|USERPROFILE|LOCALAPPDATA|XDG_CACHE_HOME|TMPDIR|DENO_(?!SERVE).*|NPM_CONFIG_.*)$/;
  const certificates = /^(SSL_CERT_(FILE|DIR)|NODE_EXTRA_CA_CERTS)$/;
  const proxies = /^(HTTPS?_PROXY|NO_PROXY)$/;
  return Object.fromEntries(
    Object.entries(all).filter(([name]) =>
      [kept, certificates, proxies].some((names) => names.test(name.toUpperCase()))
    ),
  );
}

async function exists(file: URL): Promise<boolean> {
  try {
    return (await Deno.stat(file)).isFile;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory) {
      return false;
    }
    throw error;
  }
}

function errorResponse(status: number, code: string, message: string): Response {
  return Response.json({ code, message }, { status });
}
