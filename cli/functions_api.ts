/**
 * The three Edge Functions as this program calls them, with a secret key. Redirects are not followed: a
 * token must not go to an address that nobody has named.
 */
import { z } from "zod";
import { VERSION } from "../supabase/functions/_shared/calendly/version.ts";
import { PROGRAM } from "./command.ts";
import { compareVersions, type FunctionName } from "./payload.ts";
import { type ForeignAnswer, functionProblem, unreachable, wrongKey } from "./platform_answers.ts";
import { Problem } from "./problem.ts";
import type { ProblemCode } from "./problem_codes.ts";
import type { Project } from "./target.ts";

/** Each answer of our functions has it. */
const VERSION_HEADER = "x-calendly-sync-version";

/** In milliseconds. A function may wait for Calendly and for the database. */
const TIMEOUT = 60_000;

const FunctionError = z.object({
  code: z.string(),
  message: z.string(),
  hint: z.string().optional(),
});
const Refusal = z.object({ error: FunctionError });

/** An answer of the function itself; `version` is null where it does not tell. */
export interface Answer {
  status: number;
  body: unknown;
  version: string | null;
}

export interface Call {
  method?: "GET" | "POST" | "DELETE";
  /** What follows the function's name. */
  path?: string;
  body?: Record<string, unknown>;
  /** Without a key, as a stranger calls. */
  anonymous?: boolean;
}

/** What a function answers, its own refusals included. Error: whatever answers in its place. */
export async function askFunction(
  { url, secretKey }: Project,
  name: FunctionName,
  { method = "GET", path = "", body, anonymous = false }: Call = {},
): Promise<Answer> {
  let response: Response;
  let text: string;
  try {
    response = await fetch(`${url}/functions/v1/${name}${path}`, {
      method,
      headers: {
        ...anonymous ? {} : { apikey: secretKey },
        ...body ? { "content-type": "application/json" } : {},
      },
      body: body && JSON.stringify(body),
      redirect: "manual",
      signal: AbortSignal.timeout(TIMEOUT),
    });
    text = await response.text();
  } catch (error) {
    throw unreachable(url, error);
  }
  const { status, headers } = response;
  const answer = { status, body: parse(text), version: headers.get(VERSION_HEADER) };
  if (answer.version !== null || Refusal.safeParse(answer.body).success) return answer;
  if (response.ok && typeof answer.body === "object") return answer;
  const secrets = [secretKey, ...typeof body?.token === "string" ? [body.token] : []];
  throw functionProblem(url, name, foreignAnswer(answer, headers, secrets));
}

/** What a function answers where it does what it was asked for. Error: also its own refusals. */
export async function callFunction<T>(
  project: Project,
  name: FunctionName,
  call: Call,
  schema: z.ZodType<T>,
): Promise<T> {
  const answer = await askFunction(project, name, call);
  const refusal = Refusal.safeParse(answer.body);
  if (refusal.success) throw refusalProblem(project, name, refusal.data.error);
  const parsed = schema.safeParse(answer.body);
  if (parsed.success) return parsed.data;
  throw outdatedFunction(name, answer.version);
}

/** A refusal by one of our functions, as a Problem. */
export function refusalProblem(
  { url }: Project,
  name: FunctionName,
  { code, message, hint }: z.infer<typeof FunctionError>,
): Problem {
  if (code === "invalid_key" || code === "not_authenticated" || code === "invalid_jwt") {
    return wrongKey(url);
  }
  // A newer function may have a code that is not in the list.
  return new Problem(code as ProblemCode, message, hint ?? `The log of ${name} may have more.`);
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

const PlatformError = z.object({
  code: z.union([z.string(), z.number()]).transform(String).optional().catch(undefined),
  message: z.string().optional().catch(undefined),
});

/** Whoever answers may repeat what was sent: secrets are taken out. */
function foreignAnswer(
  { status, body }: Answer,
  headers: Headers,
  secrets: string[],
): ForeignAnswer {
  const { code, message } = PlatformError.safeParse(body).data ?? {};
  return {
    status,
    isJson: body !== undefined,
    code: code ?? headers.get("sb-error-code") ?? undefined,
    message: secrets.reduce((text, secret) => text?.replaceAll(secret, "…"), message)?.slice(
      0,
      200,
    ),
  };
}

// Looking at all three --------------------------------------------------------------------------

/** A function as it was found: its version, or what is wrong with it. */
export interface FunctionReport {
  name: FunctionName;
  version: string | null;
  problem: Problem | null;
}

const Health = z.looseObject({
  status: z.string(),
  error: FunctionError.optional(),
  /** Variables that are missing or wrong. */
  configuration_errors: z.array(FunctionError).optional(),
  versions: z.object({ database: z.string().nullable() }).optional(),
});
type Health = z.infer<typeof Health>;

/** The three functions, and what calendly-sync says about its environment and the database. */
export interface FunctionsReport {
  functions: FunctionReport[];
  /** Null where the database could not be asked. */
  databaseVersion: string | null;
  /** What is missing or wrong, that of `functions` included. */
  problems: Problem[];
}

/** Calls each function in a way that changes nothing. */
export async function readFunctions(project: Project): Promise<FunctionsReport> {
  let health: Health | undefined;
  const functions = await Promise.all([
    probe(project, "calendly-sync", { path: "/health" }, (answer) => {
      health = Health.safeParse(answer.body).data;
      return health !== undefined;
    }),
    // A server that names nobody: the key is looked at, and then what was asked for.
    probe(
      project,
      "calendly-connect",
      {},
      ({ body }) => Refusal.safeParse(body).data?.error.code === "user_id_required",
    ),
    // As Calendly calls it: without a key.
    probe(project, "calendly-webhook", { path: "/test", anonymous: true }),
  ]);
  const databaseVersion = health?.versions?.database ?? null;
  const ofHealth = [...health?.configuration_errors ?? [], ...health?.error ? [health.error] : []];
  return {
    functions,
    databaseVersion,
    problems: distinct([
      ...functions.flatMap(({ problem }) => problem ?? []),
      ...ofHealth.map((error) => refusalProblem(project, "calendly-sync", error)),
      ...versionProblems(functions, databaseVersion),
    ]),
  };
}

/** `isExpected` says whether a refusal is what this call must get. */
async function probe(
  project: Project,
  name: FunctionName,
  call: Call,
  isExpected: (answer: Answer) => boolean = () => false,
): Promise<FunctionReport> {
  try {
    const answer = await askFunction(project, name, call);
    const { version, body } = answer;
    if (version === null) return { name, version, problem: outdatedFunction(name, null) };
    const refusal = Refusal.safeParse(body);
    if (isExpected(answer) || !refusal.success) return { name, version, problem: null };
    return { name, version, problem: refusalProblem(project, name, refusal.data.error) };
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    return { name, version: null, problem: error };
  }
}

/** It tells no version, or another one than this program's. */
export function outdatedFunction(name: FunctionName, version: string | null): Problem {
  return new Problem(
    "functions_outdated",
    version === null
      ? `The Edge Function ${name} does not tell its version: it is older than ${VERSION}, or not of this product.`
      : `The Edge Function ${name} (${version}) does not answer as this program (${VERSION}) expects.`,
    `Deploy the functions: ${PROGRAM} deploy.`,
  );
}

/** Functions and database must be of one version. */
function versionProblems(functions: FunctionReport[], database: string | null): Problem[] {
  const known = [
    ...functions.flatMap(({ name, version }) => version === null ? [] : [{ name, version }]),
    ...database === null ? [] : [{ name: "the database", version: database }],
  ];
  if (new Set(known.map(({ version }) => version)).size <= 1) return [];
  const newest = known.map(({ version }) => version).sort(compareVersions).at(-1)!;
  const isDatabaseOld = database !== null && database !== newest;
  const list = known.map(({ name, version }) => `${name} ${version}`).join(", ");
  return [
    new Problem(
      isDatabaseOld ? "database_outdated" : "functions_outdated",
      `Functions and database are of different versions: ${list}.`,
      isDatabaseOld
        ? `Apply the migrations of ${newest}: ${PROGRAM} deploy. Until then syncs wait.`
        : `Deploy the functions of ${newest}: ${PROGRAM} deploy. Until then syncs wait.`,
    ),
  ];
}

/** What the three functions have in common, such as a wrong key, is said once. */
function distinct(problems: Problem[]): Problem[] {
  return problems.filter((problem, index) =>
    problems.findIndex(({ code, message }) =>
      code === problem.code && message === problem.message
    ) === index
  );
}
