/**
 * `calendly-sync console`: serves the console of a project on this machine until Ctrl-C, and makes a link that
 * opens operations. Of the local stack, which serves its own, it only makes a new link.
 */
import { z } from "zod";
import { openBrowser } from "../browser.ts";
import { defineCommand, type ExitCode, PROGRAM } from "../command.ts";
import { listen } from "../console/listen.ts";
import { createConsole } from "../console/server.ts";
import { dataApi, rowsOf } from "../data_api.ts";
import { REMOTE } from "../deployment.ts";
import { untilAborted, untilInterrupted } from "../interrupt.ts";
import { readPage } from "../page.ts";
import { removeLeftFiles } from "../private_file.ts";
import { unreachable } from "../platform_answers.ts";
import { Problem } from "../problem.ts";
import { findTargetWithKeys, type Project } from "../target.ts";

/** What --json prints. */
export interface Result {
  project: string;
  /** Where the console answers. */
  url: string;
  /** Opens operations, once and within ten minutes. */
  link: string;
}

export const console = defineCommand({
  name: "console",
  summary: "open the console: meetings, runs, deliveries, alerts",
  argument: "[folder]",
  description:
    `Serves the console of the project that the folder is linked to, or that SUPABASE_URL,
SUPABASE_SECRET_KEY and SUPABASE_PUBLISHABLE_KEY name, on this machine alone until Ctrl-C. In a
clone, of the local stack that runs, it makes a new link. The link opens operations, once and
within ten minutes. The secret key stays in this program.

--json prints {project, url, link}.`,
  options: {
    port: { type: "string", value: "<n>", help: "where the console answers; else a free port" },
    "no-open": { type: "boolean", help: "open no browser" },
    ...REMOTE,
  },
  async run(context) {
    const { values, env, terminal, isJson, answer } = context;
    const port = parsePort(values.port);
    await removeLeftFiles();
    const target = await findTargetWithKeys(context);
    const show = async (result: Result, signal: AbortSignal) => {
      answer(result);
      terminal.pairs([
        ["project", result.project],
        ["console", result.url],
        ["operations, once", result.link],
      ]);
      if (!values["no-open"] && !isJson && terminal.isInteractive) {
        await openBrowser(result.link, env, signal);
      }
    };
    if (target.isLocalStack) {
      const link = await askForLink(target);
      await untilInterrupted((signal) =>
        show({ project: target.url, url: target.url, link }, signal)
      );
      return 0;
    }
    const publishableKey = await target.readPublishableKey();
    await checkProject(target);
    const page = await readPage();
    return await untilInterrupted<ExitCode>(async (signal) => {
      const listening = await listen(
        port,
        (origins) =>
          createConsole({
            files: () => Promise.resolve(page),
            project: { ...target, publishableKey, kind: "hosted" },
            origins,
            realtime: true,
          }),
        (error) => terminal.log("console", (error as Error)?.stack ?? String(error)),
      );
      try {
        const link = listening.console.link();
        const shown = show({ project: target.url, url: listening.url, link }, signal);
        terminal.line(terminal.dim("    Ctrl-C ends it."));
        await untilAborted(signal);
        await shown;
        return 0;
      } finally {
        await listening.stop();
      }
    });
  },
});

function parsePort(text = "0"): number {
  const port = Number(text);
  if (/^\d+$/.test(text) && port <= 65535) return port;
  throw new Problem(
    "invalid_argument",
    `--port ${text} is no port.`,
    `For instance: ${PROGRAM} console --port 8080.`,
  );
}

/** Whether the console will find what it shows. Errors: wrong_key, migrations_missing, … */
async function checkProject(project: Project): Promise<void> {
  rowsOf(project, await dataApi(project).from("calendly_alerts").select("code").limit(1));
}

/** A new link from the local stack. */
export async function askForLink({ url, secretKey }: Project): Promise<string> {
  let response: Response;
  let body: unknown;
  try {
    response = await fetch(`${url}/console/link`, {
      method: "POST",
      headers: { authorization: `Bearer ${secretKey}` },
      redirect: "manual",
    });
    body = await response.json();
  } catch (error) {
    throw unreachable(url, error);
  }
  const { data } = z.object({ link: z.string() }).safeParse(body);
  if (data) return data.link;
  throw new Problem(
    "unexpected_answer",
    `${url} makes no link (status ${response.status}).`,
    "The local stack may still be starting, or be of another version: start it again.",
    { cannotTell: true },
  );
}
