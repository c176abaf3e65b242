/** Things that are done a little later, so that many changes come together. */
import { useCallback, useEffect, useRef } from "preact/hooks";

/** Does each thing once however often it is asked for by its name, `wait` milliseconds after the first time. */
export function useSoon(): (name: string, wait: number, work: () => void) => void {
  const timers = useRef(new Map<string, ReturnType<typeof setTimeout>>());
  useEffect(() => () => timers.current.forEach((timer) => clearTimeout(timer)), []);
  return useCallback((name, wait, work) => {
    if (timers.current.has(name)) return;
    timers.current.set(
      name,
      setTimeout(() => {
        timers.current.delete(name);
        work();
      }, wait),
    );
  }, []);
}
