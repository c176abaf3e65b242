/** A day of one person with a few bookings, by the schedule and by webhooks, beside "fetch everything". */
import { day as daysFrom, type Person, Project } from "../tests/functions/support.ts";
import { Hooks, SIGNING_KEY } from "../tests/webhooks/support.ts";
import type { Table } from "./harness/result.ts";

/** Quarters of an hour in which something is booked, and what becomes of it. */
const BOOKED = [4, 30, 41, 66];
const CANCELED = [50];

interface Cost {
  requests: number;
  calls: number;
  syncs: number;
  /** Rows of meetings and invitees that were written. */
  written: number;
}

/** So many quarters of an hour of somebody who has so many events. */
export async function day(events: number, quarters: number): Promise<Table> {
  const rows: [string, Cost][] = [
    ["by the schedule alone", await live(events, quarters, false)],
    ["with webhooks", await live(events, quarters, true)],
    ["everything fetched and written, each quarter", await everything(events, quarters)],
  ];
  return {
    title: `${quarters} quarters of an hour of one person with ${events} events, ` +
      `${BOOKED.length} bookings and ${CANCELED.length} cancellation`,
    columns: ["requests to Calendly", "calls to the database", "syncs", "rows written"],
    rows: rows.map(([what, { requests, calls, syncs, written }]) => ({
      what,
      cells: [requests, calls, syncs, written],
    })),
  };
}

async function live(events: number, quarters: number, webhooks: boolean): Promise<Cost> {
  await using project = await startProject();
  const hooks = new Hooks(project);
  const person = await somebody(project, events);
  if (webhooks) await hooks.subscribe(person);
  await person.sync();
  person.requests();
  project.wire.calls.length = 0;
  await countWrites(project);
  let syncs = 0;
  const booked: string[] = [];
  for (let quarter = 0; quarter < quarters; quarter++) {
    await project.advance("15m");
    if (BOOKED.includes(quarter)) {
      const start_time = daysFrom(3 + booked.length, project.now);
      const { invitee } = project.sandbox.control.book({ user: person.host.uri, start_time });
      booked.push(invitee.uri);
    }
    if (CANCELED.includes(quarter)) project.sandbox.control.cancel({ invitee: booked[0] });
    if (webhooks) await hooks.deliver();
    const [{ due }] = await project.stack.sql(
      `select next_sync_at <= calendly.now() as due from public.calendly_connections
       where user_id = $1`,
      [person.id],
    );
    if (!due) continue;
    syncs += 1;
    await person.sync();
  }
  return {
    requests: person.requests(),
    calls: project.wire.calls.length,
    syncs,
    written: await rowsWritten(project),
  };
}

/** What it costs where each event and its invitees are fetched and written by a statement each. */
async function everything(events: number, quarters: number): Promise<Cost> {
  await using project = await startProject();
  const person = await somebody(project, events);
  person.requests();
  const rows = await fetchEverything(person);
  return {
    requests: person.requests() * quarters,
    calls: rows * quarters,
    syncs: quarters,
    written: rows * quarters,
  };
}

/** Asks Calendly for all events and all invitees; how many there are. */
async function fetchEverything({ project, host, token }: Person): Promise<number> {
  const get = async (path: string) => {
    const response = await project.sandbox.fetch(
      new Request(`https://api.calendly.com${path}`, {
        headers: { authorization: `Bearer ${token}` },
      }),
    );
    if (!response.ok) throw new Error(await response.text());
    return await response.json();
  };
  let rows = 0;
  let page: string | null = "";
  while (page !== null) {
    const { collection, pagination } = await get(
      `/scheduled_events?user=${encodeURIComponent(host.uri)}&count=100${page}`,
    );
    for (const { uri } of collection) {
      const id = uri.split("/").pop();
      const invitees = await get(`/scheduled_events/${id}/invitees?count=100`);
      rows += 1 + invitees.collection.length;
    }
    const { next_page_token } = pagination;
    page = next_page_token ? `&page_token=${encodeURIComponent(next_page_token)}` : null;
  }
  return rows;
}

function startProject(): Promise<Project> {
  return Project.start("real", { env: { CALENDLY_WEBHOOK_SIGNING_KEY: SIGNING_KEY } });
}

async function somebody(project: Project, events: number): Promise<Person> {
  const person = await project.person({
    events,
    variety: "plain",
    from: daysFrom(-80),
    to: daysFrom(170),
  });
  project.sandbox.control.set_rate_limit({ user: person.host.uri, limit: null });
  return person;
}

/** Counts the rows that are inserted or updated in the tables that an app reads. */
async function countWrites({ stack }: Project): Promise<void> {
  await stack.sql("create sequence public.rows_written");
  await stack.sql(`
    create function public.count_row() returns trigger language plpgsql security definer as $$
    begin
      perform nextval('public.rows_written');
      return null;
    end $$`);
  for (const table of ["calendly_meetings", "calendly_invitees"]) {
    await stack.sql(`create trigger count_row after insert or update on public.${table}
      for each row execute function public.count_row()`);
  }
}

async function rowsWritten({ stack }: Project): Promise<number> {
  const [{ written }] = await stack.sql(
    `select case when is_called then last_value else 0 end::integer
    as written from public.rows_written`,
  );
  return written;
}
