/** Which tests run: all, those that some words choose, or those that depend on what changed. */
import { statSync } from "node:fs";
import { basename, parse } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = new URL("../../", import.meta.url);
const PGTAP = "tests/database/pgtap.test.ts";

export interface Selection {
  files: string[];
  /** Of these files only the tests whose names contain it. */
  phrase?: string;
  /** Of the pgTAP file only these parts. */
  parts?: string[];
}

/** All test files, as paths from the project's root. */
export function testFiles(): string[] {
  return filesUnder("tests/").filter((file) => file.endsWith(".test.ts"));
}

/**
 * What the words choose. If each of them occurs in a path, all test files and pgTAP files with one of them
 * in their path. Otherwise the words that are not written like a path are a phrase, which the names of the
 * tests contain; the others still choose the files.
 */
export function selectByWords(words: string[]): Selection {
  const found = words.map((word) => findFiles(word.replace(/^\.\//, "")));
  const arePaths = found.every((files) => files.length > 0);
  const isPath = (word: string) => arePaths || /\/|\.(ts|sql)$/.test(word);
  const chosen = new Set(found.filter((_, n) => isPath(words[n])).flat());
  const phrase = words.filter((word) => !isPath(word)).join(" ");
  const parts = chosen.has(PGTAP)
    ? []
    : [...chosen].filter((file) => file.endsWith(".sql")).map((file) => basename(file));
  const files = [...chosen].filter((file) => file.endsWith(".ts"));
  if (parts.length > 0) files.push(PGTAP);
  if (phrase === "") return { files, parts };
  const among = words.some(isPath) ? files : testFiles();
  return { files: among.filter((file) => read(file).includes(phrase)), parts, phrase };
}

/** A module by its whole path, or the test files and pgTAP files with the word in their path. */
function findFiles(word: string): string[] {
  if (word.endsWith(".ts") && isFile(word)) return [word];
  const parts = filesUnder("tests/database/", false).filter((file) => file.endsWith(".sql"));
  return [...testFiles(), ...parts].filter((file) => file.includes(word));
}

/** Folders and files that a module reads or starts while it runs, beside what it imports. */
const READ_BY: [path: string, module: string][] = [
  ["supabase/migrations/", "cli/migrations.ts"],
  ["supabase/migrations/", "cli/payload.ts"],
  ["supabase/functions/", "cli/payload.ts"],
  ["cli/releases.json", "cli/payload.ts"],
  ["cli/", "cli/package.ts"],
  ["web/", "cli/package.ts"],
  ["web/", "local/console.ts"],
  ["cli/", "tests/cli/program.ts"],
  ["supabase/functions/", "local/functions.ts"],
  ["supabase/functions/", "tests/functions/configuration.test.ts"],
  ["tests/database/", PGTAP],
  ["supabase/", "tests/mutations/mutate.ts"],
];

/** These concern every test. */
const EVERYWHERE = ["deno.json", "deno.lock"];

/**
 * The test files that depend on these files. A file concerns the modules that import it and those that
 * READ_BY names. What nobody imports (SQL, fixtures, programs) concerns the modules that have its name in
 * quotes, and, if it is no module and lies in a folder of tests, all tests there.
 */
export async function dependentTests(changed: string[]): Promise<string[]> {
  if (changed.some((file) => EVERYWHERE.includes(file))) return testFiles();
  const importers = await readImporters();
  const texts = new Map(modules().map((file) => [file, read(file)]));
  const reached = new Set(changed);
  for (const file of reached) { // A set goes on with what is added meanwhile.
    for (const dependent of dependentsOf(file)) reached.add(dependent);
  }
  return testFiles().filter((file) => reached.has(file));

  function dependentsOf(file: string): string[] {
    const readers = READ_BY.filter(([path]) => file.startsWith(path)).map(([, module]) => module);
    const those = (applies: (text: string) => boolean) =>
      [...texts].filter(([, text]) => applies(text)).map(([module]) => module);
    // Only tests run tasks: elsewhere the name of one may be a word.
    const running = those((text) => runsTaskOf(text, file))
      .filter((module) => module.startsWith("tests/"));
    const imported = importers.get(file);
    if (imported) return [...readers, ...running, ...imported];
    const naming = [...running, ...those((text) => isNamedIn(text, file))];
    const [area] = file.match(/^tests\/[^/]+\//) ?? [];
    const beside = area && !file.endsWith(".ts")
      ? testFiles().filter((test) => test.startsWith(area))
      : [];
    return [...readers, ...naming, ...beside];
  }
}

/** Whether a text has in quotes the name of the task whose program the file is. */
function runsTaskOf(text: string, file: string): boolean {
  if (!text.includes(`"${parse(file).name}"`)) return false;
  // Commands have ordinary words for names.
  return /^local\/[^/]+$/.test(file) ||
    /^cli\/commands\/[^/]+$/.test(file) && text.includes('"task"');
}

/** Whether a text has the file's name in quotes. */
function isNamedIn(text: string, file: string): boolean {
  return new RegExp(`["'\`/]${RegExp.escape(parse(file).base)}["'\`]`).test(text);
}

/** What differs from the last commit in the repository at `root`, with new files; deleted ones, too. */
export function changedFiles(root: URL = ROOT): string[] {
  return [
    ...git(root, "diff", "--name-only", "--no-renames", "-z", "HEAD"),
    ...git(root, "ls-files", "--others", "--exclude-standard", "-z"),
  ];
}

function git(root: URL, ...args: string[]): string[] {
  const { success, stdout, stderr } = new Deno.Command("git", { args, cwd: root }).outputSync();
  if (!success) throw new Error(`git ${args[0]} failed: ${new TextDecoder().decode(stderr)}`);
  return new TextDecoder().decode(stdout).split("\0").filter((name) => name !== "");
}

/** Who imports a module. */
async function readImporters(): Promise<Map<string, string[]>> {
  const entry = await Deno.makeTempFile({ suffix: ".ts" });
  try {
    const imports = modules().map((file) =>
      `import ${JSON.stringify(new URL(file, ROOT).href)};\n`
    );
    await Deno.writeTextFile(entry, imports.join(""));
    const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["info", "--json", `--config=${fileURLToPath(new URL("deno.json", ROOT))}`, entry],
      stdin: "null",
    }).output();
    if (!success) throw new Error(`deno info failed: ${new TextDecoder().decode(stderr)}`);
    const importers = new Map<string, string[]>();
    for (const module of JSON.parse(new TextDecoder().decode(stdout)).modules) {
      const importer = toPath(module.specifier);
      if (!importer) continue;
      for (const { code, type } of module.dependencies ?? []) {
        const imported = toPath((code ?? type)?.specifier);
        if (!imported) continue;
        importers.set(imported, [...importers.get(imported) ?? [], importer]);
      }
    }
    return importers;
  } finally {
    await Deno.remove(entry);
  }
}

/** The project's path of a module; undefined: it is not the project's. */
function toPath(specifier: string | undefined): string | undefined {
  if (specifier?.startsWith(ROOT.href)) return specifier.slice(ROOT.href.length);
}

/** All modules of the project. */
function modules(): string[] {
  return ["cli/", "local/", "sandbox/", "supabase/functions/", "tests/", "bench/"].flatMap((
    folder,
  ) => filesUnder(folder).filter((file) => file.endsWith(".ts")));
}

function filesUnder(folder: string, deep = true): string[] {
  return [...Deno.readDirSync(new URL(folder, ROOT))]
    .sort((a, b) => a.name < b.name ? -1 : 1)
    .flatMap(({ name, isDirectory }) =>
      !isDirectory ? [`${folder}${name}`] : deep ? filesUnder(`${folder}${name}/`) : []
    );
}

function read(file: string): string {
  return Deno.readTextFileSync(new URL(file, ROOT));
}

function isFile(path: string): boolean {
  return statSync(new URL(path, ROOT), { throwIfNoEntry: false })?.isFile() ?? false;
}
