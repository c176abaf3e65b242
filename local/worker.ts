/**
 * Runs inside a function's own Deno process and serves its `export default { fetch }` as the platform's
 * Edge Runtime does. Started by functions.ts as `worker.ts <file URL of the function> <how many times sooner
 * pauses end>`, on the Deno that the stack names; ends when its standard input does, so that it ends with the stack.
 */

/** Milliseconds. Longer timers are time-outs and stay as they are, because a loaded machine is slow to answer. */
const LONGEST_PAUSE = 5000;

const [file, sooner] = Deno.args;
shortenPauses(Number(sooner));

const pending = new Set<Promise<unknown>>();
Object.assign(globalThis, {
  EdgeRuntime: {
    waitUntil<T>(promise: Promise<T>): Promise<T> {
      const settled = promise.catch((error) => console.error(error)).finally(() =>
        pending.delete(settled)
      );
      pending.add(settled);
      return promise;
    },
  },
});

const { default: edgeFunction } = await import(file);
if (typeof edgeFunction?.fetch !== "function") {
  console.error(`${file} has no "export default { fetch }"`);
  Deno.exit(1);
}

Deno.serve({
  hostname: "127.0.0.1",
  port: 0,
  // functions.ts reads the port from this line.
  onListen: ({ port }) => console.log(`worker listens on ${port}`),
}, (request: Request) => edgeFunction.fetch(request));

for await (const _ of Deno.stdin.readable);
Deno.exit();

/** Before the function is imported: a library may keep setTimeout as it finds it. */
function shortenPauses(sooner: number): void {
  const { setTimeout } = globalThis;
  Object.assign(globalThis, {
    // deno-lint-ignore no-explicit-any -- any arguments for any callback
    setTimeout: (callback: (...args: any[]) => void, milliseconds = 0, ...args: any[]) =>
      setTimeout(callback, milliseconds / (milliseconds < LONGEST_PAUSE ? sooner : 1), ...args),
  });
}
