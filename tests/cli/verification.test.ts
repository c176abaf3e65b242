/** What deploy finds of the functions, with stand-ins of them. */
import assert from "node:assert/strict";
import { findProblem } from "../../cli/verification.ts";
import { VERSION } from "../../supabase/functions/_shared/calendly/version.ts";

/** Functions that answer all calls with this version; `undefined`: they tell none. */
function functions(versions: Record<string, string | undefined>) {
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, (request) => {
    const name = new URL(request.url).pathname.split("/")[3];
    const version = name in versions ? versions[name] : VERSION;
    return Response.json({}, version ? { headers: { "x-calendly-sync-version": version } } : {});
  });
  return {
    url: `http://127.0.0.1:${server.addr.port}`,
    [Symbol.asyncDispose]: () => server.shutdown(),
  };
}

Deno.test("functions of another version, or that tell none, are not verified", async () => {
  const cases: [Record<string, string | undefined>, RegExp | undefined][] = [
    [{}, undefined],
    [{ "calendly-webhook": "0.0.9" }, /calendly-webhook \(0\.0\.9\)/],
    [{ "calendly-webhook": undefined }, /calendly-webhook does not tell its version/],
  ];
  for (const [versions, message] of cases) {
    await using stand = functions(versions);
    const problem = await findProblem(stand.url);
    assert.equal(problem?.code, message && "functions_outdated");
    if (message) assert.match(problem!.message, message);
  }
});

Deno.test("a function that does not tell the database's version is not verified", async () => {
  await using stand = functions({});
  const problem = await findProblem(stand.url, "sb_secret_x");
  assert.equal(problem?.code, "unexpected_answer");
});
