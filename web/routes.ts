/**
 * Where in the page one is: `#/operations/runs?status=failed` is `{path: ["operations", "runs"], query}`.
 * Filters are in the address too, so that a link shows what its sender saw.
 */
import { computed, signal } from "@preact/signals";

export interface Route {
  /** The segments of the path, decoded. `#/` is `["meetings"]`. */
  path: string[];
  query: URLSearchParams;
}

const hash = signal(globalThis.location?.hash ?? "");
globalThis.addEventListener?.("hashchange", () => hash.value = location.hash);

/** The current route. */
export const route = computed(() => parseHash(hash.value));

export function parseHash(hash: string): Route {
  const [path, query = ""] = hash.replace(/^#?\/?/, "").split(/\?(.*)/s);
  const segments = path.split("/").filter((segment) => segment !== "").map(decode);
  return {
    path: segments.length > 0 ? segments : ["meetings"],
    query: new URLSearchParams(query),
  };
}

/** The address of a route: `link("operations", "runs", {status: "failed"})`. Undefined values are left out. */
export function link(...parts: (string | Record<string, string | undefined>)[]): string {
  const path = parts.filter((part) => typeof part === "string").map(encodeURIComponent).join("/");
  const query = new URLSearchParams();
  for (const part of parts) {
    if (typeof part === "string") continue;
    for (const [name, value] of Object.entries(part)) {
      if (value !== undefined && value !== "") query.set(name, value);
    }
  }
  return `#/${path}${query.size > 0 ? `?${query}` : ""}`;
}

/** Goes to an address made by `link`. With `replace` the one before is not in the history. */
export function go(to: string, { replace = false } = {}): void {
  history[replace ? "replaceState" : "pushState"](null, "", to);
  hash.value = location.hash;
}

/** Changes filters of the current route, without an entry in the history for each letter typed. */
export function setQuery(changes: Record<string, string | undefined>): void {
  const { path, query } = route.peek();
  go(link(...path, { ...Object.fromEntries(query), ...changes }), { replace: true });
}

function decode(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}
