/** A run's steps: a table with what each did and, beside it, when. */
import { Time } from "../ui/time.tsx";
import { Status } from "../ui/status.tsx";
import type { RunDetails, Step } from "./answers.ts";
import { place, scaleMarks, took } from "./timeline.ts";

const NAMES: Record<string, string> = {
  begin: "Begin",
  list_events: "List events",
  fetch_events: "Fetch single events",
  fetch_invitees: "Fetch invitees",
  finish: "Finish",
  fail: "End with an error",
  pause: "Pause",
};

export function Timeline({ details, at }: { details: RunDetails; at: number }) {
  const { run, steps } = details;
  const from = Date.parse(run.started_at);
  const ends = steps.map(({ at: begin, until }) =>
    until ? Date.parse(until) : Math.max(at, Date.parse(begin))
  );
  const to = run.finished_at ? Date.parse(run.finished_at) : Math.max(at, from, ...ends);
  const whole = { from, to };
  const placed = place(
    steps.map((step, index) => ({ from: Date.parse(step.at), to: ends[index] })),
    whole,
  );
  return (
    <div class="ops-scroll" tabIndex={0} role="region" aria-label="Steps of the run">
      <table class="ops-table ops-timeline">
        <thead>
          <tr>
            <th scope="col">Step</th>
            <th scope="col">Began</th>
            <th scope="col" class="number">Took</th>
            <th scope="col">What it did</th>
            <th scope="col" class="ops-scale">
              <span class="spoken">When, as a bar</span>
              {scaleMarks(to - from).filter((mark) => mark <= (to - from) * 0.88).map((mark) => (
                <span
                  key={mark}
                  aria-hidden="true"
                  ref={(element) =>
                    element?.style.setProperty("left", `${mark / Math.max(to - from, 1) * 100}%`)}
                >
                  {mark === 0 ? "0" : took(mark)}
                </span>
              ))}
            </th>
          </tr>
        </thead>
        <tbody>
          {steps.map((step, index) => (
            <tr key={`${step.kind}${step.at}${index}`}>
              <td>
                {NAMES[step.kind] ?? step.kind}
                {step.steps !== undefined && step.steps > 1 && (
                  <span class="muted">× {step.steps}</span>
                )}
              </td>
              <td class="muted" title={step.at}>
                {Date.parse(step.at) - from <= 0
                  ? <Time at={step.at} />
                  : `+ ${took(Date.parse(step.at) - from)}`}
              </td>
              <td class="number">
                {["begin", "finish", "fail"].includes(step.kind)
                  ? ""
                  : step.until
                  ? took(ends[index] - Date.parse(step.at))
                  : <Status tone="busy">now</Status>}
              </td>
              <td>{describeStep(step, run.status)}</td>
              <td class="ops-track">
                <span
                  class={`ops-bar ${step.kind} ${step.interruption ? "interrupted" : ""}`}
                  aria-hidden="true"
                  ref={(element) => {
                    element?.style.setProperty("left", `${placed[index].left * 100}%`);
                    element?.style.setProperty("width", `${placed[index].width * 100}%`);
                  }}
                />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

/** "100 events, 3 new, 12 requests"; of a pause why and until when. */
export function describeStep(step: Step, status: string) {
  if (step.kind === "pause") {
    return (
      <span>
        until <Time at={step.until} />
        {step.code && (
          <>
            {" "}· <code>{step.code}</code>
          </>
        )}
      </span>
    );
  }
  if (step.kind === "fail") return <code>{step.code ?? status}</code>;
  const parts = [
    many(step.events, "event"),
    many(step.invitees_read, "event's invitees", "events' invitees"),
    named(step.created, "new"),
    named(step.updated, "updated"),
    named(step.unchanged, "unchanged"),
    named(step.deleted, "deleted"),
    named(step.restored, "restored"),
    named(step.missing, "missing"),
    named(step.rejected, "not usable"),
    many(step.requests, "request"),
  ].filter((part) => part !== undefined);
  return (
    <span>
      {parts.join(", ")}
      {step.interruption && (
        <>
          {" "}· <code>{step.interruption}</code>
        </>
      )}
    </span>
  );
}

function many(number: number | undefined, one: string, several = `${one}s`): string | undefined {
  return number ? `${number.toLocaleString("en")} ${number === 1 ? one : several}` : undefined;
}

function named(number: number | undefined, word: string): string | undefined {
  return number ? `${number.toLocaleString("en")} ${word}` : undefined;
}
