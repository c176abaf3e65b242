/**
 * `deno task docs`: writes docs/reference, and what stands between the markers of other pages, from the
 * catalogue's comments, the schemas of the functions and the lists of codes. With `--check` nothing is
 * written; the exit code is 1 where a page does not say what they say.
 *
 *     <!-- alerts: written by deno task docs -->
 *     <!-- end of alerts -->
 */
import { readCatalogue } from "./docs/catalogue.ts";
import { commandsPage } from "./docs/commands.ts";
import { environmentPage } from "./docs/environment.ts";
import { functionsPage } from "./docs/functions.ts";
import { httpPage } from "./docs/http.ts";
import { blocks, bullets } from "./docs/markdown.ts";
import { alertSections, errorSections, jobLines, metricLines } from "./docs/operate.ts";
import { verbSections } from "./docs/sandbox.ts";
import { settingsPage } from "./docs/settings.ts";
import { tablesPage } from "./docs/tables.ts";
import { answerHelp } from "./usage.ts";

const DOCS = new URL("../docs/", import.meta.url);
const NOTE = "<!-- Written by deno task docs from the sources. Not edited by hand. -->";

export async function generate(): Promise<Map<string, string>> {
  const catalogue = await readCatalogue();
  const pages = new Map(
    Object.entries({
      "reference/README.md": indexPage(),
      "reference/tables.md": tablesPage(catalogue),
      "reference/functions.md": functionsPage(catalogue),
      "reference/settings.md": settingsPage(catalogue),
      "reference/environment.md": environmentPage(),
      "reference/http.md": httpPage(catalogue),
      "reference/commands.md": commandsPage(),
    }).map(([path, text]) => [path, `${NOTE}\n\n${text}\n`]),
  );
  const sections: Record<string, string> = {
    alerts: alertSections(catalogue),
    "error codes": await errorSections(catalogue),
    metrics: metricLines(),
    jobs: jobLines(catalogue),
    verbs: verbSections(),
  };
  for await (const { name } of Deno.readDir(DOCS)) {
    if (!name.endsWith(".md")) continue;
    const text = await Deno.readTextFile(new URL(name, DOCS));
    const filled = fillSections(name, text, sections);
    if (filled !== undefined) pages.set(name, filled);
  }
  const formatted = await Promise.all(
    [...pages].map(async ([path, text]): Promise<[string, string]> => [path, await format(text)]),
  );
  return new Map(formatted);
}

function indexPage(): string {
  return blocks(
    "# Reference",
    "What there is, one page a kind, made from the sources: it fits the version that it lies beside.",
    bullets([
      "[tables.md](tables.md): tables, views and their columns, and who reads them",
      "[functions.md](functions.md): functions of the database",
      "[http.md](http.md): paths, bodies, answers and errors of the Edge Functions",
      "[commands.md](commands.md): the command line",
      "[settings.md](settings.md): how far back, how often, how much at once, how long kept",
      "[environment.md](environment.md): variables of the Edge Functions",
      "[operate.md](../operate.md): alerts and error codes",
    ]),
  );
}

/** The page with its sections filled; undefined where it has none. Throws where one is unknown. */
function fillSections(
  page: string,
  text: string,
  sections: Record<string, string>,
): string | undefined {
  const marked = /(<!-- ([a-z ]+): written by deno task docs -->\n)[^]*?(<!-- end of \2 -->)/g;
  const begun = text.match(/^<!-- .*: written by deno task docs -->$/gm) ?? [];
  if (begun.length === 0) return undefined;
  if (begun.length !== [...text.matchAll(marked)].length) {
    throw new Error(`docs/${page}: a section does not end.`);
  }
  return text.replace(marked, (_, begin: string, name: string, end: string) => {
    if (!Object.hasOwn(sections, name)) throw new Error(`docs/${page}: nothing is called ${name}.`);
    return `${begin}\n${sections[name]}\n\n${end}`;
  });
}

async function format(text: string): Promise<string> {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["fmt", "--ext=md", "-"],
    cwd: DOCS,
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(text));
  await writer.close();
  const { success, stdout } = await child.output();
  if (!success) throw new Error("deno fmt has failed.");
  return new TextDecoder().decode(stdout);
}

/** Pages that are there and not as they should be. */
async function outdated(pages: Map<string, string>): Promise<string[]> {
  const wrong: string[] = [];
  for (const [path, text] of pages) {
    const found = await Deno.readTextFile(new URL(path, DOCS)).catch(() => undefined);
    if (found !== text) wrong.push(path);
  }
  return wrong;
}

if (import.meta.main) {
  answerHelp(`Usage: npx -y deno@2.9.6 task docs [--check]

Writes docs/reference and the generated parts of other pages, from the comments in the database, the
schemas of the functions and the lists of codes. With --check it writes nothing and names the pages
that do not say what these say.`);
  const pages = await generate();
  const wrong = await outdated(pages);
  if (!Deno.args.includes("--check")) {
    await Deno.mkdir(new URL("reference/", DOCS), { recursive: true });
    for (const path of wrong) await Deno.writeTextFile(new URL(path, DOCS), pages.get(path)!);
    for (const path of wrong) console.log(`docs/${path}`);
  } else if (wrong.length > 0) {
    const list = wrong.map((path) => `docs/${path}`).join(", ");
    console.error(`${list}: not as the sources say. Run npx -y deno@2.9.6 task docs.`);
    Deno.exit(1);
  }
}
