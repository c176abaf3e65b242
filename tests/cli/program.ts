/**
 * What the tests of the command line share: the program in a process of its own, a terminal that records,
 * and a gateway in front of a project that answers in place of a part of it.
 */
import { Terminal } from "../../cli/terminal.ts";

const ROOT = new URL("../../", import.meta.url);

export interface Ended {
  code: number;
  stdout: string;
  stderr: string;
}

/** The program as a person calls it in a clone. */
export const IN_CLONE = [Deno.execPath(), "task", "--quiet", "cli"];

/** Runs the program with what a person types or sends by standard input, and waits for its end. */
export async function runProgram(
  args: string[],
  { env, input, program: [command, ...first] = IN_CLONE }: {
    env: Record<string, string>;
    input?: string;
    program?: string[];
  },
): Promise<Ended> {
  const child = new Deno.Command(command, {
    args: [...first, ...args],
    cwd: ROOT,
    env: { SUPABASE_URL: "", SUPABASE_SECRET_KEY: "", NO_COLOR: "1", ...env },
    stdin: input === undefined ? "null" : "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  if (input !== undefined) {
    const writer = child.stdin.getWriter();
    // A program that has refused before it reads closes the pipe.
    await writer.write(new TextEncoder().encode(input)).catch(() => {});
    await writer.close().catch(() => {});
  }
  const { code, stdout, stderr } = await child.output();
  const decoder = new TextDecoder();
  return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
}

/** A terminal that records what is printed. */
export function recorder(): { terminal: Terminal; printed: () => string } {
  let text = "";
  const terminal = new Terminal({
    isTerminal: () => false,
    writeSync(bytes) {
      text += new TextDecoder().decode(bytes);
      return bytes.length;
    },
  });
  return { terminal, printed: () => text };
}

/** Answers in place of what is behind, or passes the request on. */
export type Answering = (
  request: Request,
  passOn: () => Promise<Response>,
) => Response | Promise<Response>;

/** A gateway in front of a project: what `answering` says for the paths that begin with a key. */
export function gateway(
  target: string,
  answering: Record<string, Answering>,
): { url: string } & AsyncDisposable {
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, async (request) => {
    const { pathname, search } = new URL(request.url);
    const passOn = async () => {
      const { method, headers } = request;
      const body = request.body && new Uint8Array(await request.arrayBuffer());
      const sent = new Headers(headers);
      sent.set("accept-encoding", "identity");
      return await fetch(target + pathname + search, { method, headers: sent, body });
    };
    const found = Object.keys(answering).find((path) => pathname.startsWith(path));
    return found === undefined ? await passOn() : await answering[found](request, passOn);
  });
  return {
    url: `http://127.0.0.1:${server.addr.port}`,
    [Symbol.asyncDispose]: () => server.shutdown(),
  };
}

/** A proxy's page. */
export function page(status = 200): Response {
  return new Response("<!doctype html><title>Sign in to the network</title>", {
    status,
    headers: { "content-type": "text/html" },
  });
}
