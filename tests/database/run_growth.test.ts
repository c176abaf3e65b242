/**
 * A step of a sync reads what it brings, however large the run is: ten times as many events, seen or due,
 * and it reads about as many blocks. So it is in a young database, whose statistics and kept plans are from
 * when it was empty, and in one that has been analyzed.
 */
import assert from "node:assert/strict";
import { openTestDatabase, testOnEach } from "../harness/databases.ts";
import { FIXTURES } from "./fixtures/fixtures.ts";

const PEOPLE = 50;
const FEW = 1_000;
const MANY = 10_000;

/** An organization's run that has shown all events but the last 100, which are on its last page. */
const LARGE_RUN = `
select calendly.set_clock('2026-06-01T12:00:00Z');
select tests.add_organization('olga', 'everyone');
insert into public.calendly_users (id, calendly_user_uri, connection_id, created_at)
  select 1000 + n, tests.host('host' || n), (tests.connection_of('olga')).id, '2026-05-01'
  from generate_series(1, ${PEOPLE}) n;
update public.calendly_users set calendly_initial_sync_complete = true;

create function tests.numbered(n integer) returns jsonb language sql as $$
  select tests.event('N' || n, tests.hosted_by('host' || 1 + n % ${PEOPLE}) || jsonb_build_object(
    'start_time', calendly.to_calendly(calendly.now() - interval '10 days' + n * interval '1 minute'),
    'end_time', calendly.to_calendly(calendly.now() - interval '9 days' + n * interval '1 minute')))
$$;
create function tests.numbered_page(last integer, next_page_token text) returns jsonb
  language sql as $$
  select tests.page(array(select tests.numbered(n) from generate_series(last - 99, last) n),
    next_page_token)
$$;

create function tests.begin_large(events integer, due_at timestamptz) returns void language plpgsql as $$
declare
  run public.calendly_sync_runs;
begin
  insert into public.calendly_meetings (user_id, calendly_event_uri, name, status, start_time,
      end_time, is_deleted, calendly_created_at, calendly_updated_at, created_at, updated_at, raw)
    select 1001 + n % ${PEOPLE}, tests.event_uri('N' || n), 'Intro call', 'active',
      (e ->> 'start_time')::timestamptz, (e ->> 'end_time')::timestamptz, false,
      (e ->> 'created_at')::timestamptz, (e ->> 'updated_at')::timestamptz, '2026-05-20',
      '2026-05-20', e
    from generate_series(1, events) n, tests.numbered(n) e;
  insert into calendly.meeting_sync (user_id, event_uri, invitees_due_at)
    select m.user_id, m.calendly_event_uri, begin_large.due_at from public.calendly_meetings m
    on conflict do nothing;
  perform tests.begin('olga', 'scheduled');
  -- A finish deletes a slice of what the run has collected, and leaves the rest to a job.
  if due_at > calendly.now() then
    return;
  end if;
  run := tests.run_of('olga');
  insert into calendly.run_seen (run_id, event_uri, direct)
    select run.id, tests.event_uri('N' || n), false from generate_series(1, events - 200) n;
  insert into calendly.run_invitees (run_id, event_uri, is_past, distance, seats)
    select run.id, s.event_uri, false, interval '1 minute' * n, 1
    from generate_series(1, events - 200) n
    join calendly.run_seen s on s.run_id = run.id and s.event_uri = tests.event_uri('N' || n);
  update calendly.active_runs
    set listed_until = calendly.now() - interval '10 days' + (events - 200) * interval '1 minute';
end
$$;

create function tests.blocks(statement text) returns integer language plpgsql as $$
declare
  plan jsonb;
begin
  execute 'explain (analyze, buffers, timing off, format json) ' || statement into plan;
  return (plan #>> '{0,Plan,Shared Hit Blocks}')::integer
    + (plan #>> '{0,Plan,Shared Read Blocks}')::integer;
end
$$;
create function tests.read_all(event_uris jsonb) returns jsonb language sql as $$
  select jsonb_build_object('requests', jsonb_array_length(event_uris), 'invitees', jsonb_agg(
    jsonb_build_object('event_uri', uri, 'observed_at', calendly.to_calendly(calendly.now()),
      'invitees', jsonb_build_array(tests.invitee(split_part(uri, '/', -1), 'ines')))))
  from jsonb_array_elements_text(event_uris) uri
$$;
create function tests.fail_all(event_uris jsonb) returns jsonb language sql as $$
  select jsonb_build_object('requests', jsonb_array_length(event_uris), 'invitees', jsonb_agg(
    jsonb_build_object('event_uri', uri, 'problem', 'Bad request')))
  from jsonb_array_elements_text(event_uris) uri
$$;
create function tests.answer_all(event_uris jsonb) returns jsonb language sql as $$
  select jsonb_build_object('requests', jsonb_array_length(event_uris), 'events', jsonb_agg(
    tests.read_of(split_part(uri, '/', -1), 200, tests.numbered(
      substring(uri from '[0-9]+$')::integer))))
  from jsonb_array_elements_text(event_uris) uri
$$;
create function tests.begin_session() returns void language plpgsql as $$
begin
  -- The plans of this session are kept from here, when next to nothing is stored.
  perform tests.add_person('ana');
  perform tests.sync('ana', array(select tests.event('A' || n) from generate_series(1, 9) n));
  update calendly.settings set invitee_batch = 10;
end
$$;
create function tests.blocks_of_steps(events integer, analyzed boolean)
  returns table (step text, blocks integer) language plpgsql as $$
declare
  brought constant text := 'update tests.answer set next = tests.bring(''olga'', %s)';
begin
  perform tests.begin_session();
  perform tests.begin_large(events, calendly.now());
  if analyzed then
    analyze;
  end if;
  return query values ('a page', tests.blocks(format(brought,
    format('tests.numbered_page(%s, ''last'')', events - 100))));
  -- It leaves out the last 20 events.
  return query values ('the last page', tests.blocks(format(brought,
    format('tests.numbered_page(%s, null)', events - 20))));
  return query values ('a step of events', tests.blocks(format(brought,
    'tests.answer_all(next -> ''event_uris'')')));
  return query values ('a step of invitees', tests.blocks(format(brought,
    'tests.read_all(next -> ''event_uris'')')));
  return query values ('a step of invitees that fail', tests.blocks(format(brought,
    'tests.fail_all(next -> ''event_uris'')')));
  delete from calendly.run_invitees;
  return query values ('a step that fills the queue', tests.blocks(format(brought,
    '''{"requests": 0, "invitees": []}''')));
end
$$;
create function tests.blocks_of_finish(events integer, analyzed boolean)
  returns table (step text, blocks integer) language plpgsql as $$
begin
  perform tests.begin_session();
  perform tests.begin_large(events, calendly.now() + interval '1 day');
  update calendly.active_runs set phase = 'finish';
  if analyzed then
    analyze;
  end if;
  return query values ('the finish', tests.blocks('select tests.finish(''olga'')'));
end
$$;
create function tests.blocks_of_people(people integer)
  returns table (step text, blocks integer) language plpgsql as $$
declare
  brought constant text := 'update tests.answer set next = tests.bring(''olga'', %s)';
begin
  perform tests.begin_session();
  update calendly.settings set invitee_batch = 40;
  perform tests.begin_large(1000, calendly.now());
  update calendly.active_runs
    set user_ids = user_ids || array(select 10000 + n from generate_series(1, people) n);
  execute format(brought, 'tests.numbered_page(980, null)');
  execute format(brought, 'tests.answer_all(next -> ''event_uris'')');
  return query values ('a step of invitees that fail', tests.blocks(format(brought,
    'tests.fail_all(next -> ''event_uris'')')));
end
$$;
create table tests.answer as select null::jsonb as next;`;

testOnEach(
  "no step of a sync reads more where the run is larger",
  "both",
  async (kind, t) => {
    for (const analyzed of [false, true]) {
      await t.step(analyzed ? "in an analyzed database" : "in a young database", async (t) => {
        const few = await blocksOfSteps(kind, FEW, analyzed);
        const many = await blocksOfSteps(kind, MANY, analyzed);
        for (const [step, blocks] of many) {
          await t.step(step, () => {
            // An index is a level deeper; ten times as much would be read in full.
            assert.ok(blocks < 2 * few.get(step)!, `${few.get(step)} blocks, then ${blocks}`);
          });
        }
      });
    }
  },
  { long: true },
);

testOnEach(
  "invitees that fail are not looked up for each person of the run",
  "both",
  async (kind, t) => {
    const more = 1_000;
    const few = await blocksBy(kind, "select * from tests.blocks_of_people($1)", [0]);
    const many = await blocksBy(kind, "select * from tests.blocks_of_people($1)", [more]);
    for (const [step, blocks] of many) {
      await t.step(step, () => {
        const each = (blocks - few.get(step)!) / more;
        assert.ok(each < 1, `${each} blocks for each person`);
      });
    }
  },
  { long: true },
);

/** How many blocks each step of such a run reads. */
async function blocksOfSteps(
  kind: "embedded" | "real",
  events: number,
  analyzed: boolean,
): Promise<Map<string, number>> {
  return new Map([
    ...await blocksBy(kind, "select * from tests.blocks_of_steps($1, $2)", [events, analyzed]),
    ...await blocksBy(kind, "select * from tests.blocks_of_finish($1, $2)", [events, analyzed]),
  ]);
}

/** What such a measurement says, in a database of its own. */
async function blocksBy(
  kind: "embedded" | "real",
  measure: string,
  values: unknown[],
): Promise<Map<string, number>> {
  await using database = await openTestDatabase(kind, { seed: false });
  await database.script(FIXTURES);
  await database.script(LARGE_RUN);
  const rows = await database.query<{ step: string; blocks: number }>(measure, values);
  return new Map(rows.map(({ step, blocks }) => [step, blocks]));
}
