/** Log lines are JSON objects within the platform's limits, and strangers cannot fill the log. */
import assert from "node:assert/strict";
import { readLogLine } from "../../cli/terminal.ts";
import { log, logCounted, logError } from "../../supabase/functions/_shared/calendly/log.ts";
import webhook from "../../supabase/functions/calendly-webhook/index.ts";
import { serve } from "../../supabase/functions/_shared/calendly/http.ts";
import { collectErrors, stillClock, Stub } from "./stub.ts";

/** What console.log is given. */
function collectLines(): { lines: string[] } & Disposable {
  const lines: string[] = [];
  const { log } = console;
  console.log = (...words: unknown[]) => void lines.push(words.join(" "));
  return { lines, [Symbol.dispose]: () => void (console.log = log) };
}

Deno.test("a line is one JSON object with the text in message", () => {
  using output = collectLines();
  using errors = collectErrors();
  log("Webhook event ignored", { event_id: "e", empty: undefined });
  log("Nothing beside it");
  logError("Two\nlines", { error: { code: "x" } });
  assert.deepEqual([...output.lines, ...errors.lines], [
    '{"message":"Webhook event ignored","event_id":"e"}',
    '{"message":"Nothing beside it"}',
    '{"message":"Two\\nlines","error":{"code":"x"}}',
  ]);
});

Deno.test("a line that is too long has its longest values cut, and says which", () => {
  using output = collectLines();
  log("short", { error: "x".repeat(50_000), other: "kept", list: Array(2000).fill("item") });
  log("x".repeat(20_000), { control: "\u0001".repeat(9_000), emoji: "😀".repeat(5_000) });
  for (const line of output.lines) assert.ok(line.length <= 10_000, `${line.length}`);
  const [first, second] = output.lines.map((line) => JSON.parse(line));
  assert.deepEqual([first.message, first.other], ["short", "kept"]);
  assert.deepEqual(first.cut.toSorted(), ["error", "list"]);
  assert.match(first.error, /^x{1000,}$/);
  assert.ok(second.cut.includes("control"));
});

Deno.test("a line has no e-mail, wherever it is in what is logged", () => {
  using output = collectLines();
  log("Refused: jane@example.com", {
    error: {
      message: 'unknown attendee <Jane.Doe+x@example.com>, "jo@example.com"\nand jo@example.com.',
    },
    list: ["https://calendly.com/x?email=jane%40example.com&name=1"],
    long: "jane@example.com ".repeat(2_000),
    kept: "10 @ once",
  });
  const [line] = output.lines;
  assert.doesNotMatch(line, /example/);
  const { error, list, kept, cut } = JSON.parse(line);
  assert.equal(error.message, 'unknown attendee <[e-mail]>, "[e-mail]"\nand [e-mail]');
  assert.deepEqual(list, ["https://calendly.com/x?email=[e-mail]&name=1"]);
  assert.equal(kept, "10 @ once");
  assert.deepEqual(cut, ["long"]);
});

/** E-mails that are written in other ways. */
const WRITTEN = [
  "jane\uff20example.com",
  "jane\ufe6bexample.com",
  "jane%EF%BC%A0example.com",
  '"jane doe"@example.com',
  '\\"jane doe\\"@example.com',
  "jane.o'example@example.com",
  "jane@[192.0.2.1]",
];

Deno.test("however an e-mail is written, neither a value nor a name has it", () => {
  using output = collectLines();
  for (const email of WRITTEN) {
    log(`Refused: ${email} twice`, { list: [{ [email]: `<${email}>` }], [email]: 1 });
  }
  assert.deepEqual(
    output.lines,
    WRITTEN.map(() =>
      '{"message":"Refused: [e-mail] twice","list":[{"[e-mail]":"<[e-mail]>"}],"[e-mail]":1}'
    ),
  );
});

Deno.test("what repeats is logged once a minute, with how often it came", () => {
  using errors = collectErrors();
  using clock = stillClock();
  const refuse = (times: number, reason: string) => {
    for (let time = 0; time < times; time++) logCounted(`Refused: ${reason}`, { time });
  };
  const said = () =>
    errors.lines.splice(0).map((line) => JSON.parse(line))
      .map(({ message, time, count }) => [message, time, count]);
  refuse(30, "forged");
  refuse(1, "too large");
  assert.deepEqual(said(), [["Refused: forged", 0, 1], ["Refused: too large", 0, 1]]);
  clock.now = 59_999;
  refuse(10, "forged");
  assert.deepEqual(said(), []);
  clock.now = 60_000;
  refuse(5, "forged");
  assert.deepEqual(said(), [["Refused: forged", 0, 40]], "29, 10 and this one");
  clock.now = 120_000;
  refuse(1, "forged");
  assert.deepEqual(said(), [["Refused: forged", 0, 5]]);
});

Deno.test("counting needs no more memory however many different errors there are", () => {
  using errors = collectErrors();
  using _clock = stillClock();
  for (let error = 0; error < 1000; error++) logCounted(`Error ${error}`);
  assert.equal(errors.lines.length, 1000);
  logCounted("Error 0");
  assert.equal(errors.lines.length, 1001, "it has been forgotten");
});

Deno.test("a person reads the message and then the fields", () => {
  assert.deepEqual(readLogLine('{"message":"Webhook event ignored","event_id":"e"}'), {
    message: "Webhook event ignored",
    fields: { event_id: "e" },
  });
  for (const text of ["Listening on 1", '{"message":1}', "{", "null", '"text"']) {
    assert.deepEqual(readLogLine(text), { message: text, fields: {} });
  }
});

Deno.test("of a hundred different errors each is counted still", async () => {
  const { href } = new URL("../../supabase/functions/_shared/calendly/log.ts", import.meta.url);
  const fresh: { logCounted: typeof logCounted } = await import(`${href}?fresh`);
  using errors = collectErrors();
  using _clock = stillClock();
  for (let time = 0; time < 3; time++) {
    for (let error = 0; error < 100; error++) fresh.logCounted(`Error ${error}`);
  }
  assert.equal(errors.lines.length, 100);
});

Deno.test("a body that is cut off is a bad request, which is counted", async () => {
  using errors = collectErrors();
  using clock = stillClock();
  clock.now = 2_000_000;
  await using _stub = new Stub({});
  for (let time = 0; time < 3; time++) {
    const body = new ReadableStream({
      pull: (controller) => controller.error(new Error("connection reset")),
    });
    const response = await webhook.fetch(
      new Request("http://project.test/functions/v1/calendly-webhook", { method: "POST", body }),
    );
    const { error } = await response.json();
    assert.deepEqual([response.status, error.code], [400, "body_incomplete"]);
  }
  assert.equal(errors.lines.length, 1);
  assert.match(errors.lines[0], /^{"message":"A webhook was refused: The body ends too early/);
});

Deno.test("an unexpected error is logged with its stack once a minute, by what it says", async () => {
  using errors = collectErrors();
  using clock = stillClock();
  clock.now = 3_000_000;
  const reasons = ["one", "other", "one", "one"];
  const answer = serve("f", {
    "GET /": {
      handle: () => Promise.reject(new Error(reasons.shift())),
      does: "Fails.",
      caller: "anybody",
      answers: {},
    },
  });
  while (reasons.length > 0) {
    assert.equal((await answer(new Request("http://project.test/f"))).status, 500);
  }
  assert.deepEqual(
    errors.lines.map((line) => JSON.parse(line)).map((
      { message, error, count },
    ) => [message, error.split("\n")[0], count]),
    [["Unexpected error", "Error: one", 1], ["Unexpected error", "Error: other", 1]],
  );
});
