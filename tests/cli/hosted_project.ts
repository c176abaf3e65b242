/**
 * A stand-in of one hosted project, as the outside sees it: Postgres, the Data API and Auth, the schedule,
 * and whatever functions were deployed: their uploaded files alone, on the platform's Deno, with the
 * project's secrets. Needs a real Postgres.
 */
import { jwtVerify } from "jose";
import { createDataApi } from "../../local/data_api.ts";
import { startTicker } from "../../local/cron.ts";
import { type Database, openPostgres, type Preparation } from "../../local/database.ts";
import { Functions } from "../../local/functions.ts";
import { type Keys, makeKeys } from "../../local/keys.ts";
import { platformEnvironment } from "../../local/stack.ts";
import { createDatabase } from "../harness/databases.ts";
import { findDeno, PLATFORM_DENO } from "../harness/npm_programs.ts";

/** What was uploaded of a function: its files by their paths, and the CLI's metadata. */
export interface Upload {
  files: Map<string, Uint8Array>;
  entrypoint: string;
  verifyJwt: boolean;
}

interface Deployed extends Upload {
  runtime: Functions;
  folder: string;
}

export class HostedProject implements AsyncDisposable {
  readonly ref = "abcdefghijklmnopqrst";
  readonly keys: Keys;
  readonly database: Database;
  /** Names and values, as `supabase secrets set` has set them. */
  readonly secrets = new Map<string, string>();
  /** What the functions printed. */
  readonly logs: string[] = [];
  #functions = new Map<string, Deployed>();
  #server!: Deno.HttpServer<Deno.NetAddr>;
  #dataApi!: (request: Request) => Promise<Response>;
  #undo: (() => unknown)[] = [];

  private constructor(keys: Keys, database: Database) {
    this.keys = keys;
    this.database = database;
  }

  /** A new project: no table, no function, no secret. Its schedule ticks by itself only if asked to. */
  static async start(
    { ticking = true, ...preparation }: Preparation & { ticking?: boolean } = {},
  ): Promise<HostedProject> {
    const { url, drop } = await createDatabase({ migrations: null, seed: false, ...preparation });
    const project = new HostedProject(await makeKeys(), await openPostgres(url));
    project.#undo.push(drop, () => project.database.close());
    project.#server = Deno.serve(
      { hostname: "127.0.0.1", port: 0, onListen() {} },
      (request) => project.#route(request),
    );
    project.#undo.push(() => project.#server.shutdown(), () => project.#stopFunctions());
    project.#dataApi = await createDataApi(project.database, project.keys, project.url);
    if (ticking) await project.#tick();
    return project;
  }

  /** The project's address: https://<ref>.supabase.co, were it hosted. */
  get url(): string {
    return `http://127.0.0.1:${this.#server.addr.port}`;
  }

  /** Names of what is deployed. */
  get functions(): string[] {
    return [...this.#functions.keys()].sort();
  }

  /** Replaces the function, as a deployment does. */
  async deploy(name: string, upload: Upload): Promise<void> {
    const folder = await Deno.makeTempDir({ prefix: `${name}-` });
    for (const [path, bytes] of upload.files) {
      const file = `${folder}/${safePath(path)}`;
      await Deno.mkdir(file.slice(0, file.lastIndexOf("/")), { recursive: true });
      await Deno.writeFile(file, bytes);
    }
    const runtime = new Functions({
      folder: new URL(`file://${folder}/supabase/functions/`),
      deno: await platformDeno(),
      environment: () => ({
        ...platformEnvironment(this.url, this.keys),
        ...Object.fromEntries(this.secrets),
      }),
      log: (_name, line) => this.logs.push(`${name}: ${line}`),
    });
    await this.remove(name);
    this.#functions.set(name, { ...upload, runtime, folder });
  }

  /** Removes the function; false where there is none. */
  async remove(name: string): Promise<boolean> {
    const known = this.#functions.get(name);
    if (!known) return false;
    this.#functions.delete(name);
    await known.runtime.stop();
    await Deno.remove(known.folder, { recursive: true });
    return true;
  }

  /** Sets secrets; a function sees them when it starts, so the running ones end. */
  async setSecrets(changes: Record<string, string | undefined>): Promise<void> {
    for (const [name, value] of Object.entries(changes)) {
      if (value === undefined) this.secrets.delete(name);
      else this.secrets.set(name, value);
    }
    for (const { runtime } of this.#functions.values()) await runtime.stop();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const undo of this.#undo.splice(0).reverse()) await undo();
  }

  async #route(request: Request): Promise<Response> {
    const [, service, , name] = new URL(request.url).pathname.split("/");
    if (service === "rest" || service === "auth") return await this.#dataApi(request);
    const deployed = service === "functions" ? this.#functions.get(name) : undefined;
    if (!deployed) {
      return Response.json(
        { code: "NOT_FOUND", message: "Requested function was not found" },
        { status: 404 },
      );
    }
    if (deployed.verifyJwt && request.method !== "OPTIONS" && !await this.#isJwt(request)) {
      return Response.json(
        { code: "UNAUTHORIZED_NO_AUTH_HEADER", message: "Missing authorization header" },
        { status: 401 },
      );
    }
    return await deployed.runtime.fetch(name, request);
  }

  async #isJwt(request: Request): Promise<boolean> {
    const token = request.headers.get("authorization")?.replace(/^Bearer /, "") ?? "";
    const secret = new TextEncoder().encode(this.keys.jwtSecret);
    return await jwtVerify(token, secret).then(() => true, () => false);
  }

  /** Runs the minutely jobs twice a second, so that nobody waits for a minute to end. */
  async #tick(): Promise<void> {
    const ticker = await startTicker(this.database, { automatic: false });
    let running: Promise<void> | undefined;
    const timer = setInterval(() => {
      const now = new Date();
      running ??= ticker.tick(new Date(now.getTime() - 60_000), now)
        .catch((error) => void this.logs.push(`schedule: ${error.message}`))
        .finally(() => running = undefined);
    }, 500);
    this.#undo.push(async () => {
      clearInterval(timer);
      await running;
      await ticker.stop();
    });
  }

  async #stopFunctions(): Promise<void> {
    for (const name of this.functions) await this.remove(name);
  }
}

let deno: Promise<string> | undefined;

function platformDeno(): Promise<string> {
  return deno ??= findDeno(PLATFORM_DENO);
}

/** Refuses a path that leaves the folder of the upload. */
function safePath(path: string): string {
  if (path.startsWith("/") || path.split("/").includes("..")) {
    throw new Error(`The upload has a file outside its folder: ${path}`);
  }
  return path;
}
