/**
 * What the functions' tests share: a project whose clocks stand still until a test moves them, and people
 * in it who have a Calendly account in the sandbox and press the button.
 */
import { createClient, FunctionsHttpError, type SupabaseClient } from "@supabase/supabase-js";
import { type Account, type Stack, type StackOptions } from "../../local/stack.ts";
import { readLogLine } from "../../cli/terminal.ts";
import { type PopulateInput, type Sandbox, type User as Host } from "../../sandbox/mod.ts";
import { type Kind, testOnEach } from "../harness/databases.ts";
import { wanted } from "../harness/parts.ts";
import { type StackTestOptions, startTestStack } from "../harness/stack.ts";
import { Wire } from "./wire.ts";

/** When the tests begin, in Calendly and in Postgres. */
export const NOW = "2026-03-02T10:00:00.000000Z";

/** A function's answer. */
export interface Answer {
  status: number;
  // deno-lint-ignore no-explicit-any -- each test knows what it asked for
  body: any;
}

export interface ProjectOptions extends StackOptions {
  /** Whether the clocks stand still until a test moves them (the default), or run with real time. */
  clock?: "pinned" | "real";
}

/** Registers a test once per database, each with a project of its own. */
export function projectTest(
  name: string,
  test: (project: Project, t: Deno.TestContext) => Promise<unknown>,
  { on = "both", long, ...options }: StackTestOptions = {},
): void {
  testOnEach(name, on, async (database, t) => {
    await using project = await Project.start(database, options);
    await test(project, t);
  }, { long });
}

/**
 * Registers behaviours that share one project per database, in this order. Each has people of its own and
 * leaves nothing behind that another would see.
 */
export function projectTests(
  name: string,
  behaviours: Record<string, (project: Project, t: Deno.TestContext) => Promise<unknown>>,
  options: StackTestOptions = {},
): void {
  projectTest(name, async (project, t) => {
    for (const behaviour of wanted(Object.keys(behaviours))) {
      await t.step(behaviour, async (t) => void await behaviours[behaviour](project, t));
    }
  }, options);
}

/** A Supabase project with a sandbox Calendly. */
export class Project {
  /** What both clocks show while they stand still. */
  now = NOW;
  #people = 0;

  private constructor(
    readonly stack: Stack & AsyncDisposable,
    readonly sandbox: Sandbox,
    /** Between the functions and Postgres. */
    readonly wire: Wire,
    readonly database: Kind,
    /** What the functions find in their environment beside what the stack gives them. */
    readonly environment: Record<string, string>,
  ) {}

  static async start(
    database: Kind,
    { clock = "pinned", ...options }: ProjectOptions = {},
  ): Promise<Project> {
    const wire = new Wire();
    const env = { SUPABASE_URL: wire.url, ...options.env };
    try {
      const stack = await startTestStack(database, {
        ...options,
        sandboxOptions: { ...clock === "pinned" && { now: NOW }, ...options.sandboxOptions },
        shortenPauses: options.shortenPauses ?? 10,
        env,
      });
      wire.leadTo(stack.url);
      const project = new Project(stack, stack.sandbox!, wire, database, env);
      if (options.migrations !== null) {
        if (clock === "pinned") await project.setClock(NOW);
        await project.set("schedule_jitter", 0);
      }
      return project;
    } catch (error) {
      await wire.stop();
      throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stack[Symbol.asyncDispose]();
    await this.wire.stop();
  }

  /** Somebody with an account here and one at Calendly, connected unless told otherwise. */
  async person(
    { connected = true, ...populate }: { connected?: boolean } & PopulateInput = {},
  ): Promise<Person> {
    const email = `person.${++this.#people}@example.com`;
    const host = this.sandbox.control.create_user({ name: `Person ${this.#people}`, email });
    const { token } = this.sandbox.control.create_token({ user: host.uri });
    const person = new Person(this, await this.stack.createUser({ email }), host, token);
    if (populate.events) this.sandbox.control.populate({ ...populate, user: host.uri });
    if (connected) await person.connect({ sync: false });
    return person;
  }

  /** Moves the clocks of Calendly and Postgres on, by "90s", "15m", "24h" or "7d". */
  async advance(by: string): Promise<void> {
    const [, count, unit] = by.match(/^(\d+)([smhd])$/)!;
    const seconds = { s: 1, m: 60, h: 3600, d: 86_400 }[unit]!;
    await this.setClock(day(Number(count) * seconds / 86_400, this.now));
  }

  async setClock(now: string): Promise<void> {
    this.now = now;
    this.sandbox.control.set_clock({ now });
    await this.stack.sql("select calendly.set_clock($1)", [now]);
  }

  /** Changes what the rules depend on, in this project. */
  async set(setting: string, value: number | string): Promise<void> {
    await this.stack.sql(`update calendly.settings set ${setting} = '${value}'`);
  }

  /** Starts the functions anew with another environment. */
  async restart(environment: Record<string, string>): Promise<void> {
    Object.assign(this.environment, environment);
    for (const name of ["calendly-sync", "calendly-connect", "calendly-webhook"]) {
      await this.stack.functions.kill(name);
    }
  }

  /** A request to a function just as given. */
  async fetch(path: string, init: RequestInit = {}): Promise<Answer & { headers: Headers }> {
    const response = await fetch(`${this.stack.url}/functions/v1/${path}`, init);
    const text = await response.text();
    return { status: response.status, headers: response.headers, body: text && JSON.parse(text) };
  }

  /** Everything that the functions have printed. */
  logs(): string[] {
    return ["calendly-sync", "calendly-connect"].flatMap((name) => this.stack.functions.logs(name));
  }
}

export class Person {
  /** Signed in to the project as this person. */
  readonly supabase: SupabaseClient;
  #id?: number;
  #heard = 0;
  #asked = 0;

  constructor(
    readonly project: Project,
    readonly account: Account,
    readonly host: Host,
    /** This person's personal access token at Calendly. */
    readonly token: string,
  ) {
    const { url, publishableKey } = project.stack;
    this.supabase = createClient(url, publishableKey, {
      accessToken: () => Promise.resolve(account.access_token),
    });
  }

  /** calendly_users.id; there is none before the first connection. */
  get id(): number {
    if (this.#id === undefined) throw new Error("This person has no row in calendly_users yet.");
    return this.#id;
  }

  /** Reads the id of the row that this person has by now. */
  async readId(): Promise<number> {
    this.#id = await this.#findId();
    return this.id;
  }

  async #findId(): Promise<number | undefined> {
    const [row] = await this.project.stack.sql(
      "select id from public.calendly_users where auth_user_id = $1",
      [this.account.auth_user_id],
    );
    return row?.id;
  }

  async invoke(
    name: string,
    method: "GET" | "POST" | "DELETE",
    body?: Record<string, unknown>,
  ): Promise<Answer> {
    const { data, error, response } = await this.supabase.functions.invoke(name, { method, body });
    if (error && !(error instanceof FunctionsHttpError)) throw error;
    return { status: response!.status, body: error ? await error.context.json() : data };
  }

  async connect(
    body: { token?: string; scope?: string; members?: string; sync?: boolean; replace?: boolean } =
      {},
  ): Promise<Answer> {
    const answer = await this.invoke("calendly-connect", "POST", { token: this.token, ...body });
    if (answer.status < 300) await this.readId();
    return answer;
  }

  disconnect(body: { erase?: boolean } = {}): Promise<Answer> {
    return this.invoke("calendly-connect", "DELETE", body);
  }

  async connection(): Promise<Answer["body"]> {
    return (await this.invoke("calendly-connect", "GET")).body;
  }

  /** Presses the button. */
  sync(body: { full?: boolean; user_id?: number } = {}): Promise<Answer> {
    return this.invoke("calendly-sync", "POST", body);
  }

  /**
   * The texts of the next so many lines that the functions log about this person, in the order of each
   * function's output, without their fields. Waits for them: they may come after the answer.
   */
  async said(lines: number): Promise<string[]> {
    const about = new RegExp(`"user_id":${this.id}[,}]`);
    await until(() =>
      this.project.logs().filter((line) => about.test(line)).length >= this.#heard + lines
    );
    const all = this.project.logs().filter((line) => about.test(line));
    return all.slice(this.#heard, this.#heard += lines).map((line) => readLogLine(line).message);
  }

  /** How many requests Calendly has had from this person since this was last asked. */
  requests(): number {
    const { count } = this.project.sandbox.control.requests({ user: this.host.uri });
    const since = this.#asked;
    this.#asked = count;
    return count - since;
  }

  /** What a query by the id of this person's row finds: nothing where there is no row. */
  // deno-lint-ignore no-explicit-any -- rows of any table
  async #rows(sql: string): Promise<any[]> {
    const id = this.#id ?? await this.#findId();
    return id === undefined ? [] : await this.project.stack.sql(sql, [id]);
  }

  /** Rows of `meetings`, by start time. */
  meetings() {
    return this.#rows(
      "select * from public.calendly_meetings where user_id = $1 order by start_time, calendly_event_uri",
    );
  }

  /** The row of one event. */
  async meeting(eventUri: string) {
    return (await this.meetings()).find((row) => row.calendly_event_uri === eventUri);
  }

  /** Rows of `calendly_invitees` with their event's URI, by the time of booking. */
  invitees() {
    return this.#rows(`
      select v.*, m.calendly_event_uri from public.calendly_invitees v
      join public.calendly_meetings m on m.id = v.meeting_id
      where v.user_id = $1 order by v.calendly_created_at, v.uri`);
  }

  /** Rows of `calendly_sync_runs`, the latest first. */
  runs() {
    return this.#rows(
      "select * from public.calendly_sync_runs where user_id = $1 order by started_at desc, id",
    );
  }

  /** The row of `users`. */
  async row() {
    return (await this.#rows("select * from public.calendly_users where id = $1"))[0];
  }
}

/** Every value of every table that holds a text in some form, as `pg_dump` would show it. */
export async function everythingStored(project: Pick<Project, "stack">): Promise<string> {
  const tables = await project.stack.sql<{ name: string }>(`
    select format('%I.%I', n.nspname, c.relname) as name
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where c.relkind in ('r', 'm', 'p') and n.nspname not in ('pg_catalog', 'information_schema', 'pg_toast')`);
  const dumps: string[] = [];
  for (const { name } of tables) {
    const rows = await project.stack.sql<{ row: string }>(
      `select to_jsonb(t)::text as row from ${name} t`,
    );
    dumps.push(...rows.map(({ row }) => `${name} ${row}`));
  }
  return dumps.join("\n");
}

/** Waits until something is so; fails after 60 s, which is long for a busy machine, too. */
export async function until(isSo: () => boolean | Promise<boolean>): Promise<void> {
  for (const began = performance.now(); performance.now() - began < 60_000;) {
    if (await isSo()) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error(`waited 60 s in vain for: ${isSo}`);
}

/** So many days from the beginning of the tests, or another time, as Calendly writes times. */
export function day(days: number, from = NOW): string {
  return new Date(Date.parse(from) + days * 86_400_000).toISOString().replace("Z", "000Z");
}

/** The last segment of a URI: what stands in the paths of requests about it. */
export function idOf(uri: string): string {
  return uri.slice(uri.lastIndexOf("/") + 1);
}
