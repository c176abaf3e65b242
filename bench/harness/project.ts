/** A whole local project, with networks of a given length between the functions and what they use. */
import { type Account, type Stack } from "../../local/stack.ts";
import { startTestStack } from "../../tests/harness/stack.ts";
import { Proxy } from "./proxy.ts";

export interface Latency {
  /** Milliseconds of a request to Calendly. */
  calendly: number;
  /** Milliseconds of a round trip to the Data API. */
  database: number;
}

export interface Person {
  account: Account;
  /** At Calendly. */
  uri: string;
  /** calendly_users.id */
  id: number;
}

export class Project implements AsyncDisposable {
  #people = 0;

  private constructor(
    readonly stack: Stack & AsyncDisposable,
    readonly calendly: Proxy,
    readonly database: Proxy,
  ) {}

  /** With `cron`, the schedule runs by itself. */
  static async start(latency: Latency, { cron = false } = {}): Promise<Project> {
    const [calendly, database] = [new Proxy(latency.calendly), new Proxy(latency.database)];
    const stack = await startTestStack("real", {
      cron,
      seed: false,
      env: { CALENDLY_API_URL: calendly.url, SUPABASE_URL: database.url },
    });
    calendly.leadTo(stack.calendlyUrl);
    database.leadTo(stack.url);
    return new Project(stack, calendly, database);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stack[Symbol.asyncDispose]();
    await this.calendly[Symbol.asyncDispose]();
    await this.database[Symbol.asyncDispose]();
  }

  /** Somebody who has connected and has so many events; `limit`: requests a minute, or null for any. */
  async person(events: number, limit: number | null): Promise<Person> {
    const { control } = this.stack.sandbox!;
    const email = `person.${++this.#people}@example.com`;
    const { uri } = control.create_user({ email });
    const { token } = control.create_token({ user: uri });
    control.set_rate_limit({ user: uri, limit });
    const day = (days: number) => new Date(Date.now() + days * 86_400_000).toISOString();
    control.populate({ user: uri, events, variety: "plain", from: day(-80), to: day(170) });
    const account = await this.stack.createUser({ email });
    await this.#post("calendly-connect", account, { token, sync: false });
    const [{ id }] = await this.stack.sql(
      "select id from public.calendly_users where auth_user_id = $1",
      [account.auth_user_id],
    );
    return { account, uri, id };
  }

  /** Presses the button. */
  // deno-lint-ignore no-explicit-any -- what calendly-sync answers
  sync({ account }: Person): Promise<any> {
    return this.#post("calendly-sync", account, {});
  }

  async #post(name: string, account: Account, body: unknown) {
    const response = await fetch(`${this.stack.url}/functions/v1/${name}`, {
      method: "POST",
      headers: {
        authorization: `Bearer ${account.access_token}`,
        apikey: this.stack.publishableKey,
        "content-type": "application/json",
      },
      body: JSON.stringify(body),
    });
    const answer = await response.json();
    if (!response.ok) throw new Error(`${name}: ${JSON.stringify(answer)}`);
    return answer;
  }
}
