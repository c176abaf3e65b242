/**
 * A stack of its own for every test that talks to the whole: memory-fast on the embedded Postgres, and the
 * same test again on a real one where there is one.
 *
 *     stackTest("a repeat sync costs three requests", async ({ stack }) => { … });
 */
import { type Stack, type StackOptions, startStack } from "../../local/stack.ts";
import { createDatabase, type Kind, testOnEach } from "./databases.ts";
import { borrowEmbedded } from "./reuse.ts";

// Most of the time that a sign-up takes, and no test is about it. Read by @supabase/lite.
Deno.env.set("LITE_AUTH_BCRYPT_COST", "4");

export interface StackTestOptions extends StackOptions {
  /** Databases to run on: both (the default), or the one that the behaviour needs. */
  on?: Kind | "both";
  /** Only with REQUIRE_ALL=1. */
  long?: boolean;
}

export interface StackTestContext {
  stack: Stack;
  t: Deno.TestContext;
  database: Kind;
}

/** Registers a test once per database. Its stack starts before it, and is gone after it. */
export function stackTest(
  name: string,
  test: (context: StackTestContext) => Promise<unknown>,
  { on = "both", long, ...options }: StackTestOptions = {},
): void {
  testOnEach(name, on, async (database, t) => {
    await using stack = await startTestStack(database, options);
    await test({ stack, t, database });
  }, { long });
}

/**
 * Starts an ephemeral stack. The schedule runs only by `tick`; the functions run on the Deno that
 * FUNCTIONS_DENO names (a path), else on the one that runs the tests.
 */
export async function startTestStack(
  database: Kind,
  options: StackOptions = {},
): Promise<Stack & AsyncDisposable> {
  const real = database === "real" ? await createDatabase(options) : undefined;
  const embedded = real || options.databaseUrl
    ? undefined
    : await borrowEmbedded(options, { onWire: true });
  try {
    const stack = await startStack({
      cron: false,
      ephemeral: true,
      databaseUrl: real?.url,
      database: embedded,
      functionsDeno: Deno.env.get("FUNCTIONS_DENO"),
      ...options,
    });
    return {
      ...stack,
      async [Symbol.asyncDispose]() {
        await stack.stop();
        await real?.drop();
      },
    };
  } catch (error) {
    await embedded?.close();
    await real?.drop();
    throw error;
  }
}
