/**
 * What monitors ask. GET …/calendly-sync/health tells anybody one word, and a server (secret key) what is
 * wrong and what is set up. GET …/calendly-sync/metrics (secret key) tells figures as OpenMetrics text.
 */
import { authenticateServer, isServer } from "../_shared/calendly/authenticate.ts";
import { Database } from "../_shared/calendly/database.ts";
import { readConfiguration } from "../_shared/calendly/environment.ts";
import { ApiError } from "../_shared/calendly/errors.ts";
import { json, logFailure } from "../_shared/calendly/http.ts";
import { VERSION } from "../_shared/calendly/version.ts";
import { CONTENT_TYPE, exposition } from "./openmetrics.ts";

type Status = "healthy" | "unhealthy";

export async function health(request: Request): Promise<Response> {
  if (await isStranger(request)) {
    const status = await rememberedStatus();
    return json({ status }, STATUS_CODE[status]);
  }
  const report = await readHealth();
  return json(report, STATUS_CODE[report.status]);
}

/** Whoever is not known to be a server; nobody is where the keys cannot be read. */
async function isStranger(request: Request): Promise<boolean> {
  try {
    return !await isServer(request);
  } catch (error) {
    if (error instanceof ApiError) return true;
    throw error;
  }
}

const STATUS_CODE = { healthy: 200, unhealthy: 503 };

/** How long strangers get the same answer, in milliseconds: however many ask, Postgres is asked once. */
const REMEMBERED = 10_000;
let remembered: { at: number; status: Promise<Status> } | undefined;

async function rememberedStatus(): Promise<Status> {
  const now = performance.now();
  if (!remembered || now - remembered.at >= REMEMBERED) {
    remembered = { at: now, status: readHealth().then(({ status }) => status) };
  }
  return await remembered.status;
}

/** Never throws: that the database is away, or a variable is wrong, is part of the answer. */
async function readHealth() {
  const { configuration, configuration_errors } = readConfiguration();
  const rest = { configuration, configuration_errors };
  try {
    const { version = null, ...answer } = await new Database().call("calendly_health", {});
    return {
      ...answer,
      status: configuration_errors.length === 0 ? answer.status : "unhealthy" as const,
      ...rest,
      versions: { functions: VERSION, database: version },
    };
  } catch (error) {
    return {
      status: "unhealthy" as const,
      error: logFailure(error),
      ...rest,
      versions: { functions: VERSION, database: null },
    };
  }
}

export async function metrics(request: Request): Promise<Response> {
  await authenticateServer(request);
  const { configuration_errors } = readConfiguration();
  const figures = await new Database().call("calendly_metrics", {});
  return new Response(exposition(figures, configuration_errors.length), {
    headers: { "content-type": CONTENT_TYPE },
  });
}
