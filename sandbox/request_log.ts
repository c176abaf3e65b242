/** What was asked of the sandbox, so that a test can count requests exactly. */
import { z } from "zod";

export interface LoggedRequest {
  /** Virtual time. */
  at: string;
  method: string;
  path: string;
  query: Record<string, string>;
  /** Null until the request is answered, or when the caller gave up. */
  status: number | null;
  user: string | null;
  /** Kinds of the faults that struck it. */
  faults: string[];
}

/** Narrows the log: a path with `*` for one segment, a method, a status, a user. */
export const RequestFilter = z.strictObject({
  method: z.string(),
  path: z.string().describe("* stands for an id"),
  status: z.int(),
  user: z.string(),
}).partial();
export type RequestFilter = z.input<typeof RequestFilter>;

export interface RequestReport {
  count: number;
  /** Counts by "GET /scheduled_events/*" and the like. */
  by_route: Record<string, number>;
  by_status: Record<string, number>;
  requests: LoggedRequest[];
}

/** The log keeps the latest; older ones are forgotten, also by the counts. */
const KEPT = 100_000;

export class RequestLog {
  #requests: LoggedRequest[] = [];

  add(request: LoggedRequest): void {
    this.#requests.push(request);
    if (this.#requests.length > 2 * KEPT) this.#requests = this.#requests.slice(-KEPT);
  }

  save(): LoggedRequest[] {
    return this.#requests;
  }

  load(requests: LoggedRequest[]): void {
    this.#requests = requests;
  }

  clear(): void {
    this.#requests = [];
  }

  /** The last so many, the latest first. */
  latest(count: number): LoggedRequest[] {
    return this.#requests.slice(-count).reverse().map((request) => ({ ...request }));
  }

  report(filter: RequestFilter = {}): RequestReport {
    const requests = this.#requests.filter((request) =>
      (filter.method === undefined || request.method === filter.method) &&
      (filter.path === undefined || request.path === filter.path ||
        route(request.path) === filter.path) &&
      (filter.status === undefined || request.status === filter.status) &&
      (filter.user === undefined || request.user === filter.user)
    );
    const by_route: Record<string, number> = {};
    const by_status: Record<string, number> = {};
    for (const { method, path, status } of requests) {
      const name = `${method} ${route(path)}`;
      by_route[name] = (by_route[name] ?? 0) + 1;
      by_status[String(status)] = (by_status[String(status)] ?? 0) + 1;
    }
    return {
      count: requests.length,
      by_route,
      by_status,
      requests: requests.map((request) => ({ ...request })),
    };
  }
}

const ID = /^([0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|[A-Z2-7]{16})$/;

/** The path with `*` in place of ids. */
function route(path: string): string {
  return path.split("/").map((segment) => (ID.test(segment) ? "*" : segment)).join("/");
}
