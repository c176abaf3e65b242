/**
 * Runs inside a function's own Deno process and serves its `export default { fetch }` as the platform's
 * Edge Runtime does. Started by functions.ts as `worker.ts <file URL of the function>`, on whichever Deno
 * is asked for; ends when its standard input does, so it cannot outlive the stack.
 */

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

const { default: edgeFunction } = await import(Deno.args[0]);
if (typeof edgeFunction?.fetch !== "function") {
  console.error(`${Deno.args[0]} has no "export default { fetch }"`);
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
