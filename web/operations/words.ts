/**
 * The words that the operations use for states, each with what it means and how it is shown. The legends and
 * the tables read the same list, so that a word never stands there without its meaning.
 */
import type { Tone } from "../ui/status.tsx";

export interface Word {
  tone: Tone;
  word: string;
  meaning: string;
}

const unknown = (word: string): Word => ({ tone: "info", word, meaning: "" });

export const RUN_WORDS: Record<string, Word> = {
  running: { tone: "busy", word: "running", meaning: "A worker is at it now." },
  paused: {
    tone: "paused",
    word: "paused",
    meaning: "Goes on by itself at the time that is shown, or at once with Sync now.",
  },
  complete: {
    tone: "good",
    word: "complete",
    meaning: "All that Calendly listed was applied: the meetings were current when it began.",
  },
  failed: {
    tone: "bad",
    word: "failed",
    meaning: "Ended before it was complete. What it had applied stays; the error says what to do.",
  },
};

export const SYNC_TYPE_WORDS: Record<string, string> = {
  FULL:
    "The long range, 2 years back and 1 year forward unless set otherwise: the first sync, once " +
    "a week, and on demand.",
  INCREMENTAL: "The near range, 3 months back and 6 months forward unless set otherwise.",
};

export const TRIGGER_WORDS: Record<string, string> = {
  manual: "A person pressed Sync Calendly.",
  scheduled: "The schedule found it due.",
  service: "A server or this console asked, with the secret key.",
  connect: "It followed connecting.",
};

export const DELIVERY_WORDS: Record<string, Word> = {
  processed: {
    tone: "good",
    word: "processed",
    meaning: "Applied, or found to be older than what is stored.",
  },
  ignored: {
    tone: "idle",
    word: "ignored",
    meaning: "About nobody who is kept, or of a type that is not handled. Its payload is not kept.",
  },
  deferred: {
    tone: "paused",
    word: "deferred",
    meaning: "Could not be applied yet: the next sync asks Calendly for the same event.",
  },
  dead: {
    tone: "bad",
    word: "dead",
    meaning: "Given up after the last try. It can be replayed while it is kept, for 90 days.",
  },
};

export const CONNECTION_WORDS: Record<string, Word> = {
  active: { tone: "good", word: "connected", meaning: "Calendly accepts the token." },
  reconnect_required: {
    tone: "bad",
    word: "reconnect required",
    meaning: "Calendly refuses the token: only the person can help, by connecting again.",
  },
  disconnected: {
    tone: "idle",
    word: "disconnected",
    meaning: "Nothing is synced any more. What was stored stays until it is erased.",
  },
};

export const WEBHOOK_WORDS: Record<string, Word> = {
  active: {
    tone: "good",
    word: "active",
    meaning: "Calendly has our subscription: bookings arrive within a second.",
  },
  none: {
    tone: "idle",
    word: "none",
    meaning: "No subscription: the schedule brings the changes.",
  },
  disabled: {
    tone: "bad",
    word: "disabled",
    meaning: "Calendly has ended the subscription: the schedule brings the changes.",
  },
  unknown: {
    tone: "warn",
    word: "unknown",
    meaning: "The subscription cannot be looked at, so that it is not relied on.",
  },
};

export const SEVERITY_WORDS: Record<string, Word> = {
  critical: { tone: "bad", word: "critical", meaning: "Meetings are not up to date." },
  warning: {
    tone: "warn",
    word: "warning",
    meaning: "Something was lost or is slower than it should be.",
  },
};

export function wordOf(words: Record<string, Word>, state: string | null): Word {
  return words[state ?? ""] ?? unknown(state ?? "not known");
}

/** "FULL" → "Full", for a sentence or a cell. */
export function syncTypeName(type: string): string {
  return type === "FULL" ? "Full" : "Incremental";
}
