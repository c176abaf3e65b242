/** The "Sync Calendly" button: its click, the run that works, and what became of it. */
import { useEffect, useRef, useState } from "preact/hooks";
import { callAsPerson } from "../data/person.ts";
import { type Problem, toProblem } from "../data/problem.ts";
import { announce } from "../ui/toast.tsx";
import { fetchRun, type Run } from "./data.ts";
import { countWords } from "./words.ts";

/** In milliseconds: how often an active run's row is read. */
const RUN = 700;

/** `latest`: the latest run of what the page has read. */
export function useSync(
  latest: Run | undefined,
  { look, end }: {
    /** Reads the situation, in which the run is. */
    look: () => Promise<void>;
    /** Reads all that a run may have changed. */
    end: () => Promise<void>;
  },
) {
  const [syncing, setSyncing] = useState(false);
  const [problem, setProblem] = useState<Problem>();
  const [run, setRun] = useState<Run>();
  const after = useRef(end);
  after.current = end;

  // What failed is mended when another run has completed.
  const before = useRef<string>(undefined);
  useEffect(() => {
    if (latest?.status === "complete" && latest.id !== before.current) setProblem(undefined);
  }, [latest?.id, latest?.status]);

  // Follows the run that works, whoever has started it, by its row.
  const followed = run?.status === "running" ? run.id : undefined;
  useEffect(() => {
    if (latest?.status === "running") setRun(latest);
    else if (run && latest?.id === run.id) setRun(undefined);
  }, [latest?.id, latest?.status, latest?.heartbeat_at]);
  useEffect(() => {
    if (followed === undefined) return;
    let stopped = false;
    const timer = setInterval(async () => {
      const row = await fetchRun(followed).catch(() => undefined);
      if (stopped || !row) return;
      setRun(row);
      if (row.status !== "running") {
        await after.current();
        setRun(undefined);
      }
    }, RUN);
    return () => {
      stopped = true;
      clearInterval(timer);
    };
  }, [followed]);

  const sync = async (full: boolean) => {
    setSyncing(true);
    setProblem(undefined);
    before.current = latest?.id;
    // The row of the run that this click starts is there before its answer.
    const looking = setInterval(look, RUN);
    try {
      const result = await callAsPerson<Run & { status: string }>("calendly-sync", {
        body: full ? { full: true } : {},
      });
      announce(
        result.status === "paused"
          ? "The sync is paused and goes on by itself"
          : `The sync is complete: ${countWords(result)}`,
      );
    } catch (error) {
      const caught = await toProblem(error);
      if (caught.code === "sync_in_progress") {
        const id = caught.details.run_id;
        const row = typeof id === "string" ? await fetchRun(id).catch(() => undefined) : undefined;
        if (row) setRun(row);
        announce("A sync of yours runs already. Its progress is shown.");
      } else setProblem(caught);
    } finally {
      clearInterval(looking);
      await after.current();
      setSyncing(false);
    }
  };
  return { run, syncing, problem, sync, forget: () => setProblem(undefined) };
}
