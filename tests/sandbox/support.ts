/** What the sandbox's tests share: a pinned sandbox and a client that speaks to it in process. */
import { createHash } from "node:crypto";
import { createSandbox, DEMO_TOKEN, type Sandbox, type SandboxOptions } from "../../sandbox/mod.ts";

export const NOW = "2026-03-02T10:00:00Z";

export function pinned(options: SandboxOptions = {}): Sandbox {
  return createSandbox({ now: NOW, ...options });
}

export interface Answer {
  status: number;
  headers: Headers;
  // deno-lint-ignore no-explicit-any
  body: any;
}

/** Requests with a token, answers with the body parsed. */
export class Client {
  constructor(readonly sandbox: Sandbox, readonly token: string | null = DEMO_TOKEN) {}

  get(path: string, query: Record<string, string> = {}): Promise<Answer> {
    return this.send("GET", `${path}?${new URLSearchParams(query)}`);
  }

  post(path: string, body: unknown): Promise<Answer> {
    return this.send("POST", path, JSON.stringify(body));
  }

  delete(path: string): Promise<Answer> {
    return this.send("DELETE", path);
  }

  async send(method: string, path: string, body?: string): Promise<Answer> {
    const response = await this.sandbox.fetch(
      new Request(`https://api.calendly.com${path}`, {
        method,
        body,
        headers: this.token === null ? {} : { authorization: `Bearer ${this.token}` },
      }),
    );
    const text = await response.text();
    return {
      status: response.status,
      headers: response.headers,
      body: text === "" ? null : JSON.parse(text),
    };
  }

  /** The demo user's (or the given) events, as `query` filters them. */
  events(query: Record<string, string> = {}): Promise<Answer> {
    return this.get("/scheduled_events", { user: this.sandbox.demo.user.uri, ...query });
  }

  /** Every row of a listing, page by page. */
  // deno-lint-ignore no-explicit-any
  async all(path: string, query: Record<string, string>): Promise<{ rows: any[]; pages: number }> {
    const rows = [];
    let pages = 0;
    let token: string | null = null;
    do {
      const answer: Answer = await this.get(path, {
        ...query,
        ...(token !== null && { page_token: token }),
      });
      rows.push(...answer.body.collection);
      pages += 1;
      token = answer.body.pagination.next_page_token;
    } while (token !== null);
    return { rows, pages };
  }
}

/** An access token of the demo user that the demo OAuth application was given. */
export async function oauthToken(sandbox: Sandbox, scope: string): Promise<string> {
  const redirect_uri = "http://127.0.0.1/callback";
  const post = (path: string, fields: Record<string, string>) =>
    sandbox.fetch(
      new Request(`https://auth.calendly.com${path}`, {
        method: "POST",
        body: new URLSearchParams({ client_id: sandbox.demo.app.client_id, ...fields }),
      }),
    );
  const allowed = await post("/oauth/authorize", {
    redirect_uri,
    scope,
    response_type: "code",
    code_challenge: createHash("sha256").update("verifier").digest("base64url"),
    code_challenge_method: "S256",
    user: sandbox.demo.user.uri,
  });
  const code = new URL(allowed.headers.get("location")!).searchParams.get("code")!;
  const answer = await post("/oauth/token", {
    grant_type: "authorization_code",
    client_secret: sandbox.demo.app.client_secret,
    code,
    redirect_uri,
    code_verifier: "verifier",
  });
  return (await answer.json()).access_token;
}

/** The path of a Calendly URI. */
export function pathOf(uri: string): string {
  return new URL(uri).pathname;
}

/** A second person, by default a plain member of the demo organization, with a client. */
export function colleague(
  sandbox: Sandbox,
  role: "owner" | "admin" | "user" = "user",
  email = "colleague@example.com",
) {
  const user = sandbox.control.create_user({
    email,
    organization: sandbox.demo.organization.uri,
    role,
  });
  const { token } = sandbox.control.create_token({ user: user.uri });
  return { user, client: new Client(sandbox, token) };
}

/** A person of another organization. */
export function stranger(sandbox: Sandbox) {
  const user = sandbox.control.create_user({ email: "stranger@example.com" });
  const { token } = sandbox.control.create_token({ user: user.uri });
  return { user, client: new Client(sandbox, token) };
}
