/**
 * Two rules that no linter knows, for `deno task check`: which words are not used any more, and how long a
 * line of SQL may be.
 *
 * A word in REMOVED_WORDS is refused wherever it stands as a whole word, in code, comments, strings and
 * pages. The others are ordinary English, and refused only as a name: those in REMOVED_SQL_NAMES as that of
 * a function in the schema calendly (`calendly.fail`), a column, an argument or a variable
 * (`at timestamptz`), those in REMOVED_FUNCTIONS as that of a function in TypeScript. Beside each stands
 * the word that took its place. Whoever renames something adds the old word here, so that it does not come
 * back by an old branch or a copied line. Where a file has to contain one, EXCEPTIONS says which, and why.
 */

/** The longest line of SQL that fits beside another file on a screen. */
export const LONGEST_SQL_LINE = 100;

/** Whole words: letters, digits and _ on neither side. */
const REMOVED_WORDS: Record<string, string> = {
  // Tables
  meeting_invitees: "calendly_invitees",
  "calendly.hosts": "calendly_users with a connection_id",
  // Ending a connection at Calendly
  farewell: "revocation",
  farewells: "pending_revocations",
  say_farewell: "queue_revocation",
  claim_farewell: "claim_revocation",
  finish_farewell: "finish_revocation",
  bidFarewells: "revokePending",
  // Runs, and who works on them
  open_runs: "active_runs",
  runs_under_way: "active_runs",
  "under way": "active, running, or not answered yet",
  instance_time: "worker_time",
  instance_requests: "worker_requests",
  hold_lease: "check_lease",
  lock_run: "lock_connection",
  is_main: "covers_connection",
  free_at: "resumable_at",
  unsettled_at: "next_pending_work_at",
  make_due: "sync_sooner",
  // What a sync fetches
  absence_checks: "missing_event_lookups",
  asked_at: "last_looked_up_at",
  by_itself: "direct",
  read_events: "fetch_events",
  reread: "refetch_all, invitees_stale or refetch_uris",
  doubted: "count_mismatch",
  // Snapshots
  event_copy: "event_snapshot",
  merge_copy: "merge_snapshots",
  webhook_copies: "webhook_sourced_uris",
  // Erasing people
  forgetting: "erasure",
  hold_off_forgetting: "lock_against_erasure",
  without_forgotten_invitee: "redact_erased_invitee",
  without_forgotten_guests: "redact_erased_guests",
  calendly_forget_invitee: "calendly_erase_invitee",
  // Webhooks
  proven_webhooks: "users_with_working_webhooks",
  proves_webhooks: "confirms_delivery",
  // TypeScript
  Unavailable: "RequestRefused",
  Interruption: "TemporaryFailure",
  carryOut: "runSync",
  takeCosts: "takeUsage",
  makeSubscription: "createSubscription",
  returnToApp: "oauthCallback",
  LastToken: "RevocableToken",
  tellOnce: "runOnce or logOnce",
  Happening: "BookingChange",
  Witness: "ChangeObserver",
  deed: "operation",
  deeds: "operations",
  Deed: "Operation",
};

/** Refused in SQL as the name of a function in the schema calendly, a column, an argument or a variable. */
const REMOVED_SQL_NAMES: Record<string, string> = {
  at: "now_at, or what happens at that time",
  doing: "phase",
  instances: "workers",
  room: "free_slots",
  deaths: "worker_crashes",
  absent: "missing",
  whole: "all_members",
  listed: "subject",
  fail: "raise_error",
  spend: "record_requests",
  in_words: "humanize_days",
};

/** Refused as the name of a file, without its extension. */
const REMOVED_FILES: Record<string, string> = {
  story: "what it does",
  calm: "convergence",
  storm: "faults, or operations",
  thirty: "what it does",
  "told.test": "what it tests",
  "custody.test": "what it tests",
};

/** Refused in TypeScript as the name of a function. */
const REMOVED_FUNCTIONS: Record<string, string> = {
  told: "toApiError",
  understand: "fromHttpError or parseBody",
  perform: "executeStep",
  keep: "saveConnection, or what is kept",
  tame: "isolateExitCode",
};

/** Files that have to contain a word, each with the reason. */
const EXCEPTIONS: { file: string; word: string; because: string }[] = [
  {
    file: "supabase/migrations/20261101000320_webhook_subscriptions.sql",
    word: "listed",
    because: "the subscriptions that Calendly lists are an argument, and no run's subject",
  },
  {
    file: "supabase/migrations/20261101000880_console.sql",
    word: "at",
    because: "what a plot draws is a time and values, whatever happened then",
  },
];

/** A text file of this project: its path from the root, and what is in it. */
export interface TextFile {
  path: string;
  text: string;
}

/** What is wrong with a file, each as `path:line: problem`; of its name, `path: problem`. */
export function findStyleProblems({ path, text }: TextFile): string[] {
  const rules = RULES.filter(({ applies, word }) =>
    applies(path) && !EXCEPTIONS.some((except) => except.file === path && except.word === word)
  );
  const [, name] = path.match(/([^/]*)\.\w+$/) ?? [];
  const misnamed = Object.hasOwn(REMOVED_FILES, name)
    ? [`${path}: a file is not called “${name}” any more: ${REMOVED_FILES[name]}`]
    : [];
  const lines = text.split("\n").flatMap((line, index) => {
    const problems = rules.filter(({ pattern }) => pattern.test(line))
      .map(({ word, instead }) => `“${word}” is not used any more: ${instead}`);
    const { length } = [...line];
    if (isMigration(path) && length > LONGEST_SQL_LINE) {
      problems.push(`${length} characters, of ${LONGEST_SQL_LINE} at most`);
    }
    return problems.map((problem) => `${path}:${index + 1}: ${problem}`);
  });
  return [...misnamed, ...lines];
}

interface Rule {
  word: string;
  instead: string;
  pattern: RegExp;
  applies: (path: string) => boolean;
}

const SQL_TYPE = "(?:timestamptz|text|integer|bigint|boolean|jsonb?|uuid|interval|numeric|real)";

const RULES: Rule[] = [
  ...rules(REMOVED_WORDS, (word) => `(?<!\\w)${word.replace(".", "\\.")}(?!\\w)`, () => true),
  ...rules(
    REMOVED_SQL_NAMES,
    (word) =>
      `\\bcalendly\\.${word}\\b|(?:^|[(,]|\\bout)\\s*${word}\\s+(?:constant\\s+)?${SQL_TYPE}\\b`,
    (path) => path.endsWith(".sql"),
  ),
  ...rules(
    REMOVED_FUNCTIONS,
    (word) => `\\bfunction\\s+${word}\\b|\\bconst\\s+${word}\\s*=\\s*(?:async\\s*)?\\(`,
    (path) => path.endsWith(".ts"),
  ),
];

function rules(
  words: Record<string, string>,
  pattern: (word: string) => string,
  applies: (path: string) => boolean,
): Rule[] {
  return Object.entries(words).map(([word, instead]) => ({
    word,
    instead,
    pattern: new RegExp(pattern(word)),
    applies: (path) => !OWN_FILES.includes(path) && applies(path),
  }));
}

/** This list, and its tests. */
const OWN_FILES = ["local/style.ts", "tests/local/style.test.ts"];

function isMigration(path: string): boolean {
  return /^supabase\/migrations\/[^/]+\.sql$/.test(path);
}
