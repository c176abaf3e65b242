/**
 * The Edge Functions in this very process, where nothing happens by itself: each of their requests waits
 * until it is let through, their timers run by a virtual clock, their clocks show it, and an instance can
 * stop for ever at any request, before it or after it. Which request goes next is drawn, so that a seed
 * decides how instances interleave.
 */
import { AsyncLocalStorage } from "node:async_hooks";
import { setImmediate } from "node:timers";
import type { Random } from "../../sandbox/random.ts";

/** A request of an instance that was let through. Throws where it fails as a connection does. */
export type Carry = (request: Request) => Promise<Response>;

/** When an instance stops: at its so-manieth request, which has or has not been carried out by then. */
export interface Death {
  request: number;
  carriedOut: boolean;
}

export interface World {
  random: Random;
  carry: Carry;
  /** Is this one carried by somebody who may never answer? Else every answer is waited for. */
  mayStall(request: Request): boolean;
  /** Milliseconds since 1970. */
  now(): number;
  /** Moves all clocks on to this time. */
  moveTo(milliseconds: number): Promise<void>;
}

/** One worker of the platform, for one request. */
export class Instance {
  isDead = false;
  requests = 0;
  readonly died = Promise.withResolvers<never>();
  /** What it still has to do, its answer first of all. */
  readonly work = new Set<Promise<unknown>>();
  death?: Death;

  constructor() {
    this.died.promise.catch(() => {});
  }

  die(): void {
    this.isDead = true;
    this.died.reject(new TypeError("connection reset"));
  }
}

interface Waiting {
  instance: Instance;
  request: Request;
  resolve: (response: Response) => void;
  reject: (error: unknown) => void;
}

interface Timer {
  id: number;
  at: number;
  instance: Instance;
  ring: () => void;
}

const current = new AsyncLocalStorage<Instance | undefined>();
let runtime: Runtime;

export class Runtime {
  /** What the functions printed, the latest last. */
  readonly lines: string[] = [];
  #waiting: Waiting[] = [];
  #timers: Timer[] = [];
  #made = 0;
  #instances = new Set<Instance>();
  /** Work under way that will end by itself, whatever is let through. */
  #busy = 0;
  #rested = Promise.withResolvers<void>();

  constructor(readonly world: World) {
    runtime = this;
    takeOver();
  }

  /** Calls a function as the platform does. Rejects when the instance dies before it answers. */
  invoke(
    handler: { fetch(request: Request): Promise<Response> },
    request: Request,
    death?: Death,
  ): Promise<Response> {
    const instance = new Instance();
    instance.death = death;
    this.#instances.add(instance);
    const answer = current.run(instance, () => handler.fetch(request));
    this.keep(instance, answer);
    return Promise.race([answer, instance.died.promise]);
  }

  keep(instance: Instance, work: Promise<unknown>): void {
    const ended = work.catch(() => {}).then(() => void instance.work.delete(ended));
    instance.work.add(ended);
  }

  /** Lets everything happen until `work` and all instances have ended. Error: an instance hangs. */
  async until<T>(work: Promise<T>): Promise<T> {
    let isDone = false;
    work.then(() => isDone = true, () => isDone = true);
    while (true) {
      await this.#rest();
      for (const instance of this.#instances) {
        if (instance.isDead || instance.work.size === 0) this.#forget(instance);
      }
      if (this.#waiting.length > 0) this.#letThrough();
      else if (isDone && this.#instances.size === 0) return await work;
      else if (this.#timers.length > 0) await this.#ring();
      else throw new Error("an instance hangs: it waits, and nothing will ever wake it");
    }
  }

  request(instance: Instance, request: Request): Promise<Response> {
    return new Promise((resolve, reject) => {
      if (instance.isDead) return;
      const waiting = { instance, request, resolve, reject };
      this.#waiting.push(waiting);
      request.signal.addEventListener("abort", () => {
        this.#waiting = this.#waiting.filter((other) => other !== waiting);
        reject(request.signal.reason);
      }, { once: true });
    });
  }

  setTimer(instance: Instance, ring: () => void, milliseconds: number): number {
    const id = FIRST_TIMER + this.#made++;
    this.#timers.push({ id, at: this.world.now() + milliseconds, instance, ring });
    return id;
  }

  clearTimer(id: number): void {
    this.#timers = this.#timers.filter((timer) => timer.id !== id);
  }

  /** Counts work that ends by itself. */
  async busy<T>(work: Promise<T>): Promise<T> {
    if (this.#busy++ === 0) this.#rested = Promise.withResolvers();
    try {
      return await work;
    } finally {
      if (--this.#busy === 0) this.#rested.resolve();
    }
  }

  /** Until everybody waits: for a request, a timer, or for ever. */
  async #rest(): Promise<void> {
    for (let turns = 0; turns < 3; turns++) {
      if (this.#busy > 0) {
        await this.#rested.promise;
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
    const { instance, request, resolve, reject } = waiting;
    if (instance.isDead) return;
    const last = ++instance.requests === instance.death?.request ? instance.death : undefined;
    if (last && !last.carriedOut) return instance.die();
    // Not as a part of the instance: what carries it has real timers.
    const carried = current.run(undefined, () => this.#carry(request));
    carried.then((response) => {
      if (last) instance.die();
      else if (!instance.isDead) resolve(response);
    }, (error) => {
      if (last) instance.die();
      else if (!instance.isDead) reject(error);
    });
  }

  async #carry(request: Request): Promise<Response> {
    const answer = this.world.carry(request);
    // What stalls has no answer after some turns, and none later, until its caller gives up.
    const patience = this.world.mayStall(request) ? [turns(20)] : [];
    await this.busy(Promise.race([answer, ...patience]).catch(() => {}));
    return await answer;
  }

  async #ring(): Promise<void> {
    const next = this.#timers.reduce((a, b) => (b.at < a.at ? b : a));
    this.clearTimer(next.id);
    if (next.instance.isDead) return;
    if (next.at > this.world.now()) await this.world.moveTo(next.at);
    current.run(next.instance, next.ring);
  }

  #forget(instance: Instance): void {
    this.#instances.delete(instance);
    this.#timers = this.#timers.filter((timer) => timer.instance !== instance);
    this.#waiting = this.#waiting.filter((waiting) => waiting.instance !== instance);
  }
}

async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) {
    await new Promise<void>((resolve) => setImmediate(resolve));
  }
}

/** Beyond what Deno's own will reach. */
const FIRST_TIMER = 2 ** 40;
let isTakenOver = false;

/** Puts the runtime in the place of what the platform gives the functions; all others keep the real thing. */
function takeOver(): void {
  if (isTakenOver) return;
  isTakenOver = true;
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
    const instance = current.getStore();
    if (!instance) return real.fetch(input, init);
    return runtime.request(instance, new Request(input, init));
  };
  // deno-lint-ignore no-explicit-any -- any arguments for any callback
  const setTimer = (ring: (...args: any[]) => void, milliseconds = 0, ...args: any[]) => {
    const instance = current.getStore();
    if (!instance) return real.setTimeout(ring, milliseconds, ...args);
    return runtime.setTimer(instance, () => ring(...args), milliseconds);
  };
  const clearTimer = (id?: number) => {
    if (id !== undefined && id >= FIRST_TIMER) runtime.clearTimer(id);
    else real.clearTimeout(id);
  };
  Object.assign(globalThis, { setTimeout: setTimer, clearTimeout: clearTimer });
  Date.now = () => current.getStore() ? Math.floor(runtime.world.now()) : real.now();
  performance.now = () => current.getStore() ? runtime.world.now() : real.performanceNow();
  AbortSignal.timeout = (milliseconds) => {
    const instance = current.getStore();
    if (!instance) return real.timeout(milliseconds);
    const controller = new AbortController();
    runtime.setTimer(
      instance,
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
  // These run on other threads and end when they like.
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
        const instance = current.getStore();
        if (instance) runtime.keep(instance, work);
      },
    },
  });
}
