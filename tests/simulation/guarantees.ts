/** What else must hold after a seed: whose rows there are, what a sync costs, and that nothing is left. */
import { type Difference, type Divergence, ELSEWHERE, isSame } from "./comparison.ts";
import { askFor, rowOf } from "./connecting.ts";
import { isBanned, isSynced, MINUTE, type Person, type Team } from "./team.ts";

type Report = (divergence: Divergence) => void;

/** Nobody has a row whom nothing has brought, and a row belongs to the account that has proven it. */
export async function checkRow(team: Team, person: Person, report: Report): Promise<void> {
  const row = await rowOf(team, person);
  const whose = person.email;
  if (row && !person.mayBeStored) {
    report({ whose, what: "their row", stored: row, expected: "none" });
  }
  if (person.keptId !== undefined && row?.id !== person.keptId) {
    report({ whose, what: "the kept row", stored: row, expected: person.keptId });
  }
  const { account, connection } = person;
  const owner: string | undefined = row?.auth_user_id ?? undefined;
  const isMatched = account?.isProven && !connection && isSynced(team, person) &&
    (await listedHosts(team)).has(person.host.uri);
  const mustBelong = connection?.byAccount || isMatched;
  const mayBelong = mustBelong || account?.isProven;
  const isRight = owner === undefined ? !mustBelong : mayBelong && owner === account?.id;
  if (!isRight) report({ whose, what: "whose row it is", stored: owner, expected: account });
}

/** `found`: what differs between the stored meetings and what Calendly has. */
export async function checkSyncs(
  team: Team,
  person: Person,
  found: Difference[],
  report: Report,
): Promise<void> {
  await checkBans(team, person, report);
  if (isSynced(team, person)) {
    if (found.length === 0) await checkCounts(team, person, report);
    // What no listing of the organization shows, the owner's own click finds.
    if (found.every(({ exception }) => exception !== ELSEWHERE)) {
      await checkCost(team, person, report);
    }
  } else {
    await checkRefusal(team, person, report);
  }
}

/** No run of theirs begins while their account is banned. */
async function checkBans(team: Team, person: Person, report: Report): Promise<void> {
  const row = await rowOf(team, person);
  // The clocks may differ by a minute and a half.
  const margin = 2 * MINUTE * 1000;
  for (const { from, until } of row ? person.bans : []) {
    const stored = await team.project.sql(
      `select r.trigger, r.status, r.started_at from public.calendly_sync_runs r
       where r.user_id = $1 and r.started_at > $2 and r.started_at < $3`,
      [row!.id, new Date(from + margin).toISOString(), new Date(until - margin).toISOString()],
    );
    if (stored.length > 0) {
      report({ whose: person.email, what: "runs during a ban", stored, expected: "none" });
    }
  }
}

/** Whoever is not synced gets no sync by asking for one. */
async function checkRefusal(team: Team, person: Person, report: Report): Promise<void> {
  const { status, body } = await askFor(team, person, "POST", "calendly-sync");
  if (status !== 200) return;
  report({ whose: person.email, what: "a click", stored: body, expected: "a refusal" });
}

/** The health view counts what is stored. */
async function checkCounts({ project }: Team, person: Person, report: Report): Promise<void> {
  const [row] = await project.sql(
    `select jsonb_build_array(h.active_calendly_meetings, h.deleted_calendly_meetings,
         h.webhook_synced_meetings, h.webhook_events_received) as stored,
       jsonb_build_array(
         (select count(*) from public.calendly_meetings m where m.user_id = u.id and not m.is_deleted),
         (select count(*) from public.calendly_meetings m where m.user_id = u.id and m.is_deleted),
         (select count(*) from public.calendly_meetings m where m.user_id = u.id and m.synced_via_webhook),
         (select count(*) from public.calendly_webhook_events e where e.user_id = u.id)) as expected
     from public.calendly_users u join public.calendly_sync_health h on h.user_id = u.id
     where u.calendly_user_uri = $1`,
    [person.host.uri],
  );
  if (!row || isSame(row.stored, row.expected)) return;
  report({ whose: person.email, what: "health", ...row });
}

/** A sync of what has not changed asks for the pages of its listing and nothing else, and writes nothing. */
async function checkCost(team: Team, person: Person, report: Report): Promise<void> {
  const { project } = team;
  const row = await rowOf(team, person);
  if (!row) return; // Never listed.
  const [{ page_size }] = await project.sql("select page_size from calendly.settings");
  await project.advance(MINUTE); // The rate limit's.
  // A look for no-shows may have fallen due meanwhile.
  while (await project.tick() > 0) await project.advance(MINUTE);
  const { status, body } = await askFor(team, person, "POST", "calendly-sync");
  if (status !== 200) {
    report({ whose: person.email, what: "a last click", stored: body, expected: "a sync" });
    return;
  }
  const { created, updated, deleted, restored, fetched, requests } = body;
  const pages = Math.max(1, Math.ceil((fetched.active + fetched.canceled) / page_size));
  const stored = { status: body.status, changes: created + updated + deleted + restored, requests };
  const expected = { status: "complete", changes: 0, requests: pages };
  if (!isSame(stored, expected)) {
    report({ whose: person.email, what: "a sync without news", stored, expected });
  }
}

// The organization ------------------------------------------------------------------------------------------

/** The last sync of the organization has counted the hosts without an account right. */
export async function checkOrganization(team: Team, report: Report): Promise<void> {
  const run = await lastOrganizationRun(team);
  if (!run) return;
  const rows = await team.project.sql(
    "select calendly_user_uri from public.calendly_users where auth_user_id is not null",
  );
  const withAccount = new Set(rows.map((row) => row.calendly_user_uri));
  const stored = run.hosts_without_account;
  const expected = (await listedHosts(team)).difference(withAccount).size;
  if (stored === expected) return;
  report({ whose: team.scope, what: "hosts without an account", stored, expected });
}

/** All hosts of the events that the organization's last sync has listed. */
async function listedHosts(team: Team): Promise<Set<string>> {
  const run = await lastOrganizationRun(team);
  if (!run) return new Set();
  const [from, to] = [run.min_start_time, run.max_start_time].map(Date.parse);
  const listed = team.project.sandbox.truth().scheduled_events
    .filter(({ organization, event }) => {
      const start = Date.parse(event.start_time);
      return organization === team.organization && from <= start && start <= to;
    });
  return new Set(
    listed.flatMap(({ event }) => event.event_memberships.map(({ user }) => user)),
  );
}

/** undefined: its owner is not synced. */
async function lastOrganizationRun(team: Team) {
  const owner = team.people.find(({ connection }) => connection?.scope === "organization");
  if (!owner || !isSynced(team, owner)) return undefined;
  const [run] = await team.project.sql(
    `select hosts_without_account, min_start_time::text, max_start_time::text
     from public.calendly_sync_runs
     where subject = $1 and status = 'complete' order by started_at desc limit 1`,
    [team.organization],
  );
  return run;
}

// The project -----------------------------------------------------------------------------------------------

export async function checkProject(team: Team, since: string, report: Report): Promise<void> {
  await checkSpending(team, since, report);
  await checkNothingIsLeft(team, report);
  await checkSubscriptions(team, report);
  const faults = team.project.runtime.lines.filter((line) =>
    /Unexpected error|"code":"internal"/.test(line)
  );
  if (faults.length > 0) {
    report({ whose: team.scope, what: "the log", stored: faults, expected: "no fault" });
  }
}

/**
 * Without faults, a sync asks for its pages, for what is missing from them or waits (25 at most), for the
 * invitees that are due, and once a day for the organization and the subscription.
 */
async function checkSpending({ project, scope }: Team, since: string, report: Report) {
  const stored = await project.sql(
    `select r.sync_type, r.requests, r.progress, p.pages
     from public.calendly_sync_runs r
     cross join calendly.settings s
     cross join lateral (
       select greatest(1, ceil((r.fetched_active + r.fetched_canceled)::numeric / s.page_size))
     ) p (pages)
     where r.started_at > $1 and r.status = 'complete'
       and r.requests > p.pages + s.missing_event_lookups
         + (r.progress ->> 'invitees_read')::integer + 5`,
    [since],
  );
  if (stored.length > 0) report({ whose: scope, what: "spending", stored, expected: "less" });
}

/** Nothing hangs, nothing waits and nobody need act, but for what banned accounts leave where it is. */
async function checkNothingIsLeft(team: Team, report: Report): Promise<void> {
  const ids = [];
  for (const person of team.people) {
    const row = isBanned(team, person) ? await rowOf(team, person) : undefined;
    if (row) ids.push(row.id);
  }
  const banned = `('{${ids}}'::integer[])`;
  const expected = team.people.some(({ account }) => account && !account.isProven)
    ? "{email_unproven}"
    : "{}";
  const left: Record<string, string> = {
    "active runs": `select to_jsonb(r) from public.calendly_sync_runs r
      where r.status in ('running', 'paused') and r.user_id <> all ${banned}`,
    "waiting deliveries": `select to_jsonb(e) from public.calendly_webhook_events e
      where e.status in ('deferred', 'dead') and coalesce(e.user_id <> all ${banned}, true)`,
    "alerts": `select to_jsonb(a) from public.calendly_alerts a
      where coalesce(a.user_id <> all ${banned}, true) and a.code <> all ('${expected}')`,
    "late syncs": `select to_jsonb(c) from public.calendly_connections c
      cross join calendly.settings s
      where c.state = 'active' and c.user_id <> all ${banned}
        and coalesce(c.next_sync_at, 'infinity') > calendly.now()
          + (1 + s.schedule_jitter) * calendly.interval_between_syncs(c.webhook_state in ('active', 'unknown'))`,
    "syncs of banned accounts": `select to_jsonb(c) from public.calendly_connections c
      where c.user_id = any ${banned} and c.next_sync_at is not null`,
    "trust in webhooks that do not come": `select to_jsonb(u) from public.calendly_users u
      left join public.calendly_connections c on c.id = u.connection_id
      where u.calendly_webhook_enabled
        -- what arrives proves that an unknown one delivers
        and (c.webhook_state in ('active', 'unknown')) is not true`,
    "ended accounts": "select to_jsonb(e) from calendly.ended_accounts e",
    "pending revocations": "select to_jsonb(r) - 'credential' from calendly.pending_revocations r",
  };
  for (const [what, query] of Object.entries(left)) {
    const stored = await team.project.sql(query);
    if (stored.length > 0) report({ whose: team.scope, what, stored, expected: "none" });
  }
}

/** A subscription at Calendly is that of a connection here, unless no token was left to end it with. */
async function checkSubscriptions({ project, scope, people }: Team, report: Report) {
  const rows = await project.sql(
    `select w.uri from calendly.webhook_subscriptions w
     join public.calendly_connections c on c.id = w.connection_id
     where c.state <> 'disconnected' and w.state <> 'ended'`,
  );
  const ours = new Set(rows.map(({ uri }) => uri));
  const stored = project.sandbox.truth().webhook_subscriptions.filter(({ uri, creator }) =>
    !ours.has(uri) &&
    !people.some(({ host, isTokenRevoked }) => isTokenRevoked && host.uri === creator)
  );
  if (stored.length > 0) {
    report({ whose: scope, what: "subscriptions that nobody has", stored, expected: "none" });
  }
}
