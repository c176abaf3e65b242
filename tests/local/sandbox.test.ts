/** `deno task sandbox` beside a running stack: it prints when a change has been stored in Postgres. */
import assert from "node:assert/strict";
import { createClient } from "@supabase/supabase-js";
import { watch } from "../../local/sandbox.ts";
import { type Stack } from "../../local/stack.ts";
import { run } from "../../sandbox/main.ts";
import { startTestStack } from "../harness/stack.ts";

/** What a command prints. */
async function printed(work: () => Promise<void>): Promise<string> {
  const lines: unknown[] = [];
  const { log } = console;
  console.log = (line: unknown) => lines.push(line);
  try {
    await work();
  } finally {
    console.log = log;
  }
  return lines.join("\n");
}

async function connectDemo(stack: Stack): Promise<void> {
  const demo = createClient(stack.url, stack.publishableKey, {
    auth: { persistSession: false, autoRefreshToken: false },
  });
  await demo.auth.signInWithPassword(stack.demoUser);
  const { token } = stack.sandbox!.demo;
  for (const [name, body] of [["", { token, sync: false }], ["/webhooks", {}]] as const) {
    const { error } = await demo.functions.invoke(`calendly-connect${name}`, { body });
    assert.equal(error, null);
  }
}

Deno.test("each change of a booking prints when it was stored in Postgres", async (t) => {
  await using stack = await startTestStack("embedded");
  await connectDemo(stack);
  const observer = watch({
    url: stack.url,
    secret_key: stack.secretKey,
    calendly_url: stack.calendlyUrl,
  });
  const invitees = () =>
    stack.sql(
      "select status, no_show_uri from public.calendly_invitees order by calendly_created_at",
    );

  type Holds = (rows: Record<string, unknown>[]) => boolean;
  const commands: [command: string[], line: RegExp, invitees: Holds][] = [
    [["book", "--name", "Ana"], /^Ana books /, ([ana]) => ana.status === "active"],
    [["no-show"], /^Ana did not come: /, ([ana]) => ana.no_show_uri !== null],
    [["undo-no-show"], /^Ana is not a no-show any more: /, ([ana]) => ana.no_show_uri === null],
    [
      ["reschedule"],
      /^Ana moves .*, to /,
      ([before, ana]) => before.status === "canceled" && ana.status === "active",
    ],
    [["cancel"], /^Canceled by Ana: Ana, /, ([, ana]) => ana.status === "canceled"],
  ];
  for (const [command, line, holds] of commands) {
    await t.step(command.join(" "), async () => {
      // Calendly has whole seconds for the time of an undo: within one second the order is unknown.
      if (command[0] === "undo-no-show") await new Promise((resolve) => setTimeout(resolve, 1100));
      const output = await printed(() => run([...command, "--url", stack.calendlyUrl], observer));
      const [first, second, ...more] = output.split("\n");
      assert.match(first, line);
      assert.match(first, /30 Minute Meeting with Demo Host, \d{4}-\d\d-\d\d \d\d:\d\d to .* UTC/);
      assert.match(second, /^In Postgres after \d+ ms\.$/);
      assert.deepEqual(more, []);
      const rows = await invitees();
      assert.ok(holds(rows), JSON.stringify(rows));
    });
  }
});

Deno.test("a booking in another sandbox is not looked for in Postgres", async () => {
  await using stack = await startTestStack("embedded");
  const observer = watch({ url: "http://127.0.0.1:9", secret_key: "", calendly_url: "elsewhere" });
  const output = await printed(() => run(["book", "--url", stack.calendlyUrl], observer));
  assert.match(output, /No webhook subscription covers this: the next sync finds it\./);
  assert.ok(!output.includes("Postgres"));
});

Deno.test("--json prints the whole answer of a verb and nothing else", async () => {
  await using stack = await startTestStack("embedded");
  for (const command of [["book", "--name", "Ana"], ["requests"], ["clear-faults"]]) {
    const output = await printed(() => run([...command, "--json", "--url", stack.calendlyUrl]));
    const answer = JSON.parse(output);
    if (command[0] === "book") assert.equal(answer.invitee.name, "Ana");
  }
});
