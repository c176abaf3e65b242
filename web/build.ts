/**
 * `deno task web`: makes the console's files in .local/web/. `buildConsole` makes them for who serves them:
 * index.html, console.js, console.css and icon.svg. Deno's own bundler is esbuild.
 */
import { answerHelp } from "../local/usage.ts";

const WEB = new URL("./", import.meta.url);

/** The page's files by name. Throws where something does not compile. */
export async function buildConsole(): Promise<Map<string, Uint8Array>> {
  return new Map([
    ["index.html", await Deno.readFile(new URL("index.html", WEB))],
    ["icon.svg", await Deno.readFile(new URL("icon.svg", WEB))],
    ["console.css", await buildStyles()],
    ["console.js", await buildScript()],
  ]);
}

async function buildScript(): Promise<Uint8Array> {
  const folder = await Deno.makeTempDir();
  try {
    const output = `${folder}/console.js`;
    const { success, stderr } = await new Deno.Command(Deno.execPath(), {
      args: [
        "bundle",
        "--quiet",
        "--platform=browser",
        "--format=iife",
        "--minify",
        "--no-lock",
        `--output=${output}`,
        new URL("main.tsx", WEB).href,
      ],
      cwd: new URL("../", WEB),
      stdin: "null",
      stderr: "piped",
    }).output();
    if (!success) throw new Error(new TextDecoder().decode(stderr));
    return await Deno.readFile(output);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** uPlot's styles, the page's, then those of each folder. */
async function buildStyles(): Promise<Uint8Array> {
  const files = [
    new URL(import.meta.resolve("uplot/dist/uPlot.min.css")),
    new URL("style.css", WEB),
  ];
  for (const folder of ["meetings", "operations", "sandbox"]) {
    const url = new URL(`${folder}/`, WEB);
    const names = [...Deno.readDirSync(url)].map(({ name }) => name);
    files.push(
      ...names.filter((name) => name.endsWith(".css")).sort().map((name) => new URL(name, url)),
    );
  }
  const texts = await Promise.all(files.map((file) => Deno.readTextFile(file)));
  return new TextEncoder().encode(texts.map(minifyStyles).join("\n"));
}

/** Without comments and the spaces around lines. */
function minifyStyles(css: string): string {
  return css.replace(/\/\*[^]*?\*\//g, "").replace(/\s*\n\s*/g, "\n").trim();
}

if (import.meta.main) {
  answerHelp(`Usage: npx -y deno@2.9.6 task web

Builds the console's page into .local/web. Starting the local project does it by itself.`);
  const target = new URL("../.local/web/", WEB);
  await Deno.mkdir(target, { recursive: true });
  for (const [name, bytes] of await buildConsole()) {
    await Deno.writeFile(new URL(name, target), bytes);
    console.log(`.local/web/${name} ${(bytes.length / 1024).toFixed(1)} kB`);
  }
}
