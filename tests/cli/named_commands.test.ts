/** Every command of the Supabase CLI that a page, a hint or a message names is one that it has. */
import assert from "node:assert/strict";
import { findSupabaseCli } from "../harness/npm_programs.ts";
import { needing } from "../harness/requirements.ts";

const ROOT = new URL("../../", import.meta.url);
/** What people read, and the programs whose messages they read. */
const PLACES = ["README.md", "CHANGELOG.md", "docs", "cli", "local", "sandbox", "supabase"];

interface Mention {
  place: string;
  /** What follows the word supabase, such as `db push --remote`. */
  words: string[];
}

/** In prose a command stands between backticks; after npx it is one anywhere. */
const MENTION =
  /(?:npx (?:-y )?supabase(?:@[\d.]+)?|(?<=`)supabase(?=(?: [a-z-]+)+)) ([a-z][^`"'\n;,()]*)/g;

function mentionsIn(text: string, place: string): Mention[] {
  const joined = text.replaceAll("\\\n", " ");
  return [...joined.matchAll(MENTION)].map(([, rest]) => ({
    place,
    words: rest.split(/[.:](?:\s|$)/)[0].split(/\s+/).filter(Boolean),
  }));
}

async function* readTexts(path: string): AsyncGenerator<[place: string, text: string]> {
  const url = new URL(path, ROOT);
  if (!(await Deno.stat(url)).isDirectory) {
    if (/\.(md|ts|sql|toml)$/.test(path)) yield [path, await Deno.readTextFile(url)];
    return;
  }
  for await (const { name } of Deno.readDir(url)) {
    if (!name.startsWith(".")) yield* readTexts(`${path}/${name}`);
  }
}

async function readMentions(): Promise<Mention[]> {
  const mentions: Mention[] = [];
  for (const place of PLACES) {
    for await (const [path, text] of readTexts(place)) mentions.push(...mentionsIn(text, path));
  }
  return mentions;
}

/** What `--help` says of a command. */
interface Help {
  subcommands: string[];
  flags: string[];
}

const helps = new Map<string, Promise<Help>>();

function helpOf(command: string[]): Promise<Help> {
  const key = command.join(" ");
  if (!helps.has(key)) helps.set(key, readHelp(command));
  return helps.get(key)!;
}

async function readHelp(command: string[]): Promise<Help> {
  const { success, stdout, stderr } = await new Deno.Command(findSupabaseCli()!, {
    args: [...command, "--help"],
    env: { NO_COLOR: "1", SUPABASE_TELEMETRY_DISABLED: "1" },
    stdin: "null",
  }).output();
  const text = new TextDecoder().decode(stdout);
  assert.ok(success, `supabase ${command.join(" ")} --help: ${new TextDecoder().decode(stderr)}`);
  const [, listed = ""] = text.match(/^SUBCOMMANDS\n((?:.*\n?)*?)(?=^[A-Z]|$(?![\s\S]))/m) ?? [];
  return {
    subcommands: [...listed.matchAll(/^ {2}([a-z-]+)/gm)].map(([, name]) => name),
    flags: [...text.matchAll(/^ {2}(--[a-z-]+)/gm)].map(([, name]) => name),
  };
}

/** What the CLI does not have of a mention; undefined: it has all of it. */
async function findWrong({ words }: Mention): Promise<string | undefined> {
  const command: string[] = [];
  let help = await helpOf(command);
  for (const word of words) {
    if (!help.subcommands.includes(word)) break;
    command.push(word);
    help = await helpOf(command);
  }
  if (help.subcommands.length > 0) return `${words[command.length]} is no command`;
  const flags = words.filter((word) => word.startsWith("--")).map((word) => word.split("=")[0]);
  const unknown = flags.find((flag) => !help.flags.includes(flag));
  return unknown && `${command.join(" ")} has no ${unknown}`;
}

Deno.test({
  ...needing("each command that is named is one of the Supabase CLI", "supabaseCli"),
  async fn(t) {
    const mentions = await readMentions();
    assert.ok(mentions.length >= 15, `only ${mentions.length} are found`);
    for (const words of new Set(mentions.map((mention) => mention.words.join(" ")))) {
      await t.step(`supabase ${words}`, async () => {
        const [mention] = mentions.filter((other) => other.words.join(" ") === words);
        assert.equal(await findWrong(mention), undefined, mention.place);
      });
    }
  },
});

Deno.test({
  ...needing("a command or a flag that the Supabase CLI does not have is found", "supabaseCli"),
  async fn() {
    const [push, flag, command] = mentionsIn(
      "`npx supabase db push --remote`, `npx supabase db push --db-url=x` and `supabase db publish`",
      "here",
    );
    assert.equal(await findWrong(push), undefined);
    assert.equal(await findWrong(flag), "db push has no --db-url");
    assert.equal(await findWrong(command), "publish is no command");
  },
});
