/**
 * A Supabase project for the simulation: Postgres, the Data API, the sandbox Calendly and the functions in
 * one process. Every seed begins without accounts and without meetings.
 */
import { createDataApi } from "../../local/data_api.ts";
import { type Database, openEmbedded, openPostgres } from "../../local/database.ts";
import { preparedImage } from "../../local/image.ts";
import { type Keys, makeKeys, signUserJwt } from "../../local/keys.ts";
import { Random } from "../../sandbox/random.ts";
import { createSandbox, type Sandbox } from "../../sandbox/mod.ts";
import { createDatabase } from "../harness/databases.ts";
import { REQUIREMENTS } from "../harness/requirements.ts";
import { type Crash, Runtime } from "./runtime.ts";

const PROJECT_URL = "http://project.test";
const CALENDLY_URL = "http://calendly.test";
/** The project's own OAuth app. */
const APP = { client_id: "project-app", client_secret: "the app's secret" };

interface EdgeFunction {
  fetch(request: Request): Promise<Response>;
}

/** When every seed begins. */
export const BEGINNING = "2026-03-02T10:00:00.000000Z";

/** What happens to a request on its way to Postgres. */
export const LOSSES = ["request lost", "answer lost", "refused"] as const;
export type Loss = typeof LOSSES[number];

/** Faults outside Calendly's answers. */
export const FAULTS = [
  ...LOSSES,
  "worker crashes",
  "nudges lost",
  "webhook lost",
  "webhook twice",
  "clocks differ",
  "token revoked",
  "subscription deleted",
  "Postgres restarts",
] as const;

/** An account of Supabase Auth. */
export interface Account {
  id: string;
  email: string;
  jwt: string;
  /** It has followed a mail to its e-mail. Otherwise the e-mail was only typed at sign-up. */
  isProven: boolean;
}

export interface Answer {
  status: number;
  // deno-lint-ignore no-explicit-any -- each caller knows what it asked for
  body: any;
}

export class Project implements AsyncDisposable {
  sandbox!: Sandbox;
  runtime!: Runtime;
  random!: Random;
  /** What happens to the next requests to Postgres. */
  losses: Loss[] = [];
  /** The next worker to start crashes there. */
  crash?: Crash;
  #isolates: Record<string, EdgeFunction> = {};
  #started = 0;
  /** Milliseconds that Postgres' clock is ahead of Calendly's. */
  skew = 0;
  /** Requests that the functions have made in this seed. */
  requests = 0;
  /** Faults that have struck in this seed. */
  readonly struck: Record<string, number> = {};
  #accounts = 0;

  private constructor(
    private database: RestartableDatabase,
    private dataApi: (request: Request) => Promise<Response>,
    readonly keys: Keys,
  ) {}

  static async open(): Promise<Project> {
    const database = await openDatabase();
    const keys = await makeKeys();
    const dataApi = await createDataApi(database, keys, PROJECT_URL);
    setEnvironment(keys);
    return new Project(database, dataApi, keys);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.database.close();
  }

  /** Removes what the seed before has left: nobody has an account, nobody is connected. */
  async begin(seed: number): Promise<void> {
    this.random = new Random(seed);
    this.losses = [];
    this.crash = undefined;
    this.skew = 0;
    this.requests = 0;
    this.#accounts = 0;
    this.#isolates = {};
    for (const name of Object.keys(this.struck)) delete this.struck[name];
    this.sandbox = createSandbox({
      seed,
      now: BEGINNING,
      deliver: "manual",
      fetch: (url, init) => this.call(new Request(url, init)),
    });
    this.sandbox.control.create_app({
      ...APP,
      redirect_uris: [`${PROJECT_URL}/functions/v1/calendly-connect/oauth/callback`],
      signing_key: this.keys.calendlyWebhookSigningKey,
    });
    this.runtime = new Runtime({
      random: this.random,
      carry: (request) => this.#carry(request),
      mayStall: (request) => request.url.startsWith(CALENDLY_URL),
      now: () => Number(this.sandbox.clock.now()) / 1000,
      moveTo: (milliseconds) => this.moveTo(milliseconds),
    });
    // Truncated, with its sequences: rows lie in the same order each time a seed is run.
    await this.database.script(`
      do $do$ begin
        execute (select 'truncate ' || string_agg(c.oid::regclass::text, ', ') || ' restart identity'
          from pg_catalog.pg_class c
          where c.relkind = 'r' and c.relname not in ('settings', 'project')
            and c.relnamespace in ('public'::regnamespace, 'calendly'::regnamespace));
      end $do$;
      truncate net.http_request_queue;
      truncate auth.users cascade;
      update calendly.project set url = null, moved_to = null, moved_at = null,
        unanswered_since = null, ticked_at = null;
      update calendly.settings set schedule_jitter = 0;`);
    await this.setDatabaseClock();
  }

  // deno-lint-ignore no-explicit-any -- rows of any query
  sql(query: string, parameters: unknown[] = []): Promise<any[]> {
    return this.database.query(query, parameters);
  }

  /** A request to one of the functions, from outside; its worker may be the one that crashes. */
  async call(request: Request): Promise<Response> {
    const [, name] = new URL(request.url).pathname.match(/^\/functions\/v1\/([a-z-]+)/)!;
    const { crash } = this;
    this.crash = undefined;
    this.#isolates[name] ??= await this.#startIsolate(name);
    const answer = this.runtime.invoke(this.#isolates[name], request, crash);
    if (crash) {
      this.count("worker crashes");
      // What the function remembers between requests is gone with its isolate.
      delete this.#isolates[name];
    }
    return await answer;
  }

  async #startIsolate(name: string): Promise<EdgeFunction> {
    const file = `../../supabase/functions/${name}/index.ts?isolate=${++this.#started}`;
    return (await this.runtime.busy(import(file))).default;
  }

  /**
   * The same by a signed-in account, or by a server with the secret key, and what comes of it; status 0: no
   * answer.
   */
  async ask(
    caller: Account | "server",
    method: string,
    path: string,
    body?: unknown,
  ): Promise<Answer> {
    const headers: Record<string, string> = caller === "server"
      ? { apikey: this.keys.secretKey }
      : { authorization: `Bearer ${caller.jwt}`, apikey: this.keys.publishableKey };
    const request = new Request(`${PROJECT_URL}/functions/v1/${path}`, {
      method,
      headers,
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    try {
      const response = await this.call(request);
      const text = await response.text();
      return { status: response.status, body: text && JSON.parse(text) };
    } catch {
      return { status: 0, body: undefined };
    }
  }

  /** Runs the minutely jobs once, and returns how many workers were nudged. */
  async tick({ nudgesLost = false } = {}): Promise<number> {
    await this.sql("select calendly.end_closed_accounts()");
    const [{ nudge }] = await this.sql("select calendly.nudge()");
    await this.sql("delete from net.http_request_queue");
    if (nudgesLost) return nudge;
    const sent = Array.from({ length: nudge }, () =>
      this.call(
        new Request(`${PROJECT_URL}/functions/v1/calendly-sync/nudge`, { method: "POST" }),
      ).catch(() => {}));
    await this.runtime.until(Promise.all(sent));
    return nudge;
  }

  /** A request to Calendly as by a person with this token. */
  atCalendly(method: string, path: string, token: string): Promise<Response> {
    return this.sandbox.fetch(
      new Request(`${CALENDLY_URL}${path}`, {
        method,
        headers: { authorization: `Bearer ${token}` },
      }),
    );
  }

  // Accounts

  /** Somebody signs up. */
  async createAccount(email: string, isProven: boolean): Promise<Account> {
    const id = `00000000-0000-4000-8000-${String(++this.#accounts).padStart(12, "0")}`;
    await this.sql(
      `insert into auth.users (id, email, confirmation_sent_at, email_confirmed_at, role, aud)
       values ($1, $2, $3, $4, 'authenticated', 'authenticated')`,
      [id, email, isProven ? this.#time() : null, this.#time()],
    );
    return {
      id,
      email,
      isProven,
      jwt: await signUserJwt(this.keys, { sub: id, email, expires: "1d" }),
    };
  }

  /** Deletes an account. Auth keeps the row of one that is softly deleted, without its e-mail. */
  async deleteAccount({ id }: Account, { softly }: { softly: boolean }): Promise<void> {
    if (softly) {
      await this.sql(
        "update auth.users set deleted_at = $2, email = md5(email || id::text) where id = $1",
        [id, this.#time()],
      );
    } else {
      await this.sql("delete from auth.users where id = $1", [id]);
    }
  }

  /** undefined lifts the ban. */
  async banAccount({ id }: Account, until: number | undefined): Promise<void> {
    await this.sql("update auth.users set banned_until = $2 where id = $1", [
      id,
      until === undefined ? null : new Date(until).toISOString(),
    ]);
  }

  #time(): string {
    return new Date(this.now).toISOString();
  }

  // Time

  async moveTo(milliseconds: number): Promise<void> {
    this.sandbox.control.advance({ by: (milliseconds - this.now) / 1000 });
    await this.setDatabaseClock();
  }

  async advance(seconds: number): Promise<void> {
    await this.moveTo(this.now + seconds * 1000);
  }

  async setDatabaseClock(): Promise<void> {
    const time = new Date(this.now + this.skew).toISOString();
    await this.sql("select calendly.set_clock($1)", [time]);
  }

  /** Postgres stops and starts again with what it had committed. */
  async restart(): Promise<void> {
    this.count("Postgres restarts");
    this.database = await this.database.restart();
    this.dataApi = await createDataApi(this.database, this.keys, PROJECT_URL);
  }

  /** Milliseconds since 1970, at Calendly. */
  get now(): number {
    return Number(this.sandbox.clock.now()) / 1000;
  }

  // Requests

  async #carry(request: Request): Promise<Response> {
    this.requests++;
    if (!request.url.startsWith(PROJECT_URL)) return await this.sandbox.fetch(request);
    const loss = this.losses.shift();
    if (loss) this.count(loss);
    if (loss === "request lost") throw new TypeError("connection refused");
    if (loss === "refused") {
      return Response.json({ code: "PGRST001", message: "no connection" }, { status: 503 });
    }
    const answer = await this.dataApi(request);
    const body = await answer.arrayBuffer();
    if (loss === "answer lost") throw new TypeError("connection reset");
    return new Response(body.byteLength > 0 ? body : null, answer);
  }

  /** Counts a fault that strikes. */
  count(fault: string, times = 1): void {
    this.struck[fault] = (this.struck[fault] ?? 0) + times;
  }
}

interface RestartableDatabase extends Database {
  /** The same database, after all its connections were lost. */
  restart(): Promise<RestartableDatabase>;
}

/** Statements are planned as in sessions that have lived long, for tables that have grown large. */
const PLANS = ["plan_cache_mode = force_generic_plan", "enable_seqscan = off", "jit = off"];

/** On the Postgres of TEST_DATABASE_URL, which is quicker, else embedded. */
async function openDatabase(): Promise<RestartableDatabase> {
  if (!REQUIREMENTS.realPostgres.met) return await restartable(await preparedImage({}));
  const { url, drop } = await createDatabase();
  const database = await openPostgres(url);
  for (const setting of PLANS) {
    await database.query(`alter database ${new URL(url).pathname.slice(1)} set ${setting}`);
  }
  await database.close();
  return await reopened(url, drop);
}

/** Stopped and started with what it has written. */
async function restartable(image: Blob): Promise<RestartableDatabase> {
  const database = await openEmbedded({ image });
  await database.script(PLANS.map((setting) => `set ${setting};`).join(""));
  return {
    ...database,
    async restart() {
      const image = await database.image();
      await database.close();
      return await restartable(image);
    },
  };
}

/** The server is shared: its clients are cut off, as by a restart. */
async function reopened(url: string, drop: () => Promise<void>): Promise<RestartableDatabase> {
  const database = await openPostgres(url);
  return {
    ...database,
    async close() {
      await database.close();
      await drop();
    },
    async restart() {
      await database.query(
        `select pg_terminate_backend(pid) from pg_stat_activity
         where datname = current_database() and pid <> pg_backend_pid()`,
      );
      await database.close();
      return await reopened(url, drop);
    },
  };
}

function setEnvironment(keys: Keys): void {
  const environment = {
    SUPABASE_URL: PROJECT_URL,
    SUPABASE_PUBLISHABLE_KEYS: JSON.stringify({ default: keys.publishableKey }),
    SUPABASE_SECRET_KEYS: JSON.stringify({ default: keys.secretKey }),
    CALENDLY_API_URL: CALENDLY_URL,
    CALENDLY_AUTH_URL: CALENDLY_URL,
    CALENDLY_CLIENT_ID: APP.client_id,
    CALENDLY_CLIENT_SECRET: APP.client_secret,
    CALENDLY_RETURN_URL: "http://app.test",
    CALENDLY_TOKEN_KEY: keys.calendlyTokenKey,
    CALENDLY_WEBHOOK_SIGNING_KEY: keys.calendlyWebhookSigningKey,
  };
  for (const [name, value] of Object.entries(environment)) Deno.env.set(name, value);
}
