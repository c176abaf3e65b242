/**
 * `install`: puts the product's files into a person's Supabase project, or brings those that are there to
 * this version. Nothing is written before the plan was shown; nothing that its owner wrote is replaced.
 */
import { createTwoFilesPatch, FILE_HEADERS_ONLY } from "diff";
import { dirname, join, resolve } from "node:path";
import { VERSION } from "../../supabase/functions/_shared/calendly/version.ts";
import { CHANGING, type Context, defineCommand, type ExitCode, PROGRAM } from "../command.ts";
import { addSections, parseConfig } from "../config_toml.ts";
import { changeConfig, changeFiles, checkFiles, isRemoved, isWritten } from "../file_changes.ts";
import { checkWritable } from "../files.ts";
import { Problem } from "../problem.ts";
import {
  installedVersion,
  NEW_COPY,
  planFiles,
  type PlannedFile,
  readProduct,
  versionOf,
} from "../project_files.ts";
import { findProject, type ProjectFolder } from "../project_folder.ts";
import { findWarnings, type Warning } from "../project_warnings.ts";
import type { Terminal } from "../terminal.ts";
import { count, wrap } from "../words.ts";

const OPTIONS = {
  "original-names": {
    type: "boolean",
    help: "add the views users and meetings, for an app that was written for the original system",
  },
  "write-new": {
    type: "boolean",
    help: `put our version of a file that you edited beside it, as <file>${NEW_COPY}`,
  },
  ...CHANGING,
} as const;

interface Plan {
  project: ProjectFolder;
  /** The version that is there, if any. */
  installed?: string;
  files: PlannedFile[];
  config: { text: string; added: string[]; patched: string[] };
  warnings: Warning[];
}

export const install = defineCommand({
  name: "install",
  summary: "put the functions and migrations into a Supabase project, or bring them up to date",
  argument: "[folder]",
  description: `[folder] is the project's, by default the one in which you are.

Copies the functions and migrations into supabase/, and adds their sections to
supabase/config.toml. A file that you edited is never overwritten: it is shown
as a diff, and the command ends with 1.
Running it again changes nothing; running a newer version of it is the upgrade.`,
  options: OPTIONS,
  async run(context) {
    const { values, terminal, argument = "." } = context;
    const folder = resolve(context.folder, argument);
    const wishes = {
      originalNames: values["original-names"],
      newCopies: values["write-new"],
    };
    let plan = await makePlan(folder, wishes);
    await checkPlan(plan);
    show(terminal, plan);
    const isNeeded = needsWriting(plan);
    if (isNeeded && !values["dry-run"]) {
      terminal.line();
      if (!await context.confirm("Nothing has been changed yet. Go on?")) {
        terminal.line("  Nothing has been changed.");
        context.answer(result(plan, { done: false, reason: "declined" }));
        return 1;
      }
      plan = await writePlan(terminal, plan, () => makePlan(folder, wishes));
    }
    return end(context, plan);
  },
});

async function makePlan(
  folder: string,
  wishes: { originalNames?: boolean; newCopies?: boolean },
): Promise<Plan> {
  const project = await findProject(folder);
  const product = await readProduct();
  const config = addSections(project.config);
  const files = await planFiles(project.supabase, product, wishes);
  const lastMigration = files.map(({ path }) => versionOf(path.slice(path.lastIndexOf("/") + 1)))
    .sort().at(-1)!;
  return {
    project,
    installed: await installedVersion(project.supabase, product),
    files,
    config,
    warnings: await findWarnings(project, parseConfig(config.text), lastMigration),
  };
}

/** Everything that will be written can be, or nothing is. */
async function checkPlan(plan: Plan): Promise<void> {
  const { supabase } = plan.project;
  await checkFiles(supabase, plan.files);
  if (changesConfig(plan)) await checkWritable(join(supabase, "config.toml"), supabase);
}

function edited(files: PlannedFile[]) {
  return files.filter(({ path, state }) => state === "edited" && !path.endsWith(NEW_COPY));
}

function changesConfig({ config }: Plan): boolean {
  return config.added.length + config.patched.length > 0;
}

function needsWriting(plan: Plan): boolean {
  return plan.files.some((file) => isWritten(file) || isRemoved(file)) || changesConfig(plan);
}

/** Returns the plan as it was executed: config.toml is changed as its owner has it now. */
async function writePlan(
  terminal: Terminal,
  plan: Plan,
  planAgain: () => Promise<Plan>,
): Promise<Plan> {
  const { supabase } = plan.project;
  await terminal.step("files written", (note) => changeFiles(supabase, plan.files, note));
  let { config } = plan;
  if (changesConfig(plan)) {
    await terminal.step("config.toml written", async () => {
      config = await changeConfig(supabase, addSections);
    });
  }
  await terminal.step("read again: all is as planned", async () => {
    const left = await planAgain();
    if (!needsWriting(left)) return;
    throw new Problem(
      "not_installed",
      "Something else changed the files meanwhile.",
      "Run this again.",
    );
  });
  return { ...plan, config };
}

/** The width of what is written in sentences, after its indentation. */
const WIDTH = 76;

const SIGNS = { new: "+", equal: "=", updated: "~", removed: "-", edited: "!", kept: "!" };

function show(terminal: Terminal, plan: Plan): void {
  const { project, installed, files, warnings } = plan;
  terminal.line();
  terminal.pairs([
    ["Project", `${project.root}${project.ref ? `  (linked to ${project.ref})` : ""}`],
    ["Version", installed && installed !== VERSION ? `${VERSION}, from ${installed}` : VERSION],
  ]);
  if (needsWriting(plan)) {
    terminal.line();
    terminal.line("  Plan");
    terminal.pairs([...summary(files), ["supabase/config.toml", configSummary(plan)]]);
  }
  if (changesConfig(plan)) showDiff(terminal, configDiff(plan));
  const isCopy = (path: string) => path.endsWith(NEW_COPY);
  const listed = files.filter(({ path, state }) =>
    state !== "equal" && (state !== "new" || isCopy(path))
  );
  if (listed.length > 0) terminal.line();
  for (const { path, state, diff, isFolder } of listed) {
    terminal.line(
      `  ${SIGNS[state]} supabase/${path}${isFolder ? "/" : ""}  ${terminal.dim(state)}`,
    );
    if (diff && !isCopy(path)) showDiff(terminal, diff);
  }
  for (const { code, message, hint } of warnings) {
    terminal.line();
    const [first, ...rest] = wrap(`${code}: ${message}`, WIDTH);
    terminal.line(`  ${terminal.red("!")} ${first}`);
    for (const line of [...rest, ...wrap(hint, WIDTH)]) terminal.line(`    ${line}`);
  }
}

/** How many files of each folder are new, updated and so on. */
function summary(files: PlannedFile[]): [folder: string, counts: string][] {
  const folders = [...new Set(files.map(({ path }) => dirname(path)))].sort();
  return folders.map((folder) => {
    const states = files.filter(({ path }) => dirname(path) === folder).map(({ state }) => state);
    const counts = [...new Set(states)].map((state) =>
      `${states.filter((other) => other === state).length} ${state}`
    );
    return [`supabase/${folder}`, counts.join(", ")];
  });
}

function configSummary({ project, config: { added, patched } }: Plan): string {
  const changes = [
    project.config === undefined && "a new file",
    added.length > 0 && `${count(added.length, "section")} added`,
    patched.length > 0 && `verify_jwt switched off for ${patched.join(", ")}`,
  ].filter(Boolean);
  return changes.join(", ") || "equal";
}

function configDiff({ project, config }: Plan): string {
  const name = "config.toml";
  const [before, after] = [project.config ?? "", config.text].map((text) =>
    text.replaceAll("\r\n", "\n")
  );
  return createTwoFilesPatch(name, name, before, after, "now", "then", {
    context: 2,
    headerOptions: FILE_HEADERS_ONLY,
  });
}

const LONGEST_DIFF = 60;

function showDiff(terminal: Terminal, diff: string): void {
  const lines = diff.split("\n").filter((line) => line !== "");
  for (const line of lines.slice(0, LONGEST_DIFF)) {
    const paint = line.startsWith("+")
      ? terminal.green
      : line.startsWith("-")
      ? terminal.red
      : terminal.dim;
    terminal.line(`      ${paint(line)}`);
  }
  if (lines.length > LONGEST_DIFF) {
    terminal.line(`      … ${lines.length - LONGEST_DIFF} more lines: --json has them all`);
  }
}

function end(context: Context<typeof OPTIONS>, plan: Plan): ExitCode {
  const { terminal, values, argument } = context;
  const isDryRun = values["dry-run"] === true;
  const next = [PROGRAM, "deploy", argument].filter(Boolean).join(" ");
  const left = edited(plan.files);
  const reason = left.length > 0 ? "files_edited" : null;
  context.answer(result(plan, { done: !isDryRun, reason, next }));
  terminal.line();
  if (left.length > 0) {
    terminal.line(
      `  ${terminal.red("!")} ${count(left.length, "file")} edited by you, and left so.`,
    );
    terminal.line(
      `    With the others of version ${VERSION} ${
        left.length === 1 ? "it" : "they"
      } may not work.`,
    );
    const hint = "Bring the new version's changes into yours: --write-new puts ours beside each, " +
      `as <file>${NEW_COPY}. Or delete yours and run this again. If a formatter edited them, ` +
      "leave our folders out of it.";
    for (const line of wrap(hint, WIDTH)) terminal.line(`    ${line}`);
    return 1;
  }
  if (!needsWriting(plan)) terminal.line(`  Nothing to do: version ${VERSION} is installed.`);
  if (isDryRun && needsWriting(plan)) {
    terminal.line("  Nothing has been changed: this was a dry run.");
  } else terminal.line(`  Next: commit the folder supabase, then ${terminal.bold(next)}`);
  return 0;
}

/** Why the command ended with 1. */
type Reason = "declined" | "files_edited" | null;

/** For --json. */
function result(
  { project, installed, files, config, warnings }: Plan,
  outcome: { done: boolean; reason: Reason; next?: string },
) {
  const { added, patched } = config;
  return {
    project: project.root,
    ref: project.ref ?? null,
    version: VERSION,
    installed: installed ?? null,
    files: files.map(({ text: _, there: __, ...file }) => file),
    edited: edited(files).map(({ path }) => path),
    config: { added, patched },
    warnings,
    ...outcome,
  };
}
