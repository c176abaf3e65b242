/** The local stack runs Edge Functions as the platform does. */
import assert from "node:assert/strict";
import { denoEnvironment, Functions } from "../../local/functions.ts";
import { type Stack } from "../../local/stack.ts";
import { startTestStack } from "../harness/stack.ts";

const fixtures = {
  migrations: new URL("./fixtures/migrations/", import.meta.url),
  functions: new URL("./fixtures/functions/", import.meta.url),
  calendlyUrl: "http://127.0.0.1:9",
  env: { CALENDLY_CLIENT_ID: "a-client" },
};

/** These share a stack: none leaves anything that another would see. */
Deno.test("Edge Functions", async (t) => {
  await using stack = await startTestStack("embedded", fixtures);
  const call = (path: string, init?: RequestInit) =>
    fetch(`${stack.url}/functions/v1/${path}`, init);
  const started = async () => (await (await call("echo")).json()).started;

  await t.step(
    "a function gets the request unchanged, with a path that starts with its name",
    async () => {
      const response = await call("echo/some/path?a=1&a=2", {
        method: "PATCH",
        headers: { "x-test": "ü".normalize("NFD").length === 2 ? "kept" : "" },
        body: "text",
      });
      const { method, path, header, body, greeting } = await response.json();
      assert.deepEqual([response.status, response.headers.get("x-answer")], [201, "yes"]);
      assert.deepEqual(
        { method, path, header, body, greeting },
        {
          method: "PATCH",
          path: "/echo/some/path?a=1&a=2",
          header: "kept",
          body: "text",
          greeting: "hello",
        },
      );
    },
  );

  await t.step("a function has its own environment, and not the stack's", async () => {
    const { environment } = await (await call("echo")).json();
    assert.equal(environment.SUPABASE_URL, stack.url);
    assert.equal(JSON.parse(environment.SUPABASE_SECRET_KEYS).default, stack.secretKey);
    assert.equal(JSON.parse(environment.SUPABASE_PUBLISHABLE_KEYS).default, stack.publishableKey);
    assert.equal(environment.CALENDLY_API_URL, fixtures.calendlyUrl);
    assert.equal(environment.CALENDLY_CLIENT_ID, "a-client");
    assert.ok(environment.CALENDLY_TOKEN_KEY);
    assert.equal(environment.TEST_DATABASE_URL, undefined);
  });

  await t.step(
    "a function reaches only the addresses in its environment, and cannot write files",
    async () => {
      assert.deepEqual(await (await call("echo/database")).json(), []);
      assert.match(await (await call("echo/abroad")).json(), /NotCapable|PermissionDenied/);
      assert.match(await (await call("echo/write")).json(), /NotCapable|PermissionDenied/);
    },
  );

  await t.step(
    "background work continues after the answer, and its failure does not end the function",
    async () => {
      const before = await started();
      await (await call("echo/background")).body?.cancel();
      assert.deepEqual(await (await call("echo/later")).json(), ["done"]);
      assert.equal(await started(), before);
      assert.ok(
        stack.functions.logs("echo").some((line) => line.includes("failed in the background")),
      );
    },
  );

  await t.step(
    "a function that exits fails its request, and the next request starts it",
    async () => {
      const before = await started();
      const response = await call("echo/exit");
      assert.deepEqual([response.status, (await response.json()).code], [500, "WORKER_ERROR"]);
      assert.notEqual(await started(), before);
    },
  );

  await t.step("a function that is killed starts again with the next request", async () => {
    const before = await started();
    await stack.functions.kill("echo");
    assert.equal(await stack.functions.memory("echo"), 0);
    assert.notEqual(await started(), before);
    const bytes = await stack.functions.memory("echo");
    assert.ok(bytes > 10_000_000 && bytes < 1_000_000_000, `${bytes} bytes`);
  });

  await t.step(
    "a function that cannot start is BOOT_ERROR, with the reason in its log",
    async () => {
      const response = await call("broken");
      assert.deepEqual([response.status, (await response.json()).code], [503, "BOOT_ERROR"]);
      assert.ok(stack.functions.logs("broken").some((line) => line.includes("cannot start")));
    },
  );

  await t.step("a name that is no function is NOT_FOUND", async () => {
    for (const name of ["nothing", "_shared", "..%2fecho", "Echo"]) {
      const response = await call(name);
      assert.deepEqual([response.status, (await response.json()).code], [404, "NOT_FOUND"], name);
    }
  });

  await t.step(
    "a call of a running function takes less than a quarter of a first call",
    async () => {
      const median = async (prepare: () => Promise<unknown>) => {
        const times: number[] = [];
        for (let round = 0; round < 5; round++) {
          await prepare();
          const before = performance.now();
          await started();
          times.push(performance.now() - before);
        }
        return times.sort((a, b) => a - b)[2];
      };
      const cold = await median(() => stack.functions.kill("echo"));
      const warm = await median(() => Promise.resolve());
      assert.ok(warm < cold / 4, `${warm} ms of ${cold} ms`);
    },
  );
});

Deno.test("shortenPauses shortens a function's pauses and not its time-outs", async () => {
  for (const [shortenPauses, ended] of [[undefined, []], [1000, ["pause"]]] as const) {
    const functions = new Functions({
      folder: fixtures.functions,
      environment: () => ({}),
      shortenPauses,
    });
    try {
      const request = new Request("http://project/functions/v1/echo/timers");
      assert.deepEqual(await (await functions.fetch("echo", request)).json(), ended);
    } finally {
      await functions.stop();
    }
  }
});

Deno.test("the functions end with the stack", async () => {
  const stack = await startTestStack("embedded", fixtures);
  const pid = await pidOfEcho(stack);
  assert.ok(await isRunning(pid));
  await stack[Symbol.asyncDispose]();
  assert.ok(!await isRunning(pid));
});

async function pidOfEcho(stack: Stack): Promise<number> {
  await (await fetch(`${stack.url}/functions/v1/echo`)).body?.cancel();
  return stack.functions.pid("echo")!;
}

async function isRunning(pid: number): Promise<boolean> {
  return (await new Deno.Command("kill", { args: ["-0", String(pid)], stderr: "null" }).output())
    .success;
}

Deno.test("a function's Deno gets the variables for its cache, proxy and certificates, and no others", () => {
  const needed = {
    HOME: "/home/ana",
    DENO_TLS_CA_STORE: "system",
    SSL_CERT_FILE: "/certificates.pem",
    NODE_EXTRA_CA_CERTS: "/certificates.pem",
    https_proxy: "http://proxy.example.com",
    npm_config_registry: "https://npm.example.com",
  };
  const others = { AWS_SECRET_ACCESS_KEY: "a secret", PATH: "/bin", DENO_SERVE_ADDRESS: "tcp:1" };
  assert.deepEqual(denoEnvironment({ ...needed, ...others }), needed);
});
