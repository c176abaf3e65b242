/**
 * `deno task types`: the types of the database, for the functions, made by the Supabase CLI from the
 * migrations. With `--check` nothing is written; the exit code is 1 if the file is not up to date.
 */
import { openEmbedded } from "./database.ts";
import { preparedImage } from "./image.ts";
import { answerHelp } from "./usage.ts";

answerHelp(`Usage: npx -y deno@2.9.6 task types [--check]

Makes the functions' types of the database from the migrations, with the Supabase CLI.

  --check      write nothing; exit code 1 if the file is not up to date
  -h, --help   show this`);

const SUPABASE_CLI = "supabase@3.1.0";
const HEADER = "// Made by `deno task types` from the migrations. Not edited by hand.\n";
const FILE = new URL("../supabase/functions/_shared/calendly/database.types.ts", import.meta.url);

const types = await generate();
if (!Deno.args.includes("--check")) {
  await Deno.writeTextFile(FILE, types);
} else if (types !== await Deno.readTextFile(FILE)) {
  console.error(`${FILE.pathname} does not fit the migrations: run npx -y deno@2.9.6 task types.`);
  Deno.exit(1);
}

async function generate(): Promise<string> {
  const image = await preparedImage({ seed: false });
  const database = await openEmbedded({ image, port: 0 });
  try {
    const remote = `--remote=${database.url}?sslmode=disable`;
    const generated = await run("npx", [
      ...["-y", SUPABASE_CLI, "gen", "types", "--lang", "typescript", "--schema", "public"],
      remote,
    ]);
    return await run(Deno.execPath(), ["fmt", "--ext=ts", "-"], HEADER + generated);
  } finally {
    await database.close();
  }
}

/** A command's output; throws with what it said when it fails. */
async function run(command: string, args: string[], input = ""): Promise<string> {
  const child = new Deno.Command(command, {
    args,
    cwd: new URL("../", import.meta.url),
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(input));
  await writer.close();
  const { success, stdout, stderr } = await child.output();
  if (!success) throw new Error(`${command} failed:\n${new TextDecoder().decode(stderr)}`);
  return new TextDecoder().decode(stdout);
}
