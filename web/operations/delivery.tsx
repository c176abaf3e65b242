/** One delivery: what Calendly sent, what became of it, what it changed, and replaying it. */
import { useState } from "preact/hooks";
import { type Problem, toProblem } from "../data/problem.ts";
import { link } from "../routes.ts";
import { Button } from "../ui/button.tsx";
import { Failure } from "../ui/states.tsx";
import { Status } from "../ui/status.tsx";
import { Time } from "../ui/time.tsx";
import { deliveryDetailsQuery } from "./answers.ts";
import { askOne, EVERY, useAnswer } from "./ask.ts";
import {
  ErrorNote,
  Json,
  Panel,
  Pending,
  PersonLink,
  Screen,
  SmallTable,
  Sources,
  type StoredError,
  WordStatus,
} from "./parts.tsx";
import { call } from "./query.ts";
import { DELIVERY_WORDS, RUN_WORDS, wordOf } from "./words.ts";

interface Replayed {
  status: string;
  created?: boolean;
  error?: StoredError;
}

export function DeliveryScreen({ id }: { id: string }) {
  const query = deliveryDetailsQuery(id);
  const resource = useAnswer(query, { every: EVERY });
  const [busy, setBusy] = useState(false);
  const [outcome, setOutcome] = useState<{ replayed: Replayed } | { problem: Problem }>();
  const back = { text: "Deliveries", href: link("operations", "deliveries") };
  const details = resource.data;
  if (!details) {
    return (
      <Screen title="Delivery" back={back} queries={[query]} resource={resource}>
        <Pending resource={resource} title="The delivery cannot be shown" lines={8} />
      </Screen>
    );
  }
  const { delivery, meetings, next_run, event_uri } = details;
  const replayQuery = call<Replayed>("calendly_replay_webhook_event", { id });
  const replay = async () => {
    setBusy(true);
    setOutcome(undefined);
    try {
      setOutcome({ replayed: await askOne(replayQuery) });
    } catch (error) {
      setOutcome({ problem: await toProblem(error) });
    }
    setBusy(false);
    resource.reload();
  };
  return (
    <Screen
      title={<code class="ops-title-code">{delivery.event_type}</code>}
      back={back}
      of={<WordStatus word={wordOf(DELIVERY_WORDS, delivery.status)} />}
      resource={resource}
      every={EVERY}
      queries={[query]}
      actions={delivery.status === "dead" && (
        <Button kind="primary" icon="sync" busy={busy} onClick={replay}>Replay</Button>
      )}
    >
      <div class="ops-result" role="status">
        {busy
          ? <Status tone="busy">Replaying</Status>
          : outcome && "replayed" in outcome
          ? <ReplayResult replayed={outcome.replayed} />
          : null}
      </div>
      {outcome && "problem" in outcome && (
        <Failure title="It was not replayed" problem={outcome.problem} />
      )}
      {delivery.error && (
        <div class={`card ops-next ${delivery.status === "dead" ? "failed" : "paused"}`}>
          <ErrorNote
            error={delivery.error}
            title={wordOf(DELIVERY_WORDS, delivery.status).meaning}
          />
          {delivery.status === "dead" && <Sources of={[replayQuery]} />}
        </div>
      )}
      <div class="ops-columns">
        <Panel title="Delivery">
          <dl class="facts">
            <dt>Received</dt>
            <dd>
              <Time at={delivery.created_at} />
            </dd>
            <dt>Applied</dt>
            <dd>
              {delivery.processed_at
                ? <Time at={delivery.processed_at} />
                : <span class="muted">not applied</span>}
            </dd>
            <dt>Attempts</dt>
            <dd>{delivery.attempts}</dd>
            <dt>Person</dt>
            <dd>
              <PersonLink id={delivery.user_id} />
            </dd>
            <dt>Event</dt>
            <dd>
              {event_uri
                ? <code>{event_uri}</code>
                : <span class="muted">not known: the payload is not kept</span>}
            </dd>
            <dt>Its key</dt>
            <dd>
              <code>{delivery.event_id}</code>
            </dd>
            <dt>Next sync after it</dt>
            <dd>
              {next_run
                ? (
                  <>
                    <a href={link("operations", "runs", next_run.id)}>
                      <Time at={next_run.started_at} />
                    </a>{" "}
                    <WordStatus word={wordOf(RUN_WORDS, next_run.status)} />
                  </>
                )
                : <span class="muted">none yet</span>}
            </dd>
          </dl>
        </Panel>
        <Panel title="Meetings of this event, as they are now">
          <SmallTable
            label="Meetings of this event"
            empty={event_uri
              ? "No meeting of this event is stored."
              : "The payload is not kept, so that its event is not known."}
            rows={meetings}
            columns={[
              {
                title: "Meeting",
                cell: (meeting) => (
                  <a href={link("operations", "meetings", String(meeting.id))}>
                    {meeting.name ?? "Meeting"}, <Time at={meeting.start_time} />
                  </a>
                ),
              },
              { title: "Of", cell: ({ user_id }) => <PersonLink id={user_id} /> },
              {
                title: "State",
                cell: (meeting) =>
                  meeting.is_deleted
                    ? <Status tone="idle">{meeting.deleted_reason ?? "deleted"}</Status>
                    : <Status tone="good">{meeting.status}</Status>,
              },
              {
                title: "Written",
                cell: (meeting) => (
                  <>
                    <Time at={meeting.updated_at} />{" "}
                    <span class="muted">
                      {meeting.synced_via_webhook ? "by a delivery" : "by a sync"}
                    </span>
                  </>
                ),
              },
            ]}
          />
        </Panel>
      </div>
      {delivery.payload === null
        ? <p class="muted">Its payload is not kept.</p>
        : <Json value={delivery.payload} label="Payload" open />}
      <Json value={details} label="Raw" />
    </Screen>
  );
}

function ReplayResult({ replayed: { status, created, error } }: { replayed: Replayed }) {
  const { tone, meaning } = wordOf(DELIVERY_WORDS, status);
  return (
    <Status tone={tone}>
      Replayed: {status}
      {created && ", and the meeting is new"}. {error?.message ?? meaning} {error?.hint}
    </Status>
  );
}
