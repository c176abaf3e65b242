/** One person: the connection that brings their meetings, what went wrong, and syncing now. */
import { link } from "../routes.ts";
import { LinkButton } from "../ui/button.tsx";
import { Empty } from "../ui/states.tsx";
import { Badge, Status } from "../ui/status.tsx";
import { currentTime, formatDuration, now, Time } from "../ui/time.tsx";
import type { Person } from "./answers.ts";
import { EVERY, useAnswer, useRows } from "./ask.ts";
import { deliveriesQuery } from "./deliveries.tsx";
import {
  ErrorNote,
  Json,
  number,
  Panel,
  Pending,
  PersonLink,
  Screen,
  SmallTable,
  type StoredError,
  WordStatus,
} from "./parts.tsx";
import { peopleQuery } from "./people.tsx";
import { RunResult, runsQuery } from "./runs.tsx";
import { SyncButtons, SyncResult, SyncSources, useSync } from "./sync_actions.tsx";
import {
  CONNECTION_WORDS,
  DELIVERY_WORDS,
  RUN_WORDS,
  syncTypeName,
  WEBHOOK_WORDS,
  wordOf,
} from "./words.ts";

/** As many runs and deliveries as a person's page shows. */
const SHOWN = 8;
const MEMBERS = 100;

export function PersonScreen({ id }: { id: number }) {
  const query = peopleQuery({ person: id }, 1);
  const resource = useAnswer(query, { every: EVERY });
  const sync = useSync(id, resource.reload);
  const back = { text: "People", href: link("operations", "people") };
  const person = resource.data?.[0];
  if (!person) {
    return (
      <Screen title="Person" back={back} queries={[query]} resource={resource}>
        {resource.data
          ? (
            <Empty title={`There is no person ${id}`} hint="They may have been erased.">
              <LinkButton href={back.href}>All people</LinkButton>
            </Empty>
          )
          : <Pending resource={resource} title="The person cannot be shown" lines={8} />}
      </Screen>
    );
  }
  const name = person.name || person.email || `Person ${id}`;
  const { connection } = person;
  const owns = connection?.user_id === id;
  const lastError = connection?.last_error as StoredError | null | undefined;
  return (
    <Screen
      title={name}
      back={back}
      of={<WordStatus word={wordOf(CONNECTION_WORDS, person.state)} />}
      resource={resource}
      every={EVERY}
      queries={[query]}
      actions={<SyncButtons {...sync} name={name} />}
    >
      <SyncResult userId={id} {...sync} />
      {lastError && (
        <div class="card ops-next failed">
          <ErrorNote
            error={lastError}
            title={connection && connection.failures > 1
              ? `The last ${connection.failures} syncs failed`
              : "The last sync failed"}
          />
        </div>
      )}
      <div class="ops-columns">
        <ConnectionPanel person={person} owns={owns} />
        <FreshnessPanel person={person} />
        <WebhookPanel person={person} owns={owns} />
        <BudgetPanel person={person} />
      </div>
      {connection?.scope === "organization" && owns && <Members connectionUser={id} />}
      <LatestRuns id={id} />
      <LatestDeliveries id={id} />
      <Json value={person} label="Raw" />
    </Screen>
  );
}

const TOKEN_KINDS: Record<string, string> = {
  oauth: "OAuth: Calendly gives a new token every two hours, by itself",
  personal_access_token: "Personal access token: lasts until the person ends it",
};

function ConnectionPanel({ person, owns }: { person: Person; owns: boolean }) {
  return (
    <Panel title="Connection">
      <dl class="facts">
        <dt>E-mail</dt>
        <dd>{person.email ?? <span class="muted">not known</span>}</dd>
        <dt>Account here</dt>
        <dd>
          {person.has_account ? <Badge tone="good">account</Badge> : (
            <>
              <Badge tone="idle">no account</Badge>{" "}
              <span class="muted">They see nothing here until they sign in and connect.</span>
            </>
          )}
        </dd>
        <dt>Token</dt>
        <dd>
          {person.token_kind
            ? TOKEN_KINDS[person.token_kind]
            : <span class="muted">none is kept</span>}
          {person.token_expires_at && (
            <span class="muted">
              , this one until <Time at={person.token_expires_at} />
            </span>
          )}
        </dd>
        {!owns && person.connection && (
          <>
            <dt>Whose</dt>
            <dd>
              that of <PersonLink id={person.connection.user_id} />, for the organization
            </dd>
          </>
        )}
        <dt>Scope</dt>
        <dd>
          {person.connection?.scope === "organization"
            ? person.connection.members === "everyone"
              ? "organization, every host, with an account here or without"
              : "organization, members with an account here"
            : person.connection?.scope === "user"
            ? "this person's own events"
            : <span class="muted">none</span>}
        </dd>
        <dt>Connected</dt>
        <dd>
          <Time at={person.connection?.connected_at} />
        </dd>
        <dt>State</dt>
        <dd class="muted">{wordOf(CONNECTION_WORDS, person.state).meaning}</dd>
      </dl>
    </Panel>
  );
}

function FreshnessPanel({ person }: { person: Person }) {
  return (
    <Panel title="Freshness" actions={<SyncSources userId={person.user_id} />}>
      <dl class="facts">
        <dt>As Calendly had it</dt>
        <dd>
          {person.staleness_seconds === null
            ? <Status tone="warn">never yet</Status>
            : `${formatDuration(Math.round(person.staleness_seconds))} ago`}
        </dd>
        <dt>First sync</dt>
        <dd>
          {person.initial_sync_complete
            ? <Status tone="good">complete</Status>
            : <Status tone="warn">not complete: the next one is a full sync</Status>}
        </dd>
        <dt>Next sync</dt>
        <dd>
          {person.connection?.next_sync_at
            ? <Time at={person.connection.next_sync_at} />
            : <span class="muted">none by itself</span>}
        </dd>
        <dt>Meetings</dt>
        <dd>
          <a href={link("operations", "meetings", { person: String(person.user_id) })}>
            See the stored meetings
          </a>
        </dd>
      </dl>
    </Panel>
  );
}

function WebhookPanel({ person, owns }: { person: Person; owns: boolean }) {
  const word = wordOf(WEBHOOK_WORDS, person.connection?.webhook_state ?? "none");
  return (
    <Panel title="Webhook">
      <dl class="facts">
        <dt>State</dt>
        <dd>
          <WordStatus word={word} /> <span class="muted">{word.meaning}</span>
        </dd>
        <dt>Delivers</dt>
        <dd>
          {person.webhook_delivers
            ? <Status tone="good">yes</Status>
            : <Status tone="idle">not known to</Status>}
        </dd>
        {person.connection?.webhooks_lost_at && (
          <>
            <dt>Lost since</dt>
            <dd>
              <Time at={person.connection.webhooks_lost_at} />
            </dd>
          </>
        )}
        <dt>Last seen active</dt>
        <dd>
          <Time at={person.connection?.webhooks_checked_at} />
        </dd>
        <dt>Wanted</dt>
        <dd>
          {person.connection?.webhooks_wanted
            ? "yes: one that is lost is made again"
            : <span class="muted">no</span>}
        </dd>
      </dl>
      {owns && person.connection?.webhook_error && (
        <ErrorNote error={person.connection.webhook_error as StoredError} />
      )}
    </Panel>
  );
}

function BudgetPanel({ person }: { person: Person }) {
  const { connection } = person;
  const limit = connection?.rate_limit ?? null;
  const remaining = connection?.rate_remaining ?? null;
  const resets = connection?.rate_resets_at ?? null;
  const over = resets !== null && Date.parse(resets) <= now.value;
  const left = over ? limit : remaining;
  return (
    <Panel title="Rate budget">
      {limit === null || left === null ? <p class="muted">Calendly has not told it yet.</p> : (
        <>
          <p>
            <strong class="ops-budget">{number(left)}</strong> of {number(limit)}{" "}
            requests a minute are left.
          </p>
          <meter
            class="ops-meter"
            min={0}
            max={limit}
            low={limit * 0.1}
            value={left}
            aria-label="Requests that are left of Calendly's budget"
          >
            {left} of {limit}
          </meter>
          <p class="muted">
            {over
              ? (
                <>
                  The window has started again <Time at={resets} />.
                </>
              )
              : (
                <>
                  The window starts again <Time at={resets} mode="relative" />.
                </>
              )}
          </p>
        </>
      )}
    </Panel>
  );
}

function Members({ connectionUser }: { connectionUser: number }) {
  const query = peopleQuery({ team: connectionUser }, MEMBERS);
  const resource = useAnswer(query, { every: 15_000 });
  const members = resource.data;
  const without = members?.filter(({ has_account }) => !has_account).length ?? 0;
  return (
    <Panel title="Members whose meetings it brings" queries={[query]}>
      {!members ? <Pending resource={resource} title="The members cannot be shown" lines={4} /> : (
        <>
          <p class="muted">
            {number(members[0]?.total ?? 0)} in all
            {members.length === members[0]?.total &&
              `: ${members.length - without} with an account here, ${without} without`}.
          </p>
          <SmallTable
            label="Members"
            empty="None yet: members are met with the first sync."
            rows={members}
            columns={[
              {
                title: "Person",
                cell: (member) => <PersonLink id={member.user_id} person={member} />,
              },
              { title: "E-mail", cell: ({ email }) => email },
              {
                title: "Account",
                cell: ({ has_account }) =>
                  has_account
                    ? <Status tone="good">account</Status>
                    : <Status tone="idle">no account</Status>,
              },
              {
                title: "Fresh as of",
                cell: ({ staleness_seconds }) =>
                  staleness_seconds === null
                    ? <span class="muted">never</span>
                    : `${formatDuration(Math.round(staleness_seconds))} ago`,
              },
            ]}
          />
        </>
      )}
    </Panel>
  );
}

function LatestRuns({ id }: { id: number }) {
  const query = { ...runsQuery({ person: id }, currentTime()), limit: SHOWN };
  const resource = useRows(query, { every: EVERY });
  return (
    <Panel
      title="Latest runs"
      queries={[query]}
      actions={
        <LinkButton kind="quiet" href={link("operations", "runs", { person: String(id) })}>
          All
        </LinkButton>
      }
    >
      {!resource.data
        ? <Pending resource={resource} title="The runs cannot be shown" lines={SHOWN} height={33} />
        : (
          <SmallTable
            label="Latest runs"
            empty="No run yet."
            rows={resource.data.rows}
            columns={[
              {
                title: "Started",
                cell: (run) => (
                  <a href={link("operations", "runs", run.id)}>
                    <Time at={run.started_at} />
                  </a>
                ),
              },
              {
                title: "Status",
                cell: ({ status }) => <WordStatus word={wordOf(RUN_WORDS, status)} />,
              },
              { title: "Type", cell: ({ sync_type }) => syncTypeName(sync_type) },
              { title: "Begun by", cell: ({ trigger }) => trigger },
              { title: "Requests", right: true, cell: ({ requests }) => number(requests) },
              { title: "Result", cell: (run) => <RunResult run={run} /> },
            ]}
          />
        )}
    </Panel>
  );
}

function LatestDeliveries({ id }: { id: number }) {
  const query = { ...deliveriesQuery({ person: id }, currentTime()), limit: SHOWN };
  const resource = useRows(query, { every: EVERY });
  return (
    <Panel
      title="Latest deliveries"
      queries={[query]}
      actions={
        <LinkButton kind="quiet" href={link("operations", "deliveries", { person: String(id) })}>
          All
        </LinkButton>
      }
    >
      {!resource.data
        ? (
          <Pending
            resource={resource}
            title="The deliveries cannot be shown"
            lines={SHOWN}
            height={33}
          />
        )
        : (
          <SmallTable
            label="Latest deliveries"
            empty="No delivery yet."
            rows={resource.data.rows}
            columns={[
              {
                title: "Received",
                cell: (delivery) => (
                  <a href={link("operations", "deliveries", delivery.id)}>
                    <Time at={delivery.created_at} />
                  </a>
                ),
              },
              {
                title: "Status",
                cell: ({ status }) => <WordStatus word={wordOf(DELIVERY_WORDS, status)} />,
              },
              { title: "Type", cell: ({ event_type }) => <code>{event_type}</code> },
              {
                title: "Error",
                cell: ({ error }) =>
                  (error as StoredError | null)?.message ?? <span class="muted">none</span>,
              },
            ]}
          />
        )}
    </Panel>
  );
}
