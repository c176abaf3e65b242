/**
 * The first sentence of the operations: all is well, or what is wrong and what to do about it. The worst
 * comes first: what hides everything else, then alerts by their severity, then what mends itself.
 */
import { duration } from "../../cli/runs.ts";
import { count } from "../../cli/words.ts";

/** What the sentence is made of; times are milliseconds. */
export interface Facts {
  alerts: readonly {
    code: string;
    severity: string;
    user_id: number | null;
    message: string;
    what_to_do: string;
  }[];
  /** Of connected people. max is null where nobody has been synced yet. */
  freshness: { users: number; neverSynced: number; maxSeconds: number | null };
  /** How many connections there are whose last sync failed. */
  failingConnections: number;
  /** How many runs wait, and the one that waits longest. */
  paused: { runs: number; resumeInSeconds: number | null; code: string | null };
  /** Why the functions cannot be asked; null: they answer. */
  functionsProblem: { message: string; hint: string } | null;
  /** How long ago these facts were read, and why they could not be read since. */
  unread?: { seconds: number; message: string; hint?: string };
  /** What is wrong with the functions' environment. */
  configurationErrors: readonly { message: string; hint?: string }[];
  kind: "local" | "hosted";
}

export type Tone = "good" | "warning" | "critical" | "empty";

export interface Sentence {
  tone: Tone;
  headline: string;
  /** What to do, or what it means. */
  detail: string;
  /** Whom it is about. */
  person?: number;
  /** Where more of it is shown. */
  link?: { text: string; href: string };
}

const ALERTS = "#/operations/alerts";

export function firstSentence(facts: Facts): Sentence {
  return notRead(facts) ?? functionsAway(facts) ?? misconfigured(facts) ??
    alerting(facts, "critical") ??
    nobody(facts) ??
    alerting(facts, "warning") ?? failing(facts) ?? well(facts);
}

/** In seconds: facts that are older are not told as if they were of now. */
const OLD = 30;

function notRead({ unread }: Facts): Sentence | undefined {
  if (!unread || unread.seconds < OLD) return;
  return {
    tone: "critical",
    headline: `It is not known how it is: nothing could be read for ${duration(unread.seconds)}.`,
    detail: `${sentenceOf(unread.message)} ${sentenceOf(unread.hint ?? "")}`.trim(),
  };
}

function functionsAway({ functionsProblem }: Facts): Sentence | undefined {
  if (!functionsProblem) return;
  return {
    tone: "critical",
    headline: "The Edge Functions do not answer: nothing is synced and no delivery is taken.",
    detail: `${sentenceOf(functionsProblem.message)} ${sentenceOf(functionsProblem.hint)}`.trim(),
    link: { text: "Schedule", href: "#/operations/schedule" },
  };
}

function misconfigured({ configurationErrors: [first] }: Facts): Sentence | undefined {
  if (!first) return;
  return {
    tone: "critical",
    headline: `The Edge Functions are not configured: ${sentenceOf(first.message)}`,
    detail: sentenceOf(first.hint ?? "Set it among the project's secrets."),
  };
}

function alerting({ alerts }: Facts, severity: "critical" | "warning"): Sentence | undefined {
  const first = alerts.find((alert) =>
    severity === "critical" ? alert.severity === severity : alert.severity !== "critical"
  );
  if (!first) return;
  return {
    tone: severity,
    headline: severity === "critical"
      ? sentenceOf(first.message)
      : `Meetings are up to date, and something was lost or is slow. ${sentenceOf(first.message)}`,
    detail: sentenceOf(first.what_to_do),
    ...first.user_id !== null && { person: first.user_id },
    link: alerts.length > 1
      ? { text: `${count(alerts.length, "alert")}, each with its evidence`, href: ALERTS }
      : { text: "See the evidence", href: ALERTS },
  };
}

function nobody({ freshness, kind }: Facts): Sentence | undefined {
  if (freshness.users > 0) return;
  return {
    tone: "empty",
    headline: "Nobody is connected to Calendly yet.",
    detail: kind === "local"
      ? "Open My meetings, sign in as the demo user and connect with a token of the sandbox."
      : "A person connects in your app, or a server does: POST /functions/v1/calendly-connect, or " +
        "calendly-sync connect.",
    ...(kind === "local" && { link: { text: "My meetings", href: "#/meetings" } }),
  };
}

/** Fewer failures than an alert takes. */
function failing({ failingConnections }: Facts): Sentence | undefined {
  if (failingConnections === 0) return;
  const whose = failingConnections === 1
    ? "one connection failed, and is"
    : `${failingConnections} connections failed, and are`;
  return {
    tone: "warning",
    headline: `The last sync of ${whose} tried again by itself.`,
    detail: "Until then their meetings are as of the sync before. If it goes on, an alert says so.",
    link: { text: "The runs that failed", href: "#/operations/runs?status=failed" },
  };
}

function well({ freshness, paused }: Facts): Sentence {
  const { users, neverSynced, maxSeconds } = freshness;
  const proven = users - neverSynced;
  const waits = paused.runs > 0
    ? `${count(paused.runs, "sync")} ${paused.runs === 1 ? "is" : "are"} paused and ` +
      `${paused.runs === 1 ? "goes" : "go"} on by ${paused.runs === 1 ? "itself" : "themselves"}` +
      (paused.resumeInSeconds !== null && paused.resumeInSeconds > 0
        ? ` ${paused.runs === 1 ? "in" : "within"} ${duration(paused.resumeInSeconds)}`
        : "") +
      (paused.code ? ` (${paused.code}).` : ".")
    : "Nothing is to be done.";
  if (proven === 0 || maxSeconds === null) {
    return {
      tone: "good",
      headline: `All is well: the first sync of ${
        users === 1 ? "one person" : count(users, "person").replace("persons", "people")
      } has begun or begins with the next tick.`,
      detail: paused.runs > 0 ? waits : "Their meetings are complete when it has finished.",
      link: { text: "Runs", href: "#/operations/runs" },
    };
  }
  const whose = proven === 1 ? "the one connected person" : `all ${proven} connected people`;
  return {
    tone: "good",
    headline: `All is well: the meetings of ${
      neverSynced > 0 ? `${proven} of ${users} connected people` : whose
    } were compared with Calendly within the last ${
      // Not second by second: a screen reader reads it anew when it changes.
      maxSeconds <= 60 ? "minute" : duration(Math.ceil(maxSeconds / 60) * 60)}.`,
    detail: neverSynced > 0
      ? `The first sync of ${neverSynced} more has not finished. ${paused.runs > 0 ? waits : ""}`
        .trim()
      : waits,
  };
}

function sentenceOf(text: string): string {
  const trimmed = text.trim();
  return trimmed === "" || /[.!?;)]$/.test(trimmed) ? trimmed : `${trimmed}.`;
}
