/** The project's one address: what comes in under /rest, /auth and /functions goes where it belongs. */
import { type Functions } from "./functions.ts";

/** Milliseconds that requests under way are given to end. */
const PATIENCE = 5000;

interface Routes {
  dataApi: (request: Request) => Promise<Response>;
  functions: Functions;
}

/**
 * Listens on 127.0.0.1. Port 0 picks a free one; a taken one throws Deno.errors.AddrInUse. Until it is
 * opened, whoever asks is told to come again; once it stops, it lets nobody in and those inside finish.
 */
export function serveGateway(
  port: number,
): { url: string; open: (routes: Routes) => void; stop: () => Promise<void> } {
  let routes: Routes | undefined;
  const server = Deno.serve({ hostname: "127.0.0.1", port, onListen() {} }, (request) => {
    if (!routes) return withCors(request, starting);
    const [, service, version, name] = new URL(request.url).pathname.split("/");
    if (version === "v1" && service === "functions" && name) {
      return routes.functions.fetch(name, request);
    }
    if (version === "v1" && (service === "rest" || service === "auth")) {
      return withCors(request, routes.dataApi);
    }
    return Response.json({ message: "no Route matched with those values" }, { status: 404 });
  });
  return {
    url: `http://127.0.0.1:${server.addr.port}`,
    open: (opened) => void (routes = opened),
    async stop() {
      let timer: ReturnType<typeof setTimeout> | undefined;
      const patience = new Promise<void>((resolve) => timer = setTimeout(resolve, PATIENCE));
      await Promise.race([server.shutdown(), patience]);
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

/** Lets every origin in, as the platform does; a function answers for itself. */
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
