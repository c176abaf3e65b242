/** One run: what it was asked for, what it did step by step, what came of it, and what to do. */
import { describeProgress, type Run } from "../../cli/runs.ts";
import { link } from "../routes.ts";
import { LinkButton } from "../ui/button.tsx";
import { Status } from "../ui/status.tsx";
import { now, Time } from "../ui/time.tsx";
import { EVERY, useAnswer } from "./ask.ts";
import { runDetailsQuery } from "./answers.ts";
import {
  ErrorNote,
  Figure,
  Json,
  number,
  Panel,
  Pending,
  PersonLink,
  Screen,
  SmallTable,
  WordStatus,
} from "./parts.tsx";
import { SyncButtons, SyncResult, useSync } from "./sync_actions.tsx";
import { took } from "./timeline.ts";
import { Timeline } from "./timeline_view.tsx";
import { durationOf } from "./runs.tsx";
import { RUN_WORDS, SYNC_TYPE_WORDS, syncTypeName, TRIGGER_WORDS, wordOf } from "./words.ts";

export function RunScreen({ id }: { id: string }) {
  const query = runDetailsQuery(id);
  const resource = useAnswer(query, { every: EVERY });
  const details = resource.data;
  const sync = useSync(details?.run.user_id ?? 0, resource.reload);
  const back = { text: "Runs", href: link("operations", "runs") };
  if (!details) {
    return (
      <Screen title="Run" back={back} queries={[query]} resource={resource}>
        <Pending resource={resource} title="The run cannot be shown" lines={8} />
      </Screen>
    );
  }
  const { run, people, rejections } = details;
  const person = people.first.find(({ user_id }) => user_id === run.user_id);
  const name = person?.name || person?.email || `person ${run.user_id}`;
  return (
    <Screen
      title={<>{syncTypeName(run.sync_type)} sync of {name}</>}
      back={back}
      of={<WordStatus word={wordOf(RUN_WORDS, run.status)} />}
      resource={resource}
      every={EVERY}
      queries={[query]}
      actions={run.status !== "running" && <SyncButtons {...sync} name={name} />}
    >
      <SyncResult userId={run.user_id} {...sync} />
      {run.error && (run.status === "failed" || run.status === "paused") && (
        <div class={`card ops-next ${run.status}`}>
          <ErrorNote
            error={run.error}
            title={run.status === "failed"
              ? "It ended before it was complete. What it had applied stays."
              : "It waits, and goes on by itself."}
          />
          {run.status === "paused" && (
            <p>
              Goes on <Time at={run.resume_at} mode="relative" />{" "}
              (<Time at={run.resume_at} mode="local" />), or at once with Sync now.
            </p>
          )}
        </div>
      )}
      {run.status === "running" && (
        <p role="status">
          <Status tone="busy">{describeProgress(run as unknown as Run)}</Status>
        </p>
      )}
      <div class="ops-figures">
        <Figure label="New" value={number(run.created)} />
        <Figure label="Updated" value={number(run.updated)} />
        <Figure label="Unchanged" value={number(run.unchanged)} />
        <Figure label="Deleted" value={number(run.deleted)} />
        <Figure label="Restored" value={number(run.restored)} />
        <Figure
          label="Not usable"
          value={number(run.rejected)}
          tone={run.rejected > 0 ? "warn" : undefined}
        />
        <Figure
          label="Missing"
          value={number(run.missing)}
          tone={run.missing > 0 ? "warn" : undefined}
        />
        <Figure label="Cost, requests" value={number(run.requests)} />
        <Figure label="Took" value={took(durationOf(run, now.value))} />
      </div>
      <Panel title="Steps">
        <Timeline details={details} at={now.value} />
      </Panel>
      {rejections.length > 0 && (
        <Panel title="What could not be used">
          <SmallTable
            label="What could not be used"
            rows={rejections}
            columns={[
              { title: "What", cell: ({ uri }) => <code>{uri}</code> },
              { title: "Problem", cell: ({ problem }) => problem },
            ]}
          />
          {run.rejected > rejections.length && (
            <p class="muted">The first {rejections.length} of {number(run.rejected)}.</p>
          )}
        </Panel>
      )}
      <div class="ops-columns">
        <Panel title="What it was asked for">
          <dl class="facts">
            <dt>Type</dt>
            <dd>
              {syncTypeName(run.sync_type)}.{" "}
              <span class="muted">{SYNC_TYPE_WORDS[run.sync_type]}</span>
            </dd>
            <dt>Begun by</dt>
            <dd>
              {run.trigger}. <span class="muted">{TRIGGER_WORDS[run.trigger]}</span>
            </dd>
            <dt>Range</dt>
            <dd>
              <Time at={run.min_start_time} mode="utc" /> to{" "}
              <Time at={run.max_start_time} mode="utc" />
            </dd>
            <dt>Started</dt>
            <dd>
              <Time at={run.started_at} />
            </dd>
            <dt>Ended</dt>
            <dd>
              {run.finished_at ? <Time at={run.finished_at} /> : <span class="muted">not yet</span>}
            </dd>
            <dt>Listed</dt>
            <dd>
              {number(run.fetched_active)} active and {number(run.fetched_canceled)} canceled events
            </dd>
            {run.hosts_without_account !== null && (
              <>
                <dt>Hosts without account</dt>
                <dd>{number(run.hosts_without_account)}</dd>
              </>
            )}
            {run.initial && (
              <>
                <dt>First sync</dt>
                <dd>It completed somebody's first sync.</dd>
              </>
            )}
          </dl>
        </Panel>
        <Panel title="Whose meetings it writes">
          <ul class="ops-people">
            {people.first.map((one) => (
              <li key={one.user_id}>
                <PersonLink id={one.user_id} person={one} />{" "}
                <span class="muted">
                  {one.has_account ? one.email : `${one.email ?? ""} · no account`}
                </span>
              </li>
            ))}
          </ul>
          {people.count > people.first.length && (
            <p class="muted">and {number(people.count - people.first.length)} more</p>
          )}
          <div class="actions">
            <LinkButton href={link("operations", "meetings", { person: String(run.user_id) })}>
              Meetings
            </LinkButton>
            <LinkButton href={link("operations", "runs", { person: String(run.user_id) })}>
              Other runs
            </LinkButton>
          </div>
        </Panel>
      </div>
      <Json value={details} label="Raw" />
    </Screen>
  );
}
