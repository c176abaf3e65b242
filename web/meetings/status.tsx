/** The page's question, answered: is what I see what Calendly has, now? And the button that makes it so. */
import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { Problem } from "../data/problem.ts";
import { Button } from "../ui/button.tsx";
import { Skeleton } from "../ui/states.tsx";
import { Status } from "../ui/status.tsx";
import { now, Time, toDate } from "../ui/time.tsx";
import { Advice } from "./advice.tsx";
import { delayWords } from "./arrivals.ts";
import type { Run, Situation } from "./data.ts";
import {
  costWords,
  countWords,
  freshness,
  type Live,
  plannedSync,
  progressOf,
  progressWords,
  webhookWords,
} from "./words.ts";

interface Properties {
  situation: Situation;
  /** In milliseconds: since when the situation could not be read again. */
  unreadSince?: number;
  functionsAnswer?: boolean;
  live: Live;
  /** Seconds from the last change at Calendly to this page. */
  lastDelay?: number;
  /** The run that works now. */
  run?: Run;
  /** A click waits for its answer. */
  syncing: boolean;
  /** Why the last click failed. */
  problem?: Problem;
  onSync: (full: boolean) => void;
  onConnection: () => void;
  onWebhooks: () => Promise<void>;
}

export function SyncStatus(properties: Properties) {
  const { situation, live, lastDelay, run, syncing, problem, onSync, onConnection, onWebhooks } =
    properties;
  const { unreadSince, functionsAnswer } = properties;
  const { health, connection } = situation;
  const fresh = freshness({ ...situation, unreadSince, functionsAnswer }, now.value);
  const plan = plannedSync(situation);
  const webhook = webhookWords(connection, health);
  const working = syncing || run?.status === "running";
  return (
    <section class="card sync-status" aria-labelledby="freshness">
      <div class="question">
        <h2 id="freshness">
          <Status tone={fresh.tone}>{fresh.title}</Status>
        </h2>
        <p>{fresh.sentence}</p>
        {fresh.action === "webhooks" && <SwitchWebhooksOn onClick={onWebhooks} />}
        {fresh.action === "reconnect" && (
          <div>
            <Button onClick={onConnection}>Connect again</Button>
          </div>
        )}
        <dl class="proofs">
          <Proof name="Compared">
            {situation.comparedAt ? <Time at={situation.comparedAt} /> : "not yet"}
          </Proof>
          <Proof name="Webhook">
            <Status tone={webhook.tone} title={webhook.meaning}>{webhook.word}</Status>
            {webhook.tone === "good" && connection?.webhooks_checked_at && (
              <span class="muted">
                , seen <Time at={connection.webhooks_checked_at} />
              </span>
            )}
          </Proof>
          <Proof name="This page">
            {unreadSince === undefined
              ? <LiveWords live={live} lastDelay={lastDelay} />
              : <Status tone="warn">not up to date</Status>}
          </Proof>
          <Proof name="Next sync">
            {!health?.next_sync_at
              ? "on a click"
              : toDate(health.next_sync_at).getTime() <= now.value
              ? "due now"
              : <Time at={health.next_sync_at} />}
          </Proof>
        </dl>
      </div>
      <div class="doing">
        <div class="actions">
          <Button
            kind="primary"
            icon="sync"
            busy={working}
            aria-describedby="planned"
            onClick={() => onSync(false)}
          >
            {plan.resumes ? "Continue the sync" : "Sync Calendly"}
          </Button>
          <Button kind="quiet" onClick={onConnection}>Connection</Button>
        </div>
        <p id="planned" class="muted">
          {plan.sentence}
          {plan.type === "INCREMENTAL" && !plan.resumes && !working && (
            <>
              {" "}
              <button type="button" class="text-button" onClick={() => onSync(true)}>
                Full sync instead
              </button>
            </>
          )}
        </p>
      </div>
      <div class="outcome" aria-live="polite">
        {problem
          ? (
            <Advice problem={problem} retry={() => onSync(false)} busy={working}>
              <Remedy problem={problem} onConnection={onConnection} />
            </Advice>
          )
          : (
            <RunLine
              run={run ?? situation.runs[0]}
              syncing={syncing}
              byOrganization={situation.byOrganization}
              onConnection={onConnection}
            />
          )}
      </div>
    </section>
  );
}

function SwitchWebhooksOn({ onClick }: { onClick: () => Promise<void> }) {
  const [busy, setBusy] = useState(false);
  return (
    <div>
      <Button
        busy={busy}
        onClick={async () => {
          setBusy(true);
          await onClick();
          setBusy(false);
        }}
      >
        Switch webhooks on
      </Button>
    </div>
  );
}

function Remedy({ problem, onConnection }: { problem: Problem; onConnection: () => void }) {
  return [
      "reconnect_required",
      "token_refused",
      "scope_missing",
      "token_unreadable",
      "calendly_refused",
    ].includes(problem.code)
    ? <Button kind="primary" onClick={onConnection}>Connect again</Button>
    : null;
}

function Proof({ name, children }: { name: string; children: ComponentChildren }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

function LiveWords({ live, lastDelay }: { live: Live; lastDelay?: number }) {
  if (live === "live") {
    return (
      <Status tone="good" title="Changes appear by themselves.">
        {lastDelay === undefined ? "live" : `live, ${delayWords(lastDelay)} after Calendly`}
      </Status>
    );
  }
  if (live === "connecting") return <Status tone="busy">connecting</Status>;
  return (
    <Status tone="info" title="Realtime is not reached; the page asks by itself.">
      asks every 5 s
    </Status>
  );
}

/** The run that works, or how the last one ended. */
function RunLine(
  { run, syncing, byOrganization, onConnection }: {
    run?: Run;
    syncing: boolean;
    byOrganization: boolean;
    onConnection: () => void;
  },
) {
  if (!run || syncing && run.status !== "running") {
    return (
      <p class="run-line">
        {syncing ? <Status tone="busy">Starting the sync</Status> : (
          <Status tone="idle">
            {byOrganization
              ? "Your organization’s connection brings these meetings"
              : "No sync yet"}
          </Status>
        )}
      </p>
    );
  }
  const kind = run.sync_type === "FULL" ? "Full sync" : "Quick sync";
  if (run.status === "running") return <Running run={run} kind={kind} />;
  if (run.status === "paused") return <Paused run={run} kind={kind} />;
  if (run.status === "failed") {
    const error = run.error as { code?: string; message?: string; hint?: string } | null;
    if (error?.code === "replaced" || error?.code === "disconnected") {
      return (
        <p class="run-line">
          <Status tone="idle">{kind} ended: {error.message}</Status>
        </p>
      );
    }
    const problem = new Problem(
      error?.code ?? "internal",
      error?.message ?? "It failed.",
      error?.hint,
    );
    return (
      <Advice problem={problem}>
        <Remedy problem={problem} onConnection={onConnection} />
      </Advice>
    );
  }
  return (
    <p class="run-line">
      <Status tone="good">{kind} complete: {countWords(run)}.</Status>{" "}
      <span class="muted">
        {costWords(run)}, {run.finished_at && <Time at={run.finished_at} />}
        {run.rejected > 0 && ` · ${run.rejected} could not be used`}
      </span>
    </p>
  );
}

function Running({ run, kind }: { run: Run; kind: string }) {
  const { invitees_read, invitees_to_read } = progressOf(run);
  return (
    <div class="run-line running">
      <Status tone="busy">{kind}: {progressWords(run)}</Status>
      {invitees_to_read
        ? (
          <progress
            max={invitees_to_read}
            value={invitees_read}
            aria-label="Events whose invitees are read"
          />
        )
        : null}
    </div>
  );
}

function Paused({ run, kind }: { run: Run; kind: string }) {
  const error = run.error as { code?: string; message?: string } | null;
  const due = run.resume_at !== null && toDate(run.resume_at).getTime() <= now.value;
  return (
    <div class="run-line">
      <Status tone="paused">
        {kind} paused: {error?.code === "rate_limited"
          ? "Calendly’s rate limit is used up"
          : (error?.message ?? "Calendly does not answer").replace(/\.$/, "")}.
      </Status>
      <p>
        {run.resume_at && !due
          ? (
            <>
              It goes on by itself <Time at={run.resume_at} />, or at once when you click.
            </>
          )
          : "It goes on by itself in a moment, or at once when you click."}{" "}
        <span class="muted">So far: {progressWords(run).replace(/^[^·]*· /, "")}.</span>
      </p>
    </div>
  );
}

/** In the size of what comes. */
export function SyncStatusSkeleton() {
  return (
    <section class="card sync-status" aria-hidden="true">
      <Skeleton lines={6} height={26} />
    </section>
  );
}
