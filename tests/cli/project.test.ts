/** `deno task status` and `deno task reencrypt` take the project from the same variables. */
import assert from "node:assert/strict";
import { namedProject } from "../../cli/target.ts";

const ADDRESS = "https://abcdefghijkl.supabase.co";

Deno.test("SUPABASE_URL and a secret key, or the older service_role key, name the project", () => {
  const project = { url: ADDRESS, secretKey: "sb_secret_x" };
  assert.deepEqual(
    namedProject({ SUPABASE_URL: `${ADDRESS}/`, SUPABASE_SECRET_KEY: "sb_secret_x" }),
    project,
  );
  assert.deepEqual(
    namedProject({ SUPABASE_URL: ADDRESS, SUPABASE_SERVICE_ROLE_KEY: "sb_secret_x" }),
    project,
  );
  assert.equal(namedProject({ SUPABASE_SECRET_KEY: "sb_secret_x" }), undefined);
});

Deno.test("a missing or wrong variable is the error no_project", () => {
  assert.throws(() => namedProject({ SUPABASE_URL: ADDRESS }), {
    code: "no_project",
    message: /SUPABASE_SECRET_KEY is not set/,
    hint: /sb_secret_/,
  });
  for (
    const address of [
      "my project",
      "abcdefghijkl",
      "ftp://a.example",
      `${ADDRESS}/rest/v1`,
      "http://",
    ]
  ) {
    assert.throws(() => namedProject({ SUPABASE_URL: address, SUPABASE_SECRET_KEY: "x" }), {
      code: "no_project",
      message: /is not a project's address/,
      hint: /https:/,
    });
  }
});

for (const task of ["status", "reencrypt"]) {
  Deno.test(`deno task ${task} prints what is wrong without a stack trace`, async () => {
    const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["task", "--quiet", task],
      cwd: new URL("../../", import.meta.url),
      env: {
        SUPABASE_URL: ADDRESS,
        SUPABASE_SECRET_KEY: "",
        SUPABASE_SERVICE_ROLE_KEY: "",
        NO_COLOR: "1",
      },
    }).output();
    const decoder = new TextDecoder();
    assert.equal(code, 2);
    assert.match(
      decoder.decode(stdout) + decoder.decode(stderr),
      /^ {2}no_project {2}SUPABASE_SECRET_KEY is not set\.\n {2}Set it to .*\n$/,
    );
  });
}
