/**
 * The project's one address: passes on requests to /rest, /auth, /functions and /realtime, and has the
 * console.
 */
import type { Console } from "../cli/console/server.ts";
import { type Functions } from "./functions.ts";
import { type Realtime } from "./realtime.ts";

/** Milliseconds that requests are given to end. */
const SHUTDOWN_TIMEOUT = 5000;

interface Routes {
  dataApi: (request: Request) => Promise<Response>;
  functions: Functions;
  console: Pick<Console, "fetch">;
  /** Undefined: the stack has no Realtime. */
  realtime?: Realtime;
}

/**
 * Listens on 127.0.0.1. Port 0 picks a free one; a taken one throws Deno.errors.AddrInUse. Until it is
 * opened, requests are answered with 503; once it stops, it takes no new ones and those before it finish.
 */
export function serveGateway(
  port: number,
): { url: string; open: (routes: Routes) => void; stop: () => Promise<void> } {
  let routes: Routes | undefined;
  const server = Deno.serve({ hostname: "127.0.0.1", port, onListen() {} }, async (request) => {
    if (!routes) return withCors(request, starting);
    const [, service, version, name] = new URL(request.url).pathname.split("/");
    if (version === "v1" && service === "functions" && name) {
      return routes.functions.fetch(name, request);
    }
    if (version === "v1" && (service === "rest" || service === "auth")) {
      return withCors(request, routes.dataApi);
    }
    if (version === "v1" && service === "realtime" && routes.realtime) {
      return routes.realtime.fetch(request);
    }
    const answer = await routes.console.fetch(request);
    return answer ??
      Response.json({ message: "no Route matched with those values" }, { status: 404 });
  });
  return {
    url: `http://127.0.0.1:${server.addr.port}`,
    open: (opened) => void (routes = opened),
    async stop() {
      let timer: ReturnType<typeof setTimeout> | undefined;
      const timeout = new Promise<void>((resolve) => timer = setTimeout(resolve, SHUTDOWN_TIMEOUT));
      await Promise.race([server.shutdown(), timeout]);
      clearTimeout(timer);
    },
  };
}

function starting(): Promise<Response> {
  const message = "The project is still starting.";
  return Promise.resolve(Response.json(
    { code: "STARTING", message, hint: "Try again in a second." },
    { status: 503, headers: { "retry-after": "1" } },
  ));
}

/** Allows every origin, as the platform does; functions answer preflights themselves. */
async function withCors(
  request: Request,
  answer: (request: Request) => Promise<Response>,
): Promise<Response> {
  if (request.method === "OPTIONS") {
    return new Response(null, {
      status: 204,
      headers: {
        "access-control-allow-origin": "*",
        "access-control-allow-methods": "GET,HEAD,PUT,PATCH,POST,DELETE,OPTIONS",
        "access-control-allow-headers": request.headers.get("access-control-request-headers") ??
          "authorization,apikey,content-type,x-client-info",
        "access-control-max-age": "3600",
      },
    });
  }
  const response = await answer(request);
  response.headers.set("access-control-allow-origin", "*");
  return response;
}
