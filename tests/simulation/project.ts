/**
 * A project of a team for the simulation: real Postgres, the Data API, the sandbox Calendly and the
 * functions in one process. Every seed begins with an empty mirror and the same accounts.
 */
import connect from "../../supabase/functions/calendly-connect/index.ts";
import sync from "../../supabase/functions/calendly-sync/index.ts";
import webhook from "../../supabase/functions/calendly-webhook/index.ts";
import { createDataApi } from "../../local/data_api.ts";
import { type Database, openEmbedded, openPostgres } from "../../local/database.ts";
import { preparedImage } from "../../local/image.ts";
import { type Keys, makeKeys, signUserJwt } from "../../local/keys.ts";
import { Random } from "../../sandbox/random.ts";
import { createSandbox, type Sandbox, type User as Host } from "../../sandbox/mod.ts";
import { createDatabase } from "../harness/databases.ts";
import { REQUIREMENTS } from "../harness/requirements.ts";
import { type Death, Runtime } from "./runtime.ts";

const PROJECT_URL = "http://project.test";
const CALENDLY_URL = "http://calendly.test";
/** The team's own OAuth app. */
const APP = { client_id: "team-app", client_secret: "the team's secret" };
const FUNCTIONS = {
  "calendly-connect": connect,
  "calendly-sync": sync,
  "calendly-webhook": webhook,
};
/** When every seed begins. */
export const BEGINNING = "2026-03-02T10:00:00.000000Z";

/** What happens to a request on its way to Postgres. */
export const LOSSES = ["request lost", "answer lost", "refused"] as const;
export type Loss = typeof LOSSES[number];

/** Faults outside Calendly's answers. */
export const FAULTS = [
  ...LOSSES,
  "instance stops",
  "nudges lost",
  "webhook lost",
  "webhook twice",
  "clocks differ",
  "token revoked",
  "subscription deleted",
  "Postgres restarts",
] as const;

/** Somebody with an account here and one at Calendly. */
export interface Person {
  id: number;
  email: string;
  jwt: string;
  host: Host;
  /** The personal access token, if that is how they are connected. */
  token?: string;
}

interface Account {
  id: number;
  email: string;
  jwt: string;
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
  /** The next requests to Postgres that something happens to. */
  losses: Loss[] = [];
  /** The next instance to start stops there. */
  death?: Death;
  /** Milliseconds that Postgres' clock is ahead of Calendly's. */
  skew = 0;
  /** Requests that were let through in this seed. */
  requests = 0;
  /** Faults that have struck in this seed. */
  readonly struck: Record<string, number> = {};

  private constructor(
    private database: RestartableDatabase,
    private dataApi: (request: Request) => Promise<Response>,
    readonly keys: Keys,
    private readonly accounts: Account[],
  ) {}

  static async open(): Promise<Project> {
    const database = await openDatabase();
    const keys = await makeKeys();
    const dataApi = await createDataApi(database, keys, PROJECT_URL);
    const accounts: Account[] = [];
    for (const name of ["ana", "ben", "cleo", "dan"]) {
      const email = `${name}@example.com`;
      const [{ id }] = await database.query<{ id: string }>(
        `insert into auth.users (id, email, email_confirmed_at, role, aud)
         values (gen_random_uuid(), $1, now(), 'authenticated', 'authenticated') returning id`,
        [email],
      );
      const [user] = await database.query<{ id: number }>(
        "select id from public.calendly_users where auth_user_id = $1",
        [id],
      );
      const jwt = await signUserJwt(keys, { sub: id, email, expires: "1d" });
      accounts.push({ id: user.id, email, jwt });
    }
    setEnvironment(keys);
    return new Project(database, dataApi, keys, accounts);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.database.close();
  }

  /** Forgets the seed before: the mirror is empty and nobody is connected. */
  async begin(seed: number): Promise<void> {
    this.random = new Random(seed);
    this.losses = [];
    this.death = undefined;
    this.skew = 0;
    this.requests = 0;
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
    // By truncate, and the rows of every seed lie in the same order: the same story, each time.
    await this.database.script(`
      do $do$ begin
        execute (select 'truncate ' || string_agg(c.oid::regclass::text, ', ')
          from pg_catalog.pg_class c
          where c.relkind = 'r' and c.relname not in ('calendly_users', 'settings', 'project')
            and c.relnamespace in ('public'::regnamespace, 'calendly'::regnamespace));
      end $do$;
      truncate net.http_request_queue;
      update public.calendly_users set last_calendly_sync = null, calendly_initial_sync_complete = false,
        calendly_webhook_enabled = false;
      update calendly.project set url = null, unanswered_since = null, ticked_at = null;
      update calendly.settings set schedule_jitter = 0;`);
    await this.setDatabaseClock();
  }

  /** Somebody who has an account here and one at Calendly, in an organization if one is named. */
  person(organization?: string): Person {
    const account = this.accounts[this.#people()];
    const host = this.sandbox.control.create_user({ email: account.email, organization });
    return { ...account, host };
  }

  #people(): number {
    const known = new Set(this.sandbox.truth().users.map(({ email }) => email));
    return this.accounts.findIndex(({ email }) => !known.has(email));
  }

  // deno-lint-ignore no-explicit-any -- rows of any query
  sql(query: string, parameters: unknown[] = []): Promise<any[]> {
    return this.database.query(query, parameters);
  }

  /** A request to one of the functions, from outside; its instance may be the one that dies. */
  call(request: Request): Promise<Response> {
    const [, name] = new URL(request.url).pathname.match(/^\/functions\/v1\/([a-z-]+)/)!;
    const { death } = this;
    this.death = undefined;
    if (death) this.count("instance stops");
    return this.runtime.invoke(FUNCTIONS[name as keyof typeof FUNCTIONS], request, death);
  }

  /** The same by a signed-in person, and what comes of it; status 0: no answer. */
  async ask(person: Person, method: string, path: string, body?: unknown): Promise<Answer> {
    const request = new Request(`${PROJECT_URL}/functions/v1/${path}`, {
      method,
      headers: { authorization: `Bearer ${person.jwt}`, apikey: this.keys.publishableKey },
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

  /** Sends as many nudges as the schedule does now; how many. */
  async nudge({ lost = false } = {}): Promise<number> {
    const [{ nudge }] = await this.sql("select calendly.nudge()");
    await this.sql("delete from net.http_request_queue");
    if (lost) return nudge;
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

  /** Notes a fault that strikes. */
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

/** The server is everybody's: its clients are cut off, as they are by a restart. */
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
