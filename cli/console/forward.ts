/**
 * Passes a call on to the project with its secret key. The request is made anew: of what the browser sent,
 * only what is named here goes on, and of the project's answer only what is named here comes back, so that
 * no header of the browser chooses another key or schema, and the key is in no answer.
 */
import { Problem } from "../problem.ts";

/** In milliseconds. A sync that somebody waits for may take long. */
const TIMEOUT = 150_000;

/** Whatever it is, it is data for the page, and no page itself. */
export const DATA_HEADERS = {
  "cache-control": "no-store",
  "content-security-policy": "default-src 'none'; sandbox",
  "x-content-type-options": "nosniff",
};

const HEADERS_BACK = [
  "content-range",
  "content-type",
  "retry-after",
  "x-calendly-sync-version",
];

export interface Call {
  method: string;
  /** Below the project's address, with the query. */
  path: string;
  headers?: Record<string, string>;
  body?: string;
}

/** Error: project_unreachable. */
export async function forward(
  { url, secretKey }: { url: string; secretKey: string },
  { method, path, headers, body }: Call,
): Promise<Response> {
  const { response, text } = await ask(`${url}${path}`, {
    method,
    headers: { ...headers, apikey: secretKey, ...body && { "content-type": "application/json" } },
    body,
    redirect: "manual", // The key must not go to an address that nobody has named.
    signal: AbortSignal.timeout(TIMEOUT),
  }, url);
  const back = new Headers(DATA_HEADERS);
  for (const name of HEADERS_BACK) {
    const value = response.headers.get(name);
    // Whoever answers may repeat what was sent.
    if (value !== null && !value.includes(secretKey)) back.set(name, value);
  }
  const shown = text.replaceAll(secretKey, "…");
  return new Response(shown === "" ? null : shown, { status: response.status, headers: back });
}

async function ask(
  address: string,
  init: RequestInit,
  url: string,
): Promise<{ response: Response; text: string }> {
  let reason: string;
  try {
    const response = await fetch(address, init);
    const text = await response.text();
    if (response.status < 300 || response.status >= 400) return { response, text };
    reason = `it answers with a redirect (status ${response.status})`;
  } catch (cause) {
    reason = (cause as Error).message;
  }
  throw new Problem(
    "project_unreachable",
    `${url} does not answer: ${reason}`.replaceAll(secretOf(init), "…"),
    "Look whether the project is paused, and at the network; then try again.",
  );
}

function secretOf({ headers }: RequestInit): string {
  return (headers as Record<string, string>).apikey;
}
