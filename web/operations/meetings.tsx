/** The stored meetings of everybody, and one of them: what a delivery or a run has written. */
import { link, route } from "../routes.ts";
import { Empty } from "../ui/states.tsx";
import { Status } from "../ui/status.tsx";
import { currentTime, Time } from "../ui/time.tsx";
import { EVERY, useRows } from "./ask.ts";
import { ChoiceFilter, FilterBar, PersonFilter } from "./filter_bar.tsx";
import { type Filters, isFiltered, MEETING_FILTERS, readFilters } from "./filters.ts";
import { ListTable, PERSON, useList } from "./list.tsx";
import { Json, Panel, Pending, PersonLink, Screen, SmallTable } from "./parts.tsx";
import { given, type Row, rows, rowsWithPerson, type WithPerson } from "./query.ts";

const COLUMNS = [
  "id",
  "user_id",
  "name",
  "status",
  "start_time",
  "is_deleted",
  "deleted_reason",
  "synced_via_webhook",
  "updated_at",
] as const;

type MeetingRow = Pick<Row<"calendly_meetings">, typeof COLUMNS[number]> & WithPerson;

function meetingsQuery(filters: Filters<typeof MEETING_FILTERS>, at: number) {
  // To the minute, so that the query stays the same for a while.
  const now = new Date(Math.floor(at / 60_000) * 60_000).toISOString();
  const { person, when } = filters;
  return rowsWithPerson("calendly_meetings", {
    select: COLUMNS,
    where: given([
      { column: "user_id", is: "eq", value: person },
      { column: "is_deleted", is: "eq", value: when && when === "deleted" },
      { column: "start_time", is: "gte", value: when === "upcoming" ? now : null },
      { column: "start_time", is: "lt", value: when === "past" ? now : null },
    ]),
    // Of everybody by key, the newest first: an index by start time is there for each person alone.
    order: person
      ? [{ column: "start_time", descending: when !== "upcoming" }, { column: "id" }]
      : [{ column: "id", descending: true }],
  });
}

export function MeetingsScreen() {
  const filters = readFilters(MEETING_FILTERS, route.value.query);
  const list = useList(meetingsQuery(filters, currentTime()));
  return (
    <Screen title="Meetings" resource={list.resource} every={EVERY} queries={[list.query]}>
      <FilterBar
        total={list.total}
        hasMore={list.hasMore}
        filtered={isFiltered(filters)}
        noun={["meeting", "meetings"]}
      >
        <ChoiceFilter
          name="when"
          label="Which meetings"
          all="All meetings"
          options={[["upcoming", "Upcoming"], ["past", "Past"], ["deleted", "Deleted"]]}
          chosen={filters.when}
        />
        <PersonFilter chosen={filters.person} />
      </FilterBar>
      <ListTable<MeetingRow>
        list={list}
        label="Meetings"
        rowKey={({ id }) => id}
        href={({ id }) => link("operations", "meetings", String(id))}
        narrowRowHeight={68}
        empty={isFiltered(filters)
          ? { title: "No meeting is like this", hint: "Take a filter away to see others." }
          : { title: "No meeting yet", hint: "They come with the first sync." }}
        columns={[
          {
            id: "name",
            title: "Meeting",
            width: "minmax(0, 1.5fr)",
            cell: ({ name, id }) => name ?? `Meeting ${id}`,
          },
          {
            id: "start",
            title: "Start",
            width: "minmax(96px, 1fr)",
            cell: ({ start_time }) => <Time at={start_time} />,
          },
          PERSON,
          {
            id: "state",
            title: "State",
            width: "112px",
            cell: (meeting) => <State {...meeting} />,
          },
          {
            id: "by",
            title: "Last written",
            width: "minmax(0, 1fr)",
            wideOnly: true,
            cell: ({ updated_at, synced_via_webhook }) => (
              <>
                <Time at={updated_at} />{" "}
                <span class="muted">{synced_via_webhook ? "delivery" : "sync"}</span>
              </>
            ),
          },
        ]}
      />
    </Screen>
  );
}

function State(
  { is_deleted, deleted_reason, status }: Pick<
    MeetingRow,
    "is_deleted" | "deleted_reason" | "status"
  >,
) {
  return is_deleted
    ? <Status tone="idle" title="Deleted here">{deleted_reason ?? "deleted"}</Status>
    : <Status tone="good">{status ?? "active"}</Status>;
}

export function MeetingScreen({ id }: { id: number }) {
  const query = rowsWithPerson("calendly_meetings", {
    select: [...COLUMNS, "end_time", "calendly_event_uri", "created_at", "deleted_at", "raw"],
    where: [{ column: "id", is: "eq", value: id }],
  });
  const invitees = rows("calendly_invitees", {
    select: ["id", "name", "email", "status", "timezone", "no_show_at", "rescheduled"],
    where: [{ column: "meeting_id", is: "eq", value: id }],
    order: [{ column: "id" }],
    limit: 100,
  });
  const resource = useRows(query, { every: EVERY });
  const guests = useRows(invitees, { every: EVERY });
  const back = { text: "Meetings", href: link("operations", "meetings") };
  const meeting = resource.data?.rows[0];
  if (!meeting) {
    return (
      <Screen title="Meeting" back={back} resource={resource} queries={[query]}>
        {resource.data
          ? <Empty title={`There is no meeting ${id}`} hint="It may have been erased." />
          : <Pending resource={resource} title="The meeting cannot be shown" lines={8} />}
      </Screen>
    );
  }
  return (
    <Screen
      title={meeting.name ?? `Meeting ${id}`}
      back={back}
      of={<State {...meeting} />}
      resource={resource}
      every={EVERY}
      queries={[query, invitees]}
    >
      <div class="ops-columns">
        <Panel title="Meeting">
          <dl class="facts">
            <dt>Starts</dt>
            <dd>
              <Time at={meeting.start_time} />
            </dd>
            <dt>Ends</dt>
            <dd>
              <Time at={meeting.end_time} />
            </dd>
            <dt>Person</dt>
            <dd>
              <PersonLink id={meeting.user_id} person={meeting.calendly_users} />
            </dd>
            <dt>Event</dt>
            <dd>
              <code>{meeting.calendly_event_uri}</code>
            </dd>
            <dt>First stored</dt>
            <dd>
              <Time at={meeting.created_at} />
            </dd>
            <dt>Last written</dt>
            <dd>
              <Time at={meeting.updated_at} />{" "}
              <span class="muted">
                {meeting.synced_via_webhook ? "by a delivery" : "by a sync"}
              </span>
            </dd>
            {meeting.is_deleted && (
              <>
                <dt>Deleted</dt>
                <dd>
                  <Time at={meeting.deleted_at} />
                </dd>
              </>
            )}
          </dl>
        </Panel>
        <Panel title="Invitees">
          {!guests.data
            ? <Pending resource={guests} title="The invitees cannot be shown" lines={3} />
            : (
              <SmallTable
                label="Invitees"
                empty="No invitee is stored."
                rows={guests.data.rows}
                columns={[
                  { title: "Name", cell: ({ name }) => name },
                  { title: "E-mail", cell: ({ email }) => email },
                  {
                    title: "State",
                    cell: (guest) =>
                      guest.no_show_at
                        ? <Status tone="warn">no-show</Status>
                        : guest.status === "active"
                        ? <Status tone="good">active</Status>
                        : (
                          <Status tone="idle">
                            {guest.rescheduled ? "rescheduled" : guest.status}
                          </Status>
                        ),
                  },
                ]}
              />
            )}
        </Panel>
      </div>
      <Json value={meeting.raw} label="Raw, as Calendly sent it" />
    </Screen>
  );
}
