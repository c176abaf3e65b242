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

  const commands: [command: string[], invitees: (rows: Record<string, unknown>[]) => boolean][] = [
    [["book", "--name", "Ana"], ([ana]) => ana.status === "active"],
    [["no-show"], ([ana]) => ana.no_show_uri !== null],
    [["undo-no-show"], ([ana]) => ana.no_show_uri === null],
    [["reschedule"], ([before, ana]) => before.status === "canceled" && ana.status === "active"],
    [["cancel"], ([, ana]) => ana.status === "canceled"],
  ];
  for (const [command, holds] of commands) {
    await t.step(command.join(" "), async () => {
      // Calendly has whole seconds for the time of an undo: within one second the order is unknown.
      if (command[0] === "undo-no-show") await new Promise((resolve) => setTimeout(resolve, 1100));
      const output = await printed(() => run([...command, "--url", stack.calendlyUrl], observer));
      assert.match(output, /invitee\S* → http\S+: 200 after \d+ ms/);
      assert.match(output, /In Postgres after \d+ ms\./);
      const rows = await invitees();
      assert.ok(holds(rows), JSON.stringify(rows));
    });
  }
});

Deno.test("a booking in another sandbox is not looked for in Postgres", async () => {
  await using stack = await startTestStack("embedded");
  const observer = watch({ url: "http://127.0.0.1:9", secret_key: "", calendly_url: "elsewhere" });
  const output = await printed(() => run(["book", "--url", stack.calendlyUrl], observer));
  assert.match(output, /No webhook subscription covers this\./);
  assert.ok(!output.includes("Postgres"));
});
