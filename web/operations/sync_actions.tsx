/** Sync one person now, or fully, with what came of it. */
import { useState } from "preact/hooks";
import { theConfig } from "../data/config.ts";
import { type Problem, toProblem } from "../data/problem.ts";
import { link } from "../routes.ts";
import { Button, CopyButton } from "../ui/button.tsx";
import { Dialog } from "../ui/dialog.tsx";
import { Status } from "../ui/status.tsx";
import { Time } from "../ui/time.tsx";
import { askOne } from "./ask.ts";
import { edgeFunction, toCurl } from "./query.ts";
import { describeCounts } from "./runs.tsx";
import { took } from "./timeline.ts";
import { syncTypeName } from "./words.ts";

interface SyncAnswer {
  run_id: string;
  sync_type: string;
  status: "complete" | "paused";
  created: number;
  updated: number;
  unchanged: number;
  deleted: number;
  restored: number;
  rejected?: number;
  requests: number;
  resume_at?: string;
  duration_ms: number;
}

export type SyncOutcome = { answer: SyncAnswer } | { problem: Problem };

function syncQuery(userId: number, full: boolean) {
  return edgeFunction<SyncAnswer>("POST", "calendly-sync", {
    user_id: userId,
    ...(full && { full }),
  });
}

export function useSync(userId: number, done: () => void) {
  const [busy, setBusy] = useState<"now" | "full">();
  const [outcome, setOutcome] = useState<SyncOutcome>();
  const sync = async (full: boolean) => {
    setBusy(full ? "full" : "now");
    setOutcome(undefined);
    try {
      setOutcome({ answer: await askOne(syncQuery(userId, full)) });
    } catch (error) {
      setOutcome({ problem: await toProblem(error) });
    }
    setBusy(undefined);
    done();
  };
  return { busy, outcome, sync };
}

/** The buttons; the outcome is shown by <SyncResult>, at a place of its own so that nothing moves. */
export function SyncButtons(
  { busy, sync, name }: Pick<ReturnType<typeof useSync>, "busy" | "sync"> & { name: string },
) {
  const [asking, setAsking] = useState(false);
  return (
    <>
      <Button kind="primary" icon="sync" busy={busy === "now"} onClick={() => sync(false)}>
        Sync now
      </Button>
      <Button busy={busy === "full"} onClick={() => setAsking(true)}>Sync full</Button>
      {asking && (
        <Dialog
          title={`Sync everything of ${name}?`}
          onClose={() => setAsking(false)}
          actions={
            <>
              <Button onClick={() => setAsking(false)}>Leave it</Button>
              <Button
                kind="primary"
                icon="sync"
                onClick={() => {
                  setAsking(false);
                  sync(true);
                }}
              >
                Sync full
              </Button>
            </>
          }
        >
          <p>
            A full sync reads the long range (2 years back and 1 year forward unless set otherwise)
            and the invitees of every event again. It costs about one request per event of
            Calendly's budget for this token, and may pause and go on by itself.
          </p>
        </Dialog>
      )}
    </>
  );
}

export function SyncResult(
  { userId, busy, outcome }:
    & { userId: number }
    & Pick<
      ReturnType<typeof useSync>,
      "busy" | "outcome"
    >,
) {
  return (
    <div class="ops-result" role="status">
      {busy
        ? <Status tone="busy">Syncing: this answers when Calendly has.</Status>
        : !outcome
        ? null
        : "answer" in outcome
        ? <Answer answer={outcome.answer} />
        : <Refusal problem={outcome.problem} userId={userId} />}
    </div>
  );
}

function Answer({ answer }: { answer: SyncAnswer }) {
  const counts = describeCounts({ ...answer, rejected: answer.rejected ?? 0 });
  const run = <a href={link("operations", "runs", answer.run_id)}>See the run</a>;
  return answer.status === "complete"
    ? (
      <Status tone="good">
        {syncTypeName(answer.sync_type)} sync complete: {counts}; {answer.requests}{" "}
        {answer.requests === 1 ? "request" : "requests"} in {took(answer.duration_ms)}. {run}
      </Status>
    )
    : (
      <Status tone="paused">
        Paused after {counts}; goes on by itself <Time at={answer.resume_at} mode="relative" />.
        {" "}
        {run}
      </Status>
    );
}

function Refusal({ problem, userId }: { problem: Problem; userId: number }) {
  const runId = problem.details.run_id;
  return (
    <Status tone={problem.code === "sync_in_progress" ? "info" : "bad"}>
      {problem.message} {problem.hint && <>Next step: {problem.hint}</>} <code>{problem.code}</code>
      {" "}
      {typeof runId === "string"
        ? <a href={link("operations", "runs", runId)}>See the run</a>
        : <a href={link("operations", "runs", { person: String(userId) })}>See the runs</a>}
    </Status>
  );
}

/** The same as a command, to copy. */
export function SyncSources({ userId }: { userId: number }) {
  return (
    <CopyButton
      text={() => toCurl(syncQuery(userId, false), theConfig().url)}
      label="sync as curl"
    />
  );
}
