/** Requests to the sandbox and webhooks from it, as they happen. */
import type { Overview } from "../../sandbox/overview.ts";
import { Button } from "../ui/button.tsx";
import { Icon } from "../ui/icon.tsx";
import { Status } from "../ui/status.tsx";
import type { Act } from "./panel.tsx";
import { merge, waitingOf } from "./words.ts";

const clock = new Intl.DateTimeFormat("en-GB", {
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
});

export function WhatHappens(
  { overview, act, said }: {
    overview: Overview;
    act: Act;
    /** What the last verb has done. */
    said?: string;
  },
) {
  const happened = merge(overview);
  const waiting = waitingOf(overview);
  return (
    <section class="sandbox-log" aria-labelledby="sandbox-log">
      <div class="section-head">
        <h3 id="sandbox-log">What happens</h3>
        {waiting.length > 0 && (
          <Button
            class="small"
            onClick={() =>
              act(
                "deliver",
                { which: waiting.map(({ id }) => id) },
                () => `${waiting.length} webhook${waiting.length === 1 ? " was" : "s were"} sent`,
              )}
          >
            Send {waiting.length} waiting now
          </Button>
        )}
      </div>
      {said && (
        <p class="said">
          <Status tone="good">{said}</Status>
        </p>
      )}
      {happened.length === 0
        ? <p class="muted">Nothing yet: requests to Calendly and its webhooks show here.</p>
        : (
          <ol tabIndex={0} aria-labelledby="sandbox-log">
            {happened.map(({ key, at, kind, what, tone, outcome }) => (
              <li key={key}>
                <time dateTime={at}>{clock.format(new Date(at))}</time>
                <span class="what">
                  <Icon name={kind === "request" ? "right" : "left"} />
                  <span class="spoken">{kind === "request" ? "request" : "webhook"}</span>
                  <span class="code">{what}</span>
                </span>
                <Status tone={tone}>{outcome}</Status>
              </li>
            ))}
          </ol>
        )}
    </section>
  );
}
