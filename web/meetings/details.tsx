/** All that is known of a meeting, beside the list. */
import type { ComponentChildren } from "preact";
import { theConfig } from "../data/config.ts";
import { useResource } from "../data/resource.ts";
import { go, link, route } from "../routes.ts";
import { CopyButton, LinkButton } from "../ui/button.tsx";
import { Drawer } from "../ui/dialog.tsx";
import { Icon } from "../ui/icon.tsx";
import { Failure, Skeleton } from "../ui/states.tsx";
import { Badge, Status } from "../ui/status.tsx";
import { currentTime, formatDuration, Time, toDate, viewerZone } from "../ui/time.tsx";
import { fetchChain } from "./chain.ts";
import {
  fetchDetails,
  fetchLinks,
  type Link,
  type MeetingDetails as Details,
  type User,
} from "./data.ts";
import { shownZone } from "./list_view.tsx";
import { joinLink, Place } from "./place.tsx";
import { cityOf, dayOf, elsewhere, hoursOf } from "./when.ts";

/** `version` grows when the meeting may have changed. */
export function MeetingDetails(
  { id, users, version, onClose }: {
    id: number;
    users: User[];
    version: number;
    onClose: () => void;
  },
) {
  const { data, problem, loading, reload } = useResource(async () => {
    const meeting = await fetchDetails(id);
    const chain = meeting &&
      await fetchChain(meeting, (uris) => fetchLinks(meeting.user_id, uris));
    return { id, meeting, chain: chain ?? [] };
  }, [id, version]);
  const there = data?.id === id ? data : undefined;
  return (
    <Drawer
      title={there?.meeting ? there.meeting.name ?? "Without a name" : "Meeting"}
      onClose={onClose}
    >
      {problem && <Failure problem={problem} retry={reload} busy={loading} />}
      {!there && !problem && <Skeleton lines={12} height={32} />}
      {there && !there.meeting && <p>There is no such meeting, or it is not yours to read.</p>}
      {there?.meeting && <Body meeting={there.meeting} chain={there.chain} users={users} />}
    </Drawer>
  );
}

function Body({ meeting, chain, users }: { meeting: Details; chain: Link[]; users: User[] }) {
  const zone = shownZone();
  const { start_time, end_time } = meeting;
  const join = joinLink(meeting);
  const host = users.find(({ id }) => id === meeting.user_id);
  const additional = record(record(meeting.raw).location).additional_info;
  return (
    <div class="stack details">
      <div class="when">
        {start_time === null ? <p>No time</p> : (
          <>
            <p class="large">{dayOf(start_time, zone, currentTime())}</p>
            <p class="large">{hoursOf(start_time, end_time, zone)}</p>
            <p class="muted">
              {zone === "UTC" ? "UTC" : `your time (${cityOf(viewerZone)})`}
              {end_time !== null && `, ${lengthOf(start_time, end_time)}`},{" "}
              <Time
                at={start_time}
                mode="relative"
              />
            </p>
          </>
        )}
        <State meeting={meeting} />
      </div>
      {chain.length > 1 && <Chain chain={chain} current={meeting.id} zone={zone} />}
      <dl class="facts">
        <Fact name="Where">
          <Place meeting={meeting} />
          {typeof additional === "string" && <p class="muted">{additional}</p>}
          {join && !meeting.is_deleted && (
            <p class="join">
              <LinkButton kind="primary" icon="video" href={join}>Join</LinkButton>
              <CopyButton text={join} label="link" />
            </p>
          )}
        </Fact>
        {users.length > 1 && (
          <Fact name="Host">{host?.name ?? host?.email ?? `User ${meeting.user_id}`}</Fact>
        )}
        <Cancellation meeting={meeting} />
        <Guests meeting={meeting} />
      </dl>
      <Invitees meeting={meeting} zone={zone} />
      <Provenance meeting={meeting} />
    </div>
  );
}

function State({ meeting }: { meeting: Details }) {
  if (!meeting.is_deleted) {
    const over = meeting.end_time !== null && toDate(meeting.end_time).getTime() < currentTime();
    return <Badge tone={over ? "idle" : "good"}>{over ? "Past" : "Active"}</Badge>;
  }
  const word = meeting.rescheduled_to !== null
    ? "Moved to another time"
    : meeting.deleted_reason === "canceled"
    ? "Canceled"
    : meeting.deleted_reason === "reassigned"
    ? "Another host has it"
    : "Calendly no longer has it";
  return <Badge tone="warn">{word}</Badge>;
}

function lengthOf(start: string, end: string): string {
  const minutes = (toDate(end).getTime() - toDate(start).getTime()) / 60_000;
  return minutes % 60 === 0 ? formatDuration(minutes * 60) : `${minutes} min`;
}

/** The times that a booking has had, as one line from the first to the last. */
function Chain({ chain, current, zone }: { chain: Link[]; current: number; zone: string }) {
  const { query } = route.value;
  return (
    <nav class="chain" aria-label="How this booking was moved">
      <h3>Moved {chain.length === 2 ? "once" : `${chain.length - 1} times`}</h3>
      <ol>
        {chain.map(({ id, start_time }) => {
          const words = start_time === null
            ? "no time"
            : `${dayOf(start_time, zone, currentTime())}, ${hoursOf(start_time, null, zone)}`;
          return (
            <li key={id}>
              {id === current
                ? <strong aria-current="true">{words}</strong>
                : <a href={link("meetings", String(id), Object.fromEntries(query))}>{words}</a>}
            </li>
          );
        })}
      </ol>
    </nav>
  );
}

function Cancellation({ meeting }: { meeting: Details }) {
  const { canceled_by, reason, canceler_type, created_at } = record(meeting.cancellation);
  if (!meeting.is_deleted) return null;
  if (meeting.deleted_reason !== "canceled") {
    return (
      <Fact name={meeting.deleted_reason === "reassigned" ? "Reassigned" : "Gone"}>
        Found <Time at={meeting.deleted_at} />. The row stays here.
      </Fact>
    );
  }
  return (
    <Fact name="Canceled">
      <p>
        {text(canceled_by) ? `By ${text(canceled_by)}` : "By somebody"}
        {text(canceler_type) && ` (${text(canceler_type)})`},{" "}
        <Time at={text(created_at) ?? meeting.deleted_at} />
      </p>
      {text(reason) && <p class="words">{text(reason)}</p>}
    </Fact>
  );
}

function Guests({ meeting }: { meeting: Details }) {
  const guests = record(meeting.raw).event_guests;
  const emails = Array.isArray(guests)
    ? guests.map((guest) => text(record(guest).email)).filter((email) => email !== undefined)
    : [];
  if (emails.length === 0) return null;
  return (
    <Fact name="Guests">
      {emails.map((email) => <div key={email}>{email}</div>)}
    </Fact>
  );
}

function Invitees({ meeting, zone }: { meeting: Details; zone: string }) {
  const invitees = meeting.calendly_invitees;
  return (
    <section class="stack" aria-labelledby="invitees">
      <h3 id="invitees">{invitees.length === 1 ? "Invitee" : `${invitees.length} invitees`}</h3>
      {invitees.length === 0 && <p class="muted">Nobody is known to have booked.</p>}
      {invitees.map((invitee) => {
        const there = meeting.start_time &&
          elsewhere(meeting.start_time, invitee.timezone, zone);
        const answers = list(invitee.questions_and_answers)
          .map((one) => [text(one.question), text(one.answer)] as const)
          .filter(([question, answer]) => question || answer);
        const tracking = Object.entries(record(invitee.tracking))
          .filter(([, value]) => text(value));
        const payment = record(invitee.payment);
        return (
          <article class="invitee" key={invitee.id}>
            <div class="actions">
              <strong>{invitee.name ?? invitee.email ?? "Unknown"}</strong>
              {invitee.status === "canceled" && (
                <Badge tone="idle">{invitee.rescheduled ? "moved" : "canceled"}</Badge>
              )}
              {invitee.no_show_at !== null && <Badge tone="warn">no-show</Badge>}
            </div>
            {invitee.name !== null && invitee.email !== null && (
              <p class="muted">{invitee.email}</p>
            )}
            {invitee.timezone !== null && (
              <p class="muted">
                {there
                  ? `${there} (${invitee.timezone})`
                  : `Same time of day (${invitee.timezone})`}
              </p>
            )}
            {answers.length > 0 && (
              <dl class="answers">
                {answers.map(([question, answer], index) => (
                  <div key={index}>
                    <dt>{question}</dt>
                    <dd class="words">{answer || <span class="muted">no answer</span>}</dd>
                  </div>
                ))}
              </dl>
            )}
            {payment.amount !== undefined && payment.amount !== null && (
              <p>
                Paid {String(payment.amount)} {text(payment.currency)}{" "}
                {payment.successful === false && <Status tone="warn">not successful</Status>}
              </p>
            )}
            {tracking.length > 0 && (
              <p class="muted">
                {tracking.map(([name, value]) => `${name.replace("utm_", "")}: ${value}`)
                  .join(" · ")}
              </p>
            )}
          </article>
        );
      })}
    </section>
  );
}

/** When each side wrote it, by which way, and the row itself. */
function Provenance({ meeting }: { meeting: Details }) {
  const { url, publishable_key } = theConfig();
  const sql = "select *\nfrom calendly_meetings m\n" +
    "left join calendly_invitees i on i.meeting_id = m.id\n" +
    `where m.id = ${meeting.id};`;
  const curl = `curl '${url}/rest/v1/calendly_meetings?id=eq.${meeting.id}` +
    "&select=*,calendly_invitees(*)' \\\n" +
    `  -H 'apikey: ${publishable_key}' \\\n  -H "Authorization: Bearer $ACCESS_TOKEN"`;
  return (
    <section class="stack" aria-labelledby="provenance">
      <h3 id="provenance">How it came here</h3>
      <dl class="facts">
        <Fact name="At Calendly">
          made <Time at={meeting.calendly_created_at} />, changed{" "}
          <Time at={meeting.calendly_updated_at} />
        </Fact>
        <Fact name="Here">
          written <Time at={meeting.updated_at} />,{" "}
          {meeting.synced_via_webhook ? "a webhook has told of it" : "only read by syncs"}
        </Fact>
        <Fact name="Event">
          <code>{meeting.calendly_event_uri}</code>
        </Fact>
      </dl>
      <div class="actions">
        <CopyButton text={sql} label="as SQL" />
        <CopyButton text={curl} label="as curl" />
      </div>
      <details>
        <summary>
          <Icon name="right" />Raw, as Calendly sent it
        </summary>
        <pre tabIndex={0} aria-label="Raw event">{JSON.stringify(meeting.raw, null, 2)}</pre>
      </details>
    </section>
  );
}

function Fact({ name, children }: { name: string; children: ComponentChildren }) {
  return (
    <>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </>
  );
}

type Values = Record<string, unknown>;

function record(value: unknown): Values {
  return value !== null && typeof value === "object" && !Array.isArray(value)
    ? value as Values
    : {};
}

function list(value: unknown): Values[] {
  return Array.isArray(value) ? value.map(record) : [];
}

function text(value: unknown): string | undefined {
  return typeof value === "string" && value !== "" ? value : undefined;
}

/** Closes the details: back to the list as it was. */
export function closeDetails(): void {
  const { query } = route.peek();
  // Back leads to what was before the details, not to them again.
  go(link("meetings", Object.fromEntries(query)), { replace: true });
}
