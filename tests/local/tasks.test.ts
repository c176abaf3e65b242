/** `deno task`: each task says what it does, prints nothing of Deno's own, and has a help. */
import assert from "node:assert/strict";
import configuration from "../../deno.json" with { type: "json" };

const ROOT = new URL("../../", import.meta.url);

Deno.test("each task has a description, and does not print what Deno downloads", () => {
  for (const [name, task] of Object.entries(configuration.tasks)) {
    assert.match(task.description ?? "", /^[a-z].{9,}[^.]$/, name);
    assert.match(task.command, /^deno run --quiet /, name);
  }
});

Deno.test("--help says how a task is called, does nothing else, and ends well", async (t) => {
  for (const [name, { command }] of Object.entries(configuration.tasks)) {
    await t.step(name, async () => {
      const [, ...args] = command.split(" ");
      const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
        args: [...args, "--help"],
        cwd: ROOT,
        stdin: "null",
      }).output();
      const [output, errors] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
      assert.equal(code, 0, errors);
      assert.equal(errors, "");
      assert.match(output, new RegExp(`^Usage: npx -y deno@\\S+ task (cli )?${name}\\b`));
      assert.ok(!output.includes("\x1b"), output);
      assert.deepEqual(output.split("\n").filter((line) => line.length > 100), []);
    });
  }
});
