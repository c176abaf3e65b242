/** How every command ends: one JSON object where that is asked for, a sentence for any error, no word without a reader. */
import assert from "node:assert/strict";
import { type Command, runCommand } from "../../cli/command.ts";
import { COMMANDS, runProgram as run } from "../../cli/program.ts";
import { OutputClosed, Terminal } from "../../cli/terminal.ts";
import { VERSION } from "../../supabase/functions/_shared/calendly/version.ts";
import { needing } from "../harness/requirements.ts";
import { quietOutput } from "./output.ts";
import { IN_CLONE } from "./program.ts";
import { projectFolder, runIn, tree } from "./projects.ts";

Deno.test("with --json standard output is one object, whatever is asked", async () => {
  const answers: [args: string[], code: number, key: string, words: RegExp][] = [
    [["nope"], 1, "error", /unknown_command.*There is no command nope/],
    [["sbp_0123456789"], 1, "error", /There is no such command/],
    [["--help"], 0, "help", /Usage/],
    [["--version"], 0, "version", new RegExp(VERSION)],
    [["sql"], 0, "script", /begin;/],
    ...COMMANDS.map(({ name }): [string[], number, string, RegExp] => [
      [name, "--help"],
      0,
      "help",
      new RegExp(`Usage: .* ${name}`),
    ]),
    [["install", "--nope"], 1, "error", /unknown_option/],
  ];
  for (const [args, expected, key, words] of answers) {
    const { code, stdout } = await runIn(".", ...args, "--json");
    assert.equal(code, expected, stdout);
    const answer = JSON.parse(stdout);
    assert.deepEqual(Object.keys(answer), [key]);
    assert.match(JSON.stringify(answer), words);
  }
});

Deno.test("the help of every command shows the short options", async () => {
  for (const { name } of COMMANDS) {
    const { stdout } = await runIn(".", name, "--help");
    assert.match(stdout, /^ {2}-h, --help +show this$/m);
    assert.equal(/^ {2}-y, --yes +ask nothing$/m.test(stdout), /--dry-run/.test(stdout), name);
  }
});

Deno.test("every summary says what to do, as a command", () => {
  for (const { name, summary } of COMMANDS) assert.doesNotMatch(summary, /^\w+s /, name);
});

/** A command that fails in a way that nobody has foreseen. */
const BROKEN: Command = {
  name: "break",
  summary: "break",
  run: () => Promise.reject(new TypeError("x is undefined")),
};

Deno.test("an unforeseen error is a sentence with a code, and the trace is for a report", async () => {
  for (const args of [[], ["--json"]]) {
    const [out, err] = [quietOutput(), quietOutput()];
    const surroundings = { env: {}, folder: ".", stdout: out.output, stderr: err.output };
    assert.equal(await runCommand(BROKEN, args, surroundings), 2);
    assert.match(err.text(), /^ {2}unexpected {2}.*x is undefined\n.*report.*\n\nTypeError: x/);
    if (args.length === 0) assert.equal(out.text(), "");
    else assert.equal(JSON.parse(out.text()).error.code, "unexpected");
  }
});

Deno.test("where nobody reads the output, a command ends without a word", async () => {
  const err = quietOutput();
  const closed = {
    isTerminal: () => false,
    writeSync(): number {
      throw new OutputClosed();
    },
  };
  for (const args of [["sql"], ["--help"], ["install", "--dry-run"]]) {
    await using project = await projectFolder({ "supabase/config.toml": "" });
    const surroundings = { env: {}, folder: project.path, stdout: closed, stderr: err.output };
    assert.equal(await run(args, surroundings), 1);
    assert.equal(err.text(), "");
  }
});

Deno.test("a name with control characters moves nothing on a terminal; JSON has it as it is", () => {
  const name = "Mia\x1b]0;title\x07\x1b[2J\x1b[8m\x9b3J\r\u202e\x7f";
  let shown = "";
  const terminal = new Terminal({
    isTerminal: () => true,
    writeSync(bytes) {
      shown += new TextDecoder().decode(bytes);
      return bytes.length;
    },
  });
  terminal.check(name, true);
  terminal.columns(["e-mail"], [[name]]);
  terminal.problem({ code: "failed", message: `${name}\nMia`, hint: name });
  for (const part of ["\x07", "\x7f", "\x9b", "\r", "\u202e", "\x1b]", "\x1b[8m", "\x1b[2J"]) {
    assert.ok(!shown.includes(part), JSON.stringify(part));
  }
  assert.equal(shown.match(/Mia/g)!.length, 5);
  shown = "";
  terminal.raw(name);
  assert.equal(shown, `${name}\n`);
});

Deno.test("a pipe whose reader has gone is such an output", async () => {
  const { stdout, stderr } = await new Deno.Command("sh", {
    args: ["-c", `${IN_CLONE.join(" ")} sql | head -n 1`],
    cwd: new URL("../../", import.meta.url),
  }).output();
  const decoder = new TextDecoder();
  assert.match(decoder.decode(stdout), /^-- Calendly Sync.*\n$/);
  assert.equal(decoder.decode(stderr), "");
});

Deno.test({
  ...needing("who answers no gets an object that says so, and nothing is changed", "terminal"),
  async fn() {
    await using project = await projectFolder({ "supabase/config.toml": "" });
    const child = new Deno.Command("script", {
      args: [
        ...["--quiet", "--return", "--flush", "--command"],
        `stty cols 100; ${
          IN_CLONE.join(" ")
        } install ${project.path} --json > ${project.path}/answer`,
        "/dev/null",
      ],
      cwd: new URL("../../", import.meta.url),
      stdin: "piped",
      stdout: "piped",
      signal: AbortSignal.timeout(120_000),
    }).spawn();
    const keyboard = child.stdin.getWriter();
    let shown = "";
    let isTyped = false;
    for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
      shown += text;
      if (isTyped || !/Go on\?[^]*└/.test(shown)) continue;
      isTyped = true;
      await keyboard.write(new TextEncoder().encode("n"));
    }
    await keyboard.close().catch(() => {});
    assert.equal((await child.status).code, 1, shown);
    const { answer, ...files } = await tree(project.path);
    const { done, reason } = JSON.parse(answer);
    assert.deepEqual({ done, reason }, { done: false, reason: "declined" });
    assert.deepEqual(files, { "supabase/config.toml": "" });
  },
});
