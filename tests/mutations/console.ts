/** Rules of the console's server: who gets in, and what is passed on with the secret key. */
import { type Mutation, requests } from "./mutation.ts";

const server = (test: string) => requests("cli/console_server", test);

const DNS = "a name that leads here by DNS is refused";
const OTHER_PAGES = "another page, another port of this machine included, gets nothing";
const HEADERS = "no header of the browser chooses a key, a schema, a method or a write";
const PATHS = "other tables, functions, methods and paths are refused";
const EMBEDDED = "a select cannot embed another table";
const READS = "tables are read with the project's key, and the answer has no header of the project";
const REDIRECTS =
  "a project that redirects or does not answer is told, and the key goes nowhere else";

export const CONSOLE: Mutation[] = [
  {
    breaks: "the console answers under any name",
    file: "cli/console/server.ts",
    from: "if (this.#hosts.has(host) && (named === null || this.#hosts.has(named))) return;",
    to: "if (host) return;",
    caughtBy: [server(DNS)],
  },
  {
    breaks: "the console believes the address of a request and not its Host header",
    file: "cli/console/server.ts",
    from: "(named === null || this.#hosts.has(named))",
    to: "true",
    caughtBy: [server(DNS)],
  },
  {
    breaks: "a page of another port of this machine reads operations",
    file: "cli/console/server.ts",
    from: '["same-origin", "none"].includes(site)',
    to: '["same-origin", "same-site", "none"].includes(site)',
    caughtBy: [server(OTHER_PAGES)],
  },
  {
    breaks: "the console does not look where a request comes from",
    file: "cli/console/server.ts",
    from: "const isOwn = origin === null ? !required : this.#origins.includes(origin);",
    to: "const isOwn = origin !== null || !required;",
    caughtBy: [server(OTHER_PAGES)],
  },
  {
    breaks: "a write does not have to say where it comes from",
    file: "cli/console/server.ts",
    from: "{ required = isWrite(method) } = {}",
    to: "{ required = isWrite(method) && false } = {}",
    caughtBy: [server(OTHER_PAGES)],
  },
  {
    breaks: "operations need no session",
    file: "cli/console/server.ts",
    from: "this.#checkSession(request);",
    to: "",
    caughtBy: [server("without a session nothing is passed on")],
  },
  {
    breaks: "a link for operations works again",
    file: "cli/console/access.ts",
    from: "this.#codes.delete(code);",
    to: "",
    caughtBy: [server("a link opens operations once")],
  },
  {
    breaks: "a link for operations works for ever",
    file: "cli/console/access.ts",
    from: "if (end === undefined || end <= this.now()) return undefined;",
    to: "if (end === undefined) return undefined;",
    caughtBy: [server("a link ends after ten minutes, a wrong code opens nothing")],
  },
  {
    breaks: "scripts can read the session",
    file: "cli/console/access.ts",
    from: "Path=/console; HttpOnly; SameSite=Strict",
    to: "Path=/console; SameSite=Strict",
    caughtBy: [server("a link opens operations once")],
  },
  {
    breaks: "anybody gets a link for operations",
    file: "cli/console/server.ts",
    from: "if (!isSameSecret(key, secretKey)) {",
    to: "if (key.length === 0) {",
    caughtBy: [server("who has the secret key gets a new link, and nobody else")],
  },
  {
    breaks: "operations write to tables",
    file: "cli/console/server.ts",
    from: "? isRead && TABLES.has(name)",
    to: "? TABLES.has(name)",
    caughtBy: [server(PATHS)],
  },
  {
    breaks: "operations call any function of the database",
    file: "cli/console/server.ts",
    from: 'name === "rpc" && method === "POST" && RPCS.has(rpc)',
    to: 'name === "rpc" && method === "POST"',
    caughtBy: [server(PATHS)],
  },
  {
    breaks: "operations embed any table in a select",
    file: "cli/console/allowed.ts",
    from: "if (!isAllowed(name)) return name;",
    to: "if (!isAllowed(name)) return undefined;",
    caughtBy: [server(EMBEDDED)],
  },
  {
    breaks: "operations embed any table within an allowed one",
    file: "cli/console/allowed.ts",
    from: "return [...select.matchAll(",
    to: "return [...select.slice(0, 40).matchAll(",
    caughtBy: [server(EMBEDDED)],
  },
  {
    breaks: "only the first select of a query is looked at",
    file: "cli/console/allowed.ts",
    from: 'query.getAll("select")',
    to: 'query.getAll("select").slice(0, 1)',
    caughtBy: [server(EMBEDDED)],
  },
  {
    breaks: "a browser's query has a key of its own",
    file: "cli/console/server.ts",
    from: 'name.toLowerCase() === "apikey"',
    to: 'name === "api-key"',
    caughtBy: [server(PATHS)],
  },
  {
    breaks: "a browser's Prefer is passed on whole",
    file: "cli/console/server.ts",
    from: 'prefer: allowedPreference(headers.get("prefer")),',
    to: 'prefer: allowedPreference(headers.get("prefer")) && headers.get("prefer"),',
    caughtBy: [server(HEADERS)],
  },
  {
    breaks: "the browser chooses the schema",
    file: "cli/console/server.ts",
    from: '"accept-profile": isRead ? "public" : undefined,',
    to: '"accept-profile": isRead ? headers.get("accept-profile") : undefined,',
    caughtBy: [server(HEADERS)],
  },
  {
    breaks: "an answer that repeats the secret key shows it",
    file: "cli/console/forward.ts",
    from: 'const shown = text.replaceAll(secretKey, "…");',
    to: "const shown = text;",
    caughtBy: [server(READS)],
  },
  {
    breaks: "the project sets cookies of the console",
    file: "cli/console/forward.ts",
    from: "const HEADERS_BACK = [",
    to: 'const HEADERS_BACK = [\n  "set-cookie",',
    caughtBy: [server(READS)],
  },
  {
    breaks: "the secret key follows a redirect",
    file: "cli/console/forward.ts",
    from: 'redirect: "manual",',
    to: "",
    caughtBy: [server(REDIRECTS)],
  },
  {
    breaks: "the page may run scripts from anywhere",
    file: "cli/console/server.ts",
    from: `"script-src 'self'",`,
    to: `"script-src 'self' https:",`,
    caughtBy: [server("the page is served with a content security policy without exceptions")],
  },
  {
    breaks: "a secret key in the place of the publishable one is shown to browsers",
    file: "cli/target.ts",
    from: "if (key && isPublishable(key)) return key;",
    to: "if (key) return key;",
    caughtBy: [
      requests("cli/console", "the publishable key is the environment's, and never a secret one"),
    ],
  },
  {
    breaks: "a request's path names another host",
    file: "cli/console/listen.ts",
    from: "const address = `http://${headers.host}${url}`;",
    to: "const address = new URL(url, `http://${headers.host}`).href;",
    caughtBy: [requests("cli/console", "requests that no browser sends are refused")],
  },
];
