/** The project's Data API as this program asks it, with a secret key; what it refuses as a Problem. */
import { PostgrestClient } from "@supabase/postgrest-js";
import { PROGRAM } from "./command.ts";
import { projectProblem, unreachable, wrongKey } from "./platform_answers.ts";
import { Problem } from "./problem.ts";
import type { Project } from "./target.ts";

export function dataApi({ url, secretKey }: Project): PostgrestClient {
  return new PostgrestClient(`${url}/rest/v1`, {
    headers: { apikey: secretKey, authorization: `Bearer ${secretKey}` },
    // Whoever waits at a terminal asks again.
    retry: false,
  });
}

/** What PostgrestClient answers. */
interface Answer<T> {
  data: T | null;
  count?: number | null;
  status: number;
  error: { message: string; code?: string } | null;
}

/** The rows or the result. Error: project_paused, wrong_key, migrations_missing, status_unknown, … */
export function rowsOf<T>({ url, secretKey }: Project, answer: Answer<T>): T {
  const { status } = answer;
  if (!answer.error) return answer.data!;
  // Whoever answers may repeat what was sent.
  const error = { ...answer.error, message: answer.error.message.replaceAll(secretKey, "…") };
  // The client tells what fetch threw as "TypeError: fetch failed".
  if (status === 0) throw unreachable(url, new Error(error.message.replace(/^\w+: /, "")));
  const isJson = !error.message.trimStart().startsWith("<");
  const problem = projectProblem(url, { status, isJson, message: error.message });
  if (problem) throw problem;
  if (status === 401 || status === 403) throw wrongKey(url);
  if (error.code === "PGRST106") {
    throw new Problem(
      "schema_not_exposed",
      `The Data API of ${url} does not expose the schema public.`,
      "Add public to the exposed schemas: Settings > Data API in the dashboard of Supabase.",
    );
  }
  if (["PGRST202", "PGRST205", "42883", "42P01"].includes(error.code ?? "")) {
    throw new Problem(
      "migrations_missing",
      `The database of ${url} does not have this product's tables and functions, or older ones.`,
      `Apply the migrations: ${PROGRAM} deploy.`,
    );
  }
  throw new Problem(
    "status_unknown",
    `${url} refuses to answer: ${error.message || `status ${status}`}`,
    "Try again in a moment. If it lasts, see the logs of the API in the dashboard of Supabase.",
    { cannotTell: true },
  );
}
