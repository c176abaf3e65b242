/** Loading for a component: keeps what it shows while it loads again, so that nothing flashes. */
import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { currentTime } from "../ui/clock.ts";
import { type Problem, toProblem, unreachable } from "./problem.ts";

/** In milliseconds: what is not answered by then is not waited for, so that nobody reads old rows as new ones. */
const PATIENCE = 30_000;

export interface Resource<T> {
  /** The last answer; stays while a newer one is loaded or has failed. */
  data?: T;
  /** Why the last attempt failed. */
  problem?: Problem;
  loading: boolean;
  /** When `data` was loaded, in milliseconds. */
  at?: number;
  reload: () => Promise<void>;
}

/**
 * Calls `load` at first and whenever one of `dependencies` changes, and again each `every` milliseconds
 * while the page is visible and when it becomes so. An answer that is overtaken by a newer request is dropped.
 */
export function useResource<T>(
  load: (signal: AbortSignal) => PromiseLike<T>,
  dependencies: unknown[],
  { every }: { every?: number } = {},
): Resource<T> {
  const [state, setState] = useState<Omit<Resource<T>, "reload">>({ loading: true });
  const latest = useRef(load);
  latest.current = load;
  const running = useRef<AbortController>(undefined);

  const reload = useCallback(async () => {
    running.current?.abort();
    const controller = running.current = new AbortController();
    setState((before) => before.loading ? before : { ...before, loading: true });
    try {
      const data = await within(PATIENCE, latest.current(controller.signal));
      if (!controller.signal.aborted) setState({ data, loading: false, at: currentTime() });
    } catch (error) {
      const problem = await toProblem(error);
      if (!controller.signal.aborted) {
        setState((before) => ({ ...before, problem, loading: false }));
      }
    } finally {
      if (running.current === controller) {
        running.current = undefined;
        controller.abort();
      }
    }
  }, []);

  useEffect(() => {
    reload();
    return () => running.current?.abort();
  }, dependencies);

  useEffect(() => {
    const again = () => {
      // One that takes longer than the interval is waited for: else none would ever be answered.
      if (document.visibilityState === "visible" && !running.current) reload();
    };
    addEventListener("online", again);
    if (every !== undefined) document.addEventListener("visibilitychange", again);
    const timer = every === undefined ? undefined : setInterval(again, every);
    return () => {
      removeEventListener("online", again);
      document.removeEventListener("visibilitychange", again);
      clearInterval(timer);
    };
  }, [every, reload]);

  return { ...state, reload };
}

async function within<T>(milliseconds: number, work: PromiseLike<T>): Promise<T> {
  let timer;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(unreachable("The project")), milliseconds);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
