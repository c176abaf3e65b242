/** The generated parts of docs/operate.md: alerts, error codes, metrics, jobs. */
import { exposition } from "../../supabase/functions/calendly-sync/openmetrics.ts";
import { ABOUT_PROBLEMS, PROBLEM_CODES, type ProblemCodeEntry } from "../../cli/problem_codes.ts";
import {
  ABOUT,
  ERROR_CODES,
  type ErrorCodeEntry,
} from "../../supabase/functions/_shared/calendly/error_codes.ts";
import type { Alert, Catalogue } from "./catalogue.ts";
import { originsOfCodes } from "./codes.ts";
import { blocks, bullets, code, listed, prose } from "./markdown.ts";

export function alertSections({ alerts }: Catalogue): string {
  const list = (severity: Alert["severity"], title: string) => {
    const of = alerts.filter((alert) => alert.severity === severity);
    return blocks(`### ${title}`, ...of.map(alertSection));
  };
  return blocks(list("critical", "Critical alerts"), list("warning", "Warnings"));
}

/** Pages of docs/ that a text names become links. */
function linked(text: string): string {
  return prose(text)
    .replaceAll(/(in )?`docs\/operate\.md`/g, "[below](#error-codes)")
    .replace(/`(?:docs\/([\w-]+\.md)|(reference\/[\w-]+\.md))`/g, (_, page, reference) => {
      const path = page ?? reference;
      return `[${path}](${path})`;
    });
}

function alertSection({ code: name, meaning, what_to_do }: Alert): string {
  const todo = what_to_do.replaceAll("%L", "'…'").replaceAll("%s", "…")
    .replace(/^… | …$/, "").trim();
  return blocks(`#### Alert ${name}`, linked(meaning), `**What to do.** ${linked(todo)}`);
}

export async function errorSections({ routines }: Catalogue): Promise<string> {
  const origins = await originsOfCodes(routines);
  return blocks(
    ...sectionsOf<ErrorCodeEntry>(ABOUT, ERROR_CODES, (name, { status }) => {
      const from = `from ${listed([...origins.get(name) ?? []])}`;
      return status === undefined ? sentence(from) : `HTTP ${status}, ${from}.`;
    }),
    ...sectionsOf<ProblemCodeEntry>(ABOUT_PROBLEMS, PROBLEM_CODES, () => ""),
  );
}

/** A section for each kind of codes, and in it one for each code. */
function sectionsOf<Entry extends { about: string; means: string; todo: string }>(
  kinds: Record<string, string>,
  codes: Record<string, Entry>,
  facts: (name: string, entry: Entry) => string,
): string[] {
  return Object.entries(kinds).flatMap(([kind, title]) => [
    `### ${title}`,
    ...Object.entries(codes).filter(([, { about }]) => about === kind).map(([name, entry]) =>
      blocks(
        `#### ${name}`,
        `${facts(name, entry)} ${linked(entry.means)}`.trim(),
        `**What to do.** ${linked(entry.todo)}`,
      )
    ),
  ]);
}

function sentence(text: string): string {
  return `${text[0].toUpperCase()}${text.slice(1)}.`;
}

/** The families of an exposition, with the help texts that a scraper gets as well. */
export function metricLines(): string {
  const text = exposition({
    status: "healthy",
    version: null,
    alerts: [],
    users: 0,
    never_synced: 0,
    staleness_p50: 0,
    staleness_p95: 0,
    staleness_max: 0,
    due: 0,
    running_workers: 0,
    max_workers: 0,
    ticked_at: 0,
  }, 0);
  return bullets(
    [...text.matchAll(/^# HELP (\S+) (.*)$/gm)].map(([, name, help]) =>
      `${code(name)}: ${prose(help)}`
    ),
  );
}

/** Our jobs, each with what the functions say that it calls. */
export function jobLines({ jobs, routines }: Catalogue): string {
  return bullets(jobs.map(({ name, schedule, command }) => {
    const called = [...command.matchAll(/(?:public\.(\w+)|(calendly\.\w+))\(/g)]
      .map(([, ours, own]) => ours ?? own);
    const what = called.map((name) => routines.find((routine) => routine.name === name)?.comment)
      .filter((comment) => comment != null);
    return `${code(name)} (${code(schedule)}): ${what.map(prose).join(" ")}`;
  }));
}
