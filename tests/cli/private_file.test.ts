/** A secret in a file: not longer than it is used, whatever ends the program. */
import assert from "node:assert/strict";
import { removeLeftFiles, withPrivateFile } from "../../cli/private_file.ts";

const MODULE = new URL("../../cli/private_file.ts", import.meta.url).href;

Deno.test("a private file is this user's alone, and gone after its use", async () => {
  let used = "";
  const answer = await withPrivateFile("secret", async (file) => {
    used = file;
    assert.equal(await Deno.readTextFile(file), "secret");
    assert.equal((await Deno.stat(file)).mode! & 0o777, 0o600);
    await removeLeftFiles();
    await Deno.stat(file); // That of a running program stays.
    return 5;
  });
  assert.equal(answer, 5);
  await assert.rejects(Deno.stat(used), Deno.errors.NotFound);
  await assert.rejects(
    withPrivateFile("secret", (file) => Promise.reject(new Error(used = file))),
    { message: /calendly-sync-/ },
  );
  await assert.rejects(Deno.stat(used), Deno.errors.NotFound);
});

/** A process that uses a private file for ever, and that is ended by this signal. */
async function endWhileUsing(signal: Deno.Signal, folder: string): Promise<Deno.CommandStatus> {
  const script = `const { withPrivateFile } = await import("${MODULE}");
    await withPrivateFile("secret", async (file) => {
      console.log(file);
      await new Promise((resolve) => setTimeout(resolve, 600_000));
    });`;
  await using process = new Deno.Command(Deno.execPath(), {
    args: ["eval", "--no-check", script],
    env: { TMPDIR: folder },
    stdout: "piped",
  }).spawn();
  const reader = process.stdout.getReader();
  await reader.read();
  process.kill(signal);
  const status = await process.status;
  await reader.cancel();
  return status;
}

Deno.test("an interrupted program removes it, the next one removes that of a killed one", async () => {
  const folder = await Deno.makeTempDir();
  const left = async () => (await Array.fromAsync(Deno.readDir(folder))).length;
  try {
    assert.equal((await endWhileUsing("SIGINT", folder)).code, 130);
    assert.equal((await endWhileUsing("SIGTERM", folder)).code, 143);
    assert.equal(await left(), 0);
    await endWhileUsing("SIGKILL", folder);
    assert.equal(await left(), 1);
    await new Deno.Command(Deno.execPath(), {
      args: ["eval", `await (await import("${MODULE}")).removeLeftFiles();`],
      env: { TMPDIR: folder },
    }).output();
    assert.equal(await left(), 0);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
