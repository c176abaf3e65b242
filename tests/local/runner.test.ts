/** `deno task test` runs the chosen tests and counts them. */
import assert from "node:assert/strict";
import { estimate, runWithin } from "../harness/pool.ts";
import { readRecord, runTestsQuietly } from "../harness/record.ts";
import { changedFiles, dependentTests, selectByWords, testFiles } from "../harness/selection.ts";
import { readTap } from "../harness/tap.ts";
import { eventually } from "../schedule/support.ts";

const RUNNER = new URL("../run.ts", import.meta.url).href;
const HARNESS = new URL("../harness/", import.meta.url).href;

/** Runs `deno task test` on test files of these texts, on the embedded Postgres only. */
async function run(
  texts: Record<string, string>,
  { words = [], requireAll = false }: { words?: string[]; requireAll?: boolean } = {},
): Promise<{ code: number; lines: string[] }> {
  const folder = await Deno.makeTempDir({ prefix: "runner-" });
  try {
    const files = Object.keys(texts).map((name) => `${folder}/${name}`);
    for (const file of files) await Deno.writeTextFile(file, texts[file.slice(folder.length + 1)]);
    const { TEST_DATABASE_URL: _, REQUIRE_ALL: __, ...env } = Deno.env.toObject();
    const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "--allow-all", RUNNER, ...files, ...words],
      env: { ...env, NO_COLOR: "1", ...requireAll ? { REQUIRE_ALL: "1" } : {} },
      clearEnv: true,
      stdin: "null",
    }).output();
    const decoder = new TextDecoder();
    return { code, lines: (decoder.decode(stdout) + decoder.decode(stderr)).trimEnd().split("\n") };
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

const PASSING = `Deno.test("passes", () => {}); Deno.test("passes, too", () => {});`;
const FAILING = `Deno.test("fails", () => { throw new Error("the reason"); });`;
const LONG = `import { needing } from "${HARNESS}requirements.ts";
  Deno.test("short", () => {});
  Deno.test({ ...needing("long", "longRun"), fn() {} });`;
const NEEDY = `import { needing } from "${HARNESS}requirements.ts";
  Deno.test({ ...needing("needy", "realPostgres"), fn() {} });`;

Deno.test("a run of passing files exits with 0", async () => {
  const { code, lines } = await run({ "a.ts": PASSING, "b.ts": PASSING });
  assert.equal(code, 0);
  assert.match(
    lines[0],
    /^2 test files, on the embedded Postgres, without the long tests; \d+ at once/,
  );
  assert.match(lines[1], /^This takes about \d+ s/);
  assert.ok(lines.some((line) => /^ +2\/2 ✓ +[\d.]+ s {2}\/.*[ab]\.ts: 2 passed$/.test(line)));
  assert.equal(lines.at(-1), "tests: 4 passed, 0 failed");
});

Deno.test("a failing file fails the run, which prints the error and not the passed tests", async () => {
  const { code, lines } = await run({ "a.ts": PASSING, "b.ts": PASSING + FAILING });
  assert.equal(code, 1);
  assert.ok(lines.some((line) => /✗ .*b\.ts: 2 passed, 1 failed$/.test(line)));
  assert.ok(lines.some((line) => line.includes("error: Error: the reason")));
  assert.ok(!lines.some((line) => line.startsWith("passes ...")));
  assert.ok(lines.some((line) => /^ {2}.*b\.ts fails$/.test(line)));
  assert.equal(lines.at(-1), "tests: 4 passed, 1 failed");
});

Deno.test("--verbose shows each test", async () => {
  const { lines } = await run({ "a.ts": PASSING }, { words: ["--verbose"] });
  assert.ok(lines.some((line) => line.startsWith("passes, too ... ok")));
});

Deno.test("a file that is not over in time is ended and has failed", async () => {
  const file = await Deno.makeTempFile({ suffix: ".test.ts" });
  try {
    await Deno.writeTextFile(
      file,
      `Deno.test("hangs", async () => { setInterval(() => {}, 1000); await new Promise(() => {}); });`,
    );
    const { outcome } = await runTestsQuietly("a file", [file], {}, () => {}, 3000);
    assert.deepEqual(outcome.failed, ["a file: not over after 3 s"]);
  } finally {
    await Deno.remove(file);
  }
});

Deno.test("a file that does not compile, or exits, fails the run with its message", async () => {
  const broken = { "a.ts": `Deno.test("a", () => {`, "b.ts": `import "./nowhere.ts";` };
  const { code, lines } = await run({
    ...broken,
    "c.ts": `console.log("printed before"); Deno.exit(3);`,
  });
  assert.equal(code, 1);
  assert.equal(lines.filter((line) => /^ {2}.*[abc]\.ts: did not run$/.test(line)).length, 3);
  assert.ok(lines.some((line) => line.includes("SyntaxError")));
  assert.ok(lines.some((line) => line.includes("Module not found")));
  assert.ok(lines.some((line) => line.includes("printed before")));
  assert.equal(lines.at(-1), "tests: 0 passed, 3 failed");
});

Deno.test("a long test is listed by name, and runs with REQUIRE_ALL=1", async () => {
  const short = await run({ "a.ts": LONG });
  assert.equal(short.code, 0);
  assert.ok(short.lines.some((line) => line.startsWith("Skipped for want of [REQUIRE_ALL=1]:")));
  assert.ok(short.lines.some((line) => /^ {2}.*a\.ts long \[REQUIRE_ALL=1\]$/.test(line)));
  assert.equal(short.lines.at(-1), "tests: 1 passed, 0 failed");
  const full = await run({ "a.ts": LONG }, { requireAll: true });
  assert.equal(full.code, 0);
  assert.equal(full.lines.at(-1), "tests: 2 passed, 0 failed");
});

Deno.test("a test whose requirement is missing is skipped with how to get it; REQUIRE_ALL=1 fails it", async () => {
  const usual = await run({ "a.ts": PASSING, "b.ts": NEEDY });
  assert.equal(usual.code, 0);
  assert.ok(
    usual.lines.some((line) => /^Skipped .*\[real Postgres\]: TEST_DATABASE_URL=/.test(line)),
  );
  assert.ok(usual.lines.some((line) => /^ {2}.*b\.ts needy \[real Postgres\]$/.test(line)));
  const required = await run({ "a.ts": PASSING, "b.ts": NEEDY }, { requireAll: true });
  assert.equal(required.code, 1);
  assert.equal(required.lines.at(-1), "tests: 2 passed, 1 failed");
});

Deno.test("SIGTERM ends the processes of the tests", async () => {
  const folder = await Deno.makeTempDir({ prefix: "runner-" });
  try {
    await Deno.writeTextFile(
      `${folder}/a.ts`,
      `Deno.test("waits", async () => {
        using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
        await Deno.writeTextFile("${folder}/new", String(listener.addr.port));
        await Deno.rename("${folder}/new", "${folder}/port");
        await new Promise((resolve) => setTimeout(resolve, 1e9));
      });`,
    );
    await using runner = new Deno.Command(Deno.execPath(), {
      args: ["run", "--allow-all", RUNNER, `${folder}/a.ts`],
      stdin: "null",
      stdout: "null",
    }).spawn();
    const read = () => Deno.readTextFile(`${folder}/port`).catch(() => undefined);
    await eventually("the test runs", async () => await read() !== undefined);
    const isRunning = async () => {
      const connection = await Deno.connect({ hostname: "127.0.0.1", port: Number(await read()) })
        .catch(() => undefined);
      connection?.close();
      return connection !== undefined;
    };
    assert.ok(await isRunning());
    runner.kill("SIGTERM");
    assert.equal((await runner.status).code, 143);
    await eventually("the test's process is gone", async () => !await isRunning());
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("a phrase chooses the tests with it in their name", async () => {
  const { code, lines } = await run({ "a.ts": PASSING + LONG, "b.ts": FAILING }, {
    words: ["passes,", "too"],
  });
  assert.equal(code, 0);
  assert.match(lines[0], /^1 test file, the tests named “passes, too”/);
  assert.ok(!lines.some((line) => line.startsWith("Skipped")));
  assert.equal(lines.at(-1), "tests: 1 passed, 0 failed");
});

Deno.test("words that choose nothing fail the run", async () => {
  const word = crypto.randomUUID();
  const { code, lines } = await run({}, { words: [word] });
  assert.equal(code, 1);
  assert.ok(lines.includes(`No test file's path or text contains “${word}”.`));
  assert.equal(lines.at(-1), "tests: 0 passed, 0 failed");
});

Deno.test("words choose files by their paths, pgTAP files, or tests by a phrase", () => {
  const oauth = "tests/connections/oauth.test.ts";
  assert.deepEqual(selectByWords([oauth]), { files: [oauth], parts: [] });
  assert.deepEqual(selectByWords(["connections/oauth.", "sandbox/oauth"]), {
    files: [oauth, "tests/sandbox/oauth.test.ts"],
    parts: [],
  });
  assert.deepEqual(selectByWords(["row_level_security"]), {
    files: ["tests/database/pgtap.test.ts"],
    parts: ["row_level_security.sql"],
  });
  assert.deepEqual(selectByWords(["tests/database/pgtap", "row_level_security"]).parts, []);
  const own = "a phrase chooses the tests with it in their name";
  assert.deepEqual(selectByWords(own.split(" ")), {
    files: ["tests/local/runner.test.ts"],
    parts: [],
    phrase: own,
  });
  assert.deepEqual(selectByWords(["tests/sandbox/", ...own.split(" ")]).files, []);
});

for (
  const [changed, concerned, unconcerned] of [
    [
      "supabase/migrations/20270101000000_new.sql",
      "tests/database/pgtap.test.ts",
      "tests/sandbox/oauth.test.ts",
    ],
    [
      "supabase/functions/_shared/calendly/new.ts",
      "tests/functions/sync.test.ts",
      "tests/sandbox/oauth.test.ts",
    ],
    ["local/worker.ts", "tests/local/functions.test.ts", "tests/sandbox/oauth.test.ts"],
    ["local/first_run.ts", "tests/local/start.test.ts", "tests/functions/sync.test.ts"],
    [
      "cli/commands/reencrypt.ts",
      "tests/connections/rotation.test.ts",
      "tests/functions/sync.test.ts",
    ],
    ["cli/commands/connect.ts", "tests/cli/package.test.ts", "tests/functions/sync.test.ts"],
    ["sandbox/oauth.ts", "tests/functions/sync.test.ts", "tests/cli/project.test.ts"],
    [
      "tests/database/privileges.sql",
      "tests/database/pgtap.test.ts",
      "tests/functions/sync.test.ts",
    ],
    [
      "tests/security/fixtures/new.sql",
      "tests/security/matrix.test.ts",
      "tests/functions/sync.test.ts",
    ],
    [
      "tests/connections/oauth.test.ts",
      "tests/connections/oauth.test.ts",
      "tests/connections/members.test.ts",
    ],
    ["README.md", "tests/docs/pages.test.ts", "tests/functions/sync.test.ts"],
  ]
) {
  Deno.test(`--changed: ${changed} concerns ${concerned}, not ${unconcerned}`, async () => {
    const files = await dependentTests([changed]);
    assert.ok(files.includes(concerned));
    assert.ok(!files.includes(unconcerned));
  });
}

Deno.test("--changed: deno.lock concerns every test, a new page none", async () => {
  assert.deepEqual(await dependentTests(["deno.lock"]), testFiles());
  assert.deepEqual(await dependentTests([`docs/${crypto.randomUUID()}.md`]), []);
});

Deno.test("the changed files are edited, staged, deleted and new ones, and not ignored ones", async () => {
  const folder = await Deno.makeTempDir({ prefix: "changed-" });
  try {
    const git = (...args: string[]) => {
      const author = ["-c", "user.name=a", "-c", "user.email=a@example.com"];
      const { success } = new Deno.Command("git", { args: [...author, ...args], cwd: folder })
        .outputSync();
      assert.ok(success, args.join(" "));
    };
    const write = (name: string, text: string) => Deno.writeTextFileSync(`${folder}/${name}`, text);
    git("init", "--quiet");
    for (const name of ["edited", "staged", "deleted", "same"]) write(name, "before");
    write(".gitignore", "ignored");
    git("add", ".");
    git("commit", "--quiet", "--message=first");
    for (const name of ["edited", "staged", "new file", "ignored"]) write(name, "after");
    Deno.removeSync(`${folder}/deleted`);
    git("add", "staged");
    assert.deepEqual(changedFiles(new URL(`file://${folder}/`)).sort(), [
      "deleted",
      "edited",
      "new file",
      "staged",
    ]);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("jobs start longest first, within the slots and the memory", async () => {
  const job = (name: string, seconds: number, memory: number) => ({ name, seconds, memory });
  const jobs = [job("short", 1, 1), job("big", 9, 8), job("huge", 5, 99), job("long", 10, 5)];
  const ends = new Map<string, () => void>();
  const started: string[] = [];
  const done = runWithin({ slots: 2, memory: 10 }, jobs, ({ name }) => {
    started.push(name);
    return new Promise((resolve) => ends.set(name, resolve));
  });
  const end = async (name: string) => {
    ends.get(name)!();
    await new Promise((resolve) => setTimeout(resolve));
  };
  assert.deepEqual(started, ["long", "short"]); // Not "big" and "huge": too much beside "long".
  await end("long");
  assert.deepEqual(started, ["long", "short", "big"]);
  await end("short");
  assert.equal(started.length, 3);
  await end("big");
  assert.equal(started.at(-1), "huge"); // Alone, though it needs more than there is.
  await end("huge");
  await done;
});

Deno.test("an error of a job is thrown", async () => {
  const jobs = [{ seconds: 1, memory: 1 }];
  await assert.rejects(
    runWithin({ slots: 1, memory: 1 }, jobs, () => Promise.reject(new Error("no process"))),
    /no process/,
  );
});

Deno.test("the estimate is the time of the slot with the most work", () => {
  const jobs = [6, 5, 4, 3].map((seconds) => ({ seconds, memory: 1 }));
  assert.equal(estimate({ slots: 2, memory: 9 }, jobs), 9);
  assert.equal(estimate({ slots: 9, memory: 9 }, jobs), 6);
});

Deno.test("tests and steps are counted once each; failed and skipped ones are listed", () => {
  const record = `<testsuites><testsuite name="./a.test.ts" tests="8">
    <testcase name="with steps" classname="./a.test.ts" time="0.1">
        <failure message="1 test step failed">1 test step failed.</failure>
    </testcase>
    <testcase name="skipped" classname="./a.test.ts" time="0"><skipped/></testcase>
    <testcase name="plain" classname="./a.test.ts" time="0">
    </testcase>
    <testcase name="all steps pass" classname="./a.test.ts" time="0"></testcase>
    <testcase name="fails after its steps" classname="./a.test.ts" time="0">
        <failure message="Uncaught Error: a &lt; b">…</failure>
    </testcase>
    <testcase name="with steps &gt; passes" classname="./a.test.ts" time="0"></testcase>
    <testcase name="with steps &gt; fails" classname="./a.test.ts" time="0">
        <failure message="Uncaught Error">…</failure>
    </testcase>
    <testcase name="all steps pass &gt; one" classname="./a.test.ts" time="0"></testcase>
    <testcase name="fails after its steps &gt; one" classname="./a.test.ts" time="0"></testcase>
  </testsuite></testsuites>`;
  assert.deepEqual(readRecord(record), {
    passed: 4,
    failed: ["./a.test.ts fails after its steps", "./a.test.ts with steps > fails"],
    skipped: ["./a.test.ts skipped"],
    embeddedOnly: [],
  });
});

Deno.test("a test that ran on the embedded Postgres only is listed apart", () => {
  const record = `
    <testcase name="a [embedded Postgres]" classname="./a.test.ts" time="0.1"></testcase>
    <testcase name="a [real Postgres]" classname="./a.test.ts" time="0"><skipped/></testcase>
    <testcase name="b [real Postgres]" classname="./a.test.ts" time="0"><skipped/></testcase>`;
  const { skipped, embeddedOnly } = readRecord(record);
  assert.deepEqual(skipped, ["./a.test.ts a [real Postgres]", "./a.test.ts b [real Postgres]"]);
  assert.deepEqual(embeddedOnly, ["./a.test.ts a [real Postgres]"]);
});

Deno.test("each pgTAP assertion has its own result, and a plan that was not kept fails", () => {
  const verdicts = (output: string) =>
    readTap(output).map(({ name, passed }) => `${passed ? "✓" : "✗"} ${name}`);
  assert.deepEqual(verdicts("1..2\\nok 1 - first\\nok 2".replaceAll("\\n", "\n")), [
    "✓ first",
    "✓ assertion 2",
  ]);
  assert.deepEqual(verdicts("1..2\nok 1 - a\nnot ok 2 - b\n# Failed test 2\n#  have: 1"), [
    "✓ a",
    "✗ b",
  ]);
  assert.deepEqual(verdicts("1..1\nnot ok 1 - later # TODO not yet"), ["✓ later"]);
  assert.deepEqual(verdicts("1..2\nok 1 - a"), ["✓ a", "✗ all planned assertions ran"]);
  assert.deepEqual(verdicts("the file stops: syntax error"), ["✗ all planned assertions ran"]);
  assert.match(readTap("1..1\nnot ok 1 - b\n# have: 1").at(0)!.diagnostics, /have: 1/);
});
