/** The meetings as a table: tabs, search, hosts, and a row for each. */
import { useEffect, useMemo, useState } from "preact/hooks";
import { link, setQuery } from "../routes.ts";
import { Button } from "../ui/button.tsx";
import { Icon } from "../ui/icon.tsx";
import { Empty, Skeleton } from "../ui/states.tsx";
import { Badge } from "../ui/status.tsx";
import { type Column, Table } from "../ui/table.tsx";
import { Tabs } from "../ui/tabs.tsx";
import { formatRelative, now, timeMode, toDate, viewerZone } from "../ui/time.tsx";
import { toast } from "../ui/toast.tsx";
import { Advice } from "./advice.tsx";
import { type Arrival, delayWords } from "./arrivals.ts";
import { meetingsCsv } from "./csv.ts";
import { fetchInvitees, type Meeting, type Tab, TABS, type User } from "./data.ts";
import { Place } from "./place.tsx";
import { belongs } from "./list.ts";
import type { Meetings } from "./use_meetings.ts";
import { dayOf, elsewhere, hoursOf } from "./when.ts";
import { plural } from "./words.ts";

const TAB_WORDS: Record<Tab, string> = {
  upcoming: "Upcoming",
  past: "Past",
  canceled: "Canceled",
  gone: "Gone",
};

const EMPTY_WORDS: Record<Tab, [title: string, hint: string]> = {
  upcoming: ["No upcoming meetings", "A booking appears here by itself."],
  past: ["No past meetings", "A full sync reads the last two years, unless set otherwise."],
  canceled: ["No canceled meetings", "What is canceled at Calendly moves here."],
  gone: [
    "Nothing is gone",
    "Meetings that Calendly no longer has, or has given to another host, move here.",
  ],
};

/** The zone in which the list shows times. */
export function shownZone(): string {
  return timeMode.value === "utc" ? "UTC" : viewerZone;
}

interface Properties {
  tab: Tab;
  search: string;
  host?: number;
  users: User[];
  counts?: Record<Tab, number>;
  meetings: Meetings;
  arrivals: Map<number, Arrival>;
  /** The first sync is reading. */
  reading: boolean;
}

export function MeetingList(
  { tab, search, host, users, counts, meetings, arrivals, reading }: Properties,
) {
  const { list, filter, problem, first, loading, loadMore, reload, loadAll } = meetings;
  const minute = Math.floor(now.value / 60_000);
  const zone = shownZone();
  // What has ended meanwhile is not upcoming any more.
  const shown = useMemo(
    () =>
      filter.tab === "upcoming"
        ? list.meetings.filter((one) => belongs(one, { ...filter, now: minute * 60_000 }))
        : list.meetings,
    [list, filter, minute],
  );
  const columns = useColumns(filter.tab, users, zone, minute, arrivals, shown);
  const query = { search: search || undefined, host: host?.toString() };
  const address = (id: number) => link("meetings", String(id), { tab, ...query });

  return (
    <section class="meetings" aria-label="Meetings" aria-busy={loading}>
      <div class="toolbar">
        <Tabs
          label="Meetings by state"
          current={tab}
          tabs={TABS.map((id) => ({
            id,
            label: TAB_WORDS[id],
            count: counts?.[id],
            href: link("meetings", { tab: id, ...query }),
          }))}
        />
        <div class="filters">
          <Search value={search} />
          {users.length > 1 && (
            <label>
              <span class="spoken">Host</span>
              <select
                value={host ?? ""}
                onChange={(event) => setQuery({ host: event.currentTarget.value || undefined })}
              >
                <option value="">All hosts</option>
                {users.map(({ id, name, email }) => (
                  <option key={id} value={id}>{name ?? email ?? `User ${id}`}</option>
                ))}
              </select>
            </label>
          )}
          <CsvButton disabled={shown.length === 0} loadAll={loadAll} tab={tab} users={users} />
        </div>
      </div>
      {problem && <Advice problem={problem} retry={first ? reload : loadMore} busy={loading} />}
      {first && !problem && <TableSkeleton />}
      {!first && shown.length === 0 && list.complete && (
        <Nothing tab={filter.tab} search={filter.search} reading={reading} />
      )}
      {!first && (shown.length > 0 || !list.complete) && (
        <Table
          key={filter.tab}
          label={`${TAB_WORDS[filter.tab]} meetings`}
          columns={columns}
          rows={shown}
          rowKey={({ id }) => id}
          href={({ id }) => address(id)}
          rowClass={({ id }) => arrivals.has(id) ? "arrived" : undefined}
          rowHeight={56}
          narrowRowHeight={108}
          total={filter.search || !counts ? undefined : counts[filter.tab]}
          onEnd={loadMore}
        />
      )}
      {!first && shown.length > 0 && (
        <p class="end muted">
          {list.complete
            ? plural(shown.length, "meeting")
            : `${plural(shown.length, "meeting")} so far, more as you scroll`}
        </p>
      )}
    </section>
  );
}

/** In the size of the table that comes. */
export function TableSkeleton() {
  return (
    <div class="table" aria-hidden="true">
      <div class="skeleton-head" />
      <Skeleton lines={8} height={56} />
    </div>
  );
}

function Nothing({ tab, search, reading }: { tab: Tab; search: string; reading: boolean }) {
  if (search.trim() !== "") {
    return (
      <Empty
        icon="search"
        title={`Nothing matches “${search.trim()}”`}
        hint="Names of meetings, places, names and e-mails of invitees are searched."
      >
        <Button onClick={() => setQuery({ search: undefined })}>Clear the search</Button>
      </Empty>
    );
  }
  if (reading) {
    return (
      <Empty
        icon="sync"
        title="The first sync is reading your meetings"
        hint="They appear here as they are read."
      />
    );
  }
  const [title, hint] = EMPTY_WORDS[tab];
  return <Empty icon="clock" title={title} hint={hint} />;
}

/** What is typed goes into the address when the person pauses. */
function Search({ value }: { value: string }) {
  const [typed, setTyped] = useState(value);
  useEffect(() => setTyped(value), [value]);
  useEffect(() => {
    if (typed === value) return;
    const timer = setTimeout(() => setQuery({ search: typed }), 250);
    return () => clearTimeout(timer);
  }, [typed]);
  return (
    <label class="search">
      <span class="spoken">Search meetings</span>
      <Icon name="search" />
      <input
        type="search"
        placeholder="Search"
        value={typed}
        onInput={(event) => setTyped(event.currentTarget.value)}
      />
    </label>
  );
}

function CsvButton(
  { disabled, loadAll, tab, users }: {
    disabled: boolean;
    loadAll: () => Promise<Meeting[]>;
    tab: Tab;
    users: User[];
  },
) {
  const [busy, setBusy] = useState(false);
  const save = async () => {
    setBusy(true);
    try {
      const meetings = await withAllInvitees(await loadAll());
      const hosts = new Map(users.map(({ id, name, email }) => [id, name ?? email ?? ""]));
      download(`calendly-${tab}.csv`, meetingsCsv(meetings, hosts));
      toast(`Saved ${plural(meetings.length, "meeting")} as CSV`);
    } catch {
      toast("The CSV was not saved: not all meetings could be read", "bad");
    } finally {
      setBusy(false);
    }
  };
  return (
    <Button icon="download" busy={busy} disabled={disabled} onClick={save}>
      CSV
    </Button>
  );
}

/** Of a group event the list has the first invitees only. */
async function withAllInvitees(meetings: Meeting[]): Promise<Meeting[]> {
  const large = meetings.filter(({ counter, calendly_invitees }) =>
    (counter?.total ?? 0) > calendly_invitees.length
  );
  const invitees = await fetchInvitees(large.map(({ id }) => id));
  return meetings.map((meeting) => ({
    ...meeting,
    calendly_invitees: invitees.get(meeting.id) ?? meeting.calendly_invitees,
  }));
}

function download(name: string, text: string): void {
  const address = URL.createObjectURL(new Blob([text], { type: "text/csv;charset=utf-8" }));
  const anchor = document.createElement("a");
  anchor.href = address;
  anchor.download = name;
  anchor.click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}

function useColumns(
  tab: Tab,
  users: User[],
  zone: string,
  minute: number,
  arrivals: Map<number, Arrival>,
  shown: Meeting[],
): Column<Meeting>[] {
  return useMemo(() => {
    const at = minute * 60_000;
    const hosts = new Map(users.map(({ id, name, email }) => [id, name ?? email ?? ""]));
    const columns: Column<Meeting>[] = [
      {
        id: "when",
        title: zone === "UTC" ? "When (UTC)" : "When",
        width: "176px",
        cell: ({ start_time, end_time }) =>
          start_time === null ? <span class="muted">no time</span> : (
            <span class="two-lines">
              <span>{dayOf(start_time, zone, at)}</span>
              <span class="muted">
                {hoursOf(start_time, end_time, zone)}
                {tab === "upcoming" && timeMode.value === "relative" && (
                  <>, {startWords(start_time, at)}</>
                )}
              </span>
            </span>
          ),
      },
      {
        id: "what",
        title: "Meeting",
        width: "minmax(0, 1.2fr)",
        cell: (meeting) => (
          <span class="two-lines">
            <span class="strong">
              <span class="clipped">{meeting.name ?? "Without a name"}</span>
              <Mark arrival={arrivals.get(meeting.id)} />
            </span>
            <span class="muted">
              <Marks meeting={meeting} />
              <Place meeting={meeting} />
            </span>
          </span>
        ),
      },
      {
        id: "who",
        title: "Invitees",
        width: "minmax(0, 1fr)",
        cell: (meeting) => <Invitees meeting={meeting} zone={zone} />,
      },
    ];
    if (users.length > 1) {
      columns.push({
        id: "host",
        title: "Host",
        width: "minmax(0, 0.6fr)",
        cell: ({ user_id }) => hosts.get(user_id),
      });
    }
    return columns;
  }, [tab, users, zone, minute, arrivals, shown, timeMode.value]);
}

function startWords(start: string, at: number): string {
  const begins = toDate(start).getTime();
  return begins <= at ? "now" : formatRelative(begins, at);
}

function Mark({ arrival }: { arrival?: Arrival }) {
  if (!arrival) return null;
  const word = arrival.kind === "booked"
    ? "New"
    : arrival.kind === "canceled"
    ? "Canceled"
    : "Changed";
  return (
    <Badge
      tone={arrival.kind === "canceled" ? "warn" : "good"}
      title="From what happened at Calendly to this page"
    >
      {word}
      {arrival.delay !== undefined && ` · here after ${delayWords(arrival.delay)}`}
    </Badge>
  );
}

/** What is special about a meeting, in words. */
function Marks({ meeting }: { meeting: Meeting }) {
  const marks = [
    meeting.deleted_reason === "reassigned" && "Another host has it",
    meeting.deleted_reason === "gone" && "Calendly no longer has it",
    meeting.rescheduled_to !== null && "Moved to another time",
    meeting.rescheduled_from !== null && "Moved here",
    meeting.calendly_invitees.some(({ no_show_at }) => no_show_at !== null) && "No-show",
  ].filter((mark) => mark !== false);
  return marks.length === 0 ? null : <span class="marks">{marks.join(" · ")}</span>;
}

function Invitees({ meeting, zone }: { meeting: Meeting; zone: string }) {
  const { calendly_invitees: invitees, counter, start_time } = meeting;
  if (invitees.length === 0) return <span class="muted">nobody</span>;
  const [first] = invitees;
  const total = Math.max(counter?.total ?? 0, invitees.length);
  const there = start_time && elsewhere(start_time, first.timezone, zone);
  return (
    <span class="two-lines">
      <span>
        <span class="clipped">{first.name ?? first.email ?? "Unknown"}</span>
        {total > 1 && <span class="muted whole">and {total - 1} more</span>}
      </span>
      <span class="muted">{there || first.email}</span>
    </span>
  );
}
