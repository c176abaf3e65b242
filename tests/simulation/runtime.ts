/**
 * The Edge Functions in this process, where nothing runs by itself: each of their requests waits until it is
 * let through, their timers and clocks are virtual, and a worker can crash at any request, before or after
 * it was carried out. Which request goes next is drawn, so that a seed decides how workers interleave.
 */
import { AsyncLocalStorage } from "node:async_hooks";
import { setImmediate } from "node:timers";
import type { Random } from "../../sandbox/random.ts";

/** Carries out a worker's request. Throws where it fails as a connection does. */
export type Carry = (request: Request) => Promise<Response>;

/** When a worker crashes: at its n-th request, which has or has not been carried out by then. */
export interface Crash {
  request: number;
  carriedOut: boolean;
}

export interface World {
  random: Random;
  carry: Carry;
  /** May this request stay without an answer? All other answers are waited for. */
  mayStall(request: Request): boolean;
  /** Milliseconds since 1970. */
  now(): number;
  /** Moves all clocks on to this time. */
  moveTo(milliseconds: number): Promise<void>;
}

/** One worker of the platform: it serves one request. */
export class Worker {
  hasCrashed = false;
  requests = 0;
  readonly crashed = Promise.withResolvers<never>();
  /** Its answer, and what it still does in the background. */
  readonly work = new Set<Promise<unknown>>();
  crash?: Crash;

  constructor() {
    this.crashed.promise.catch(() => {});
  }

  crashNow(): void {
    this.hasCrashed = true;
    this.crashed.reject(new TypeError("connection reset"));
  }
}

interface Waiting {
  worker: Worker;
  request: Request;
  resolve: (response: Response) => void;
  reject: (error: unknown) => void;
}

interface Timer {
  id: number;
  at: number;
  worker: Worker;
  ring: () => void;
}

const current = new AsyncLocalStorage<Worker | undefined>();
let runtime: Runtime;

export class Runtime {
  /** What the functions printed, the latest last. */
  readonly lines: string[] = [];
  #waiting: Waiting[] = [];
  #timers: Timer[] = [];
  #made = 0;
  #workers = new Set<Worker>();
  /** How much work is running that ends without anything being let through. */
  #busy = 0;
  #idle = Promise.withResolvers<void>();

  constructor(readonly world: World) {
    runtime = this;
    replaceGlobals();
  }

  /** Calls a function as the platform does. Rejects when the worker crashes before it answers. */
  invoke(
    handler: { fetch(request: Request): Promise<Response> },
    request: Request,
    crash?: Crash,
  ): Promise<Response> {
    const worker = new Worker();
    worker.crash = crash;
    this.#workers.add(worker);
    const answer = current.run(worker, () => handler.fetch(request));
    this.keep(worker, answer);
    return Promise.race([answer, worker.crashed.promise]);
  }

  keep(worker: Worker, work: Promise<unknown>): void {
    const ended = work.catch(() => {}).then(() => void worker.work.delete(ended));
    worker.work.add(ended);
  }

  /** Lets everything happen until `work` and all workers have ended. Error: a worker hangs. */
  async until<T>(work: Promise<T>): Promise<T> {
    let isDone = false;
    work.then(() => isDone = true, () => isDone = true);
    while (true) {
      await this.#untilIdle();
      for (const worker of this.#workers) {
        if (worker.hasCrashed || worker.work.size === 0) this.#forget(worker);
      }
      if (this.#waiting.length > 0) this.#letThrough();
      else if (isDone && this.#workers.size === 0) return await work;
      else if (this.#timers.length > 0) await this.#ring();
      else throw new Error("a worker hangs: it waits for something that never comes");
    }
  }

  request(worker: Worker, request: Request): Promise<Response> {
    return new Promise((resolve, reject) => {
      if (worker.hasCrashed) return;
      const waiting = { worker, request, resolve, reject };
      this.#waiting.push(waiting);
      request.signal.addEventListener("abort", () => {
        this.#waiting = this.#waiting.filter((other) => other !== waiting);
        reject(request.signal.reason);
      }, { once: true });
    });
  }

  setTimer(worker: Worker, ring: () => void, milliseconds: number): number {
    const id = FIRST_TIMER + this.#made++;
    this.#timers.push({ id, at: this.world.now() + milliseconds, worker, ring });
    return id;
  }

  clearTimer(id: number): void {
    this.#timers = this.#timers.filter((timer) => timer.id !== id);
  }

  /** Counts work that ends by itself. */
  async busy<T>(work: Promise<T>): Promise<T> {
    if (this.#busy++ === 0) this.#idle = Promise.withResolvers();
    try {
      return await work;
    } finally {
      if (--this.#busy === 0) this.#idle.resolve();
    }
  }

  /** Until every worker waits for a request or a timer. */
  async #untilIdle(): Promise<void> {
    for (let turns = 0; turns < 3; turns++) {
      if (this.#busy > 0) {
        await this.#idle.promise;
        turns = 0;
      }
      await new Promise<void>((resolve) => setImmediate(resolve));
    }
  }

  #letThrough(): void {
    const [waiting] = this.#waiting.splice(
      this.world.random.int(0, this.#waiting.length - 1),
      1,
    );
    const { worker, request, resolve, reject } = waiting;
    if (worker.hasCrashed) return;
    const last = ++worker.requests === worker.crash?.request ? worker.crash : undefined;
    if (last && !last.carriedOut) return worker.crashNow();
    // Outside of the worker: what carries it out has real timers.
    const carried = current.run(undefined, () => this.#carry(request));
    carried.then((response) => {
      if (last) worker.crashNow();
      else if (!worker.hasCrashed) resolve(response);
    }, (error) => {
      if (last) worker.crashNow();
      else if (!worker.hasCrashed) reject(error);
    });
  }

  async #carry(request: Request): Promise<Response> {
    const answer = this.world.carry(request);
    // A request without an answer after some turns has none later either, until its caller gives up.
    const patience = this.world.mayStall(request) ? [turns(20)] : [];
    await this.busy(Promise.race([answer, ...patience]).catch(() => {}));
    return await answer;
  }

  async #ring(): Promise<void> {
    const next = this.#timers.reduce((a, b) => (b.at < a.at ? b : a));
    this.clearTimer(next.id);
    if (next.worker.hasCrashed) return;
    if (next.at > this.world.now()) await this.world.moveTo(next.at);
    current.run(next.worker, next.ring);
  }

  #forget(worker: Worker): void {
    this.#workers.delete(worker);
    this.#timers = this.#timers.filter((timer) => timer.worker !== worker);
    this.#waiting = this.#waiting.filter((waiting) => waiting.worker !== worker);
  }
}

async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) {
    await new Promise<void>((resolve) => setImmediate(resolve));
  }
}

/** Higher than the ids of real timers. */
const FIRST_TIMER = 2 ** 40;
let areReplaced = false;

/** Gives the functions the runtime's fetch, timers, clocks and log; everybody else keeps the real ones. */
function replaceGlobals(): void {
  if (areReplaced) return;
  areReplaced = true;
  const real = {
    fetch: globalThis.fetch,
    setTimeout: globalThis.setTimeout,
    clearTimeout: globalThis.clearTimeout,
    now: Date.now,
    performanceNow: performance.now.bind(performance),
    timeout: AbortSignal.timeout.bind(AbortSignal),
    log: console.log,
    error: console.error,
  };
  globalThis.fetch = (input, init) => {
    const worker = current.getStore();
    if (!worker) return real.fetch(input, init);
    return runtime.request(worker, new Request(input, init));
  };
  // deno-lint-ignore no-explicit-any -- any arguments for any callback
  const setTimer = (ring: (...args: any[]) => void, milliseconds = 0, ...args: any[]) => {
    const worker = current.getStore();
    if (!worker) return real.setTimeout(ring, milliseconds, ...args);
    return runtime.setTimer(worker, () => ring(...args), milliseconds);
  };
  const clearTimer = (id?: number) => {
    if (id !== undefined && id >= FIRST_TIMER) runtime.clearTimer(id);
    else real.clearTimeout(id);
  };
  Object.assign(globalThis, { setTimeout: setTimer, clearTimeout: clearTimer });
  Date.now = () => current.getStore() ? Math.floor(runtime.world.now()) : real.now();
  performance.now = () => current.getStore() ? runtime.world.now() : real.performanceNow();
  AbortSignal.timeout = (milliseconds) => {
    const worker = current.getStore();
    if (!worker) return real.timeout(milliseconds);
    const controller = new AbortController();
    runtime.setTimer(
      worker,
      () => controller.abort(new DOMException("Signal timed out.", "TimeoutError")),
      milliseconds,
    );
    return controller.signal;
  };
  for (const method of ["log", "error"] as const) {
    console[method] = (...values: unknown[]) => {
      if (!current.getStore()) return real[method](...values);
      runtime.lines.push(values.map(String).join(" "));
      if (runtime.lines.length > 1000) runtime.lines.shift();
    };
  }
  // These run on other threads and end at any time.
  for (
    const name of ["decrypt", "deriveBits", "digest", "encrypt", "importKey", "sign", "verify"]
  ) {
    // deno-lint-ignore no-explicit-any -- methods of different shapes
    const prototype = SubtleCrypto.prototype as any;
    const method = prototype[name];
    prototype[name] = function (...args: unknown[]) {
      const work = method.apply(this, args);
      return current.getStore() ? runtime.busy(work) : work;
    };
  }
  Object.assign(globalThis, {
    EdgeRuntime: {
      waitUntil(work: Promise<unknown>) {
        const worker = current.getStore();
        if (worker) runtime.keep(worker, work);
      },
    },
  });
}
