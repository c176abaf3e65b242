/** What a verb has done, in the line or two that a person wants; `--json` shows the whole answer. */
import type { ActiveFault } from "./faults.ts";
import type { Delivery, RequestReport, Truth } from "./mod.ts";
import type { Invitee, InviteeNoShow, ScheduledEvent } from "./resources.ts";

/** The answer of a verb that changes one booking. */
interface Booking {
  event: ScheduledEvent;
  invitee: Invitee | null;
}

/**
 * The answer of a verb in words. `readState` tells the name of whom an answer has only the URI.
 */
export async function describeAnswer(
  verb: string,
  // deno-lint-ignore no-explicit-any -- what the verb answers
  answer: any,
  readState: () => Promise<Truth>,
): Promise<string> {
  switch (verb) {
    case "book":
      return answer.invitee
        ? `${answer.invitee.name} books ${meeting(answer)}.`
        : `Booked without an invitee: ${meeting(answer)}.`;
    case "cancel":
      return describeCancellation(answer);
    case "reschedule":
      return `${answer.new.invitee?.name} moves ${meeting(answer.old)}, to ${
        when(answer.new.event)
      }.`;
    case "mark_no_show":
      return describeNoShow(answer, await readState());
    case "undo_no_show":
      return `${answer.invitee?.name} is not a no-show any more: ${meeting(answer)}.`;
    case "advance":
    case "set_clock":
      return `At Calendly it is ${answer.now} now.`;
    case "set_rate_limit":
      return answer.limit === null ? "No limit." : `${answer.limit} requests a minute.`;
    case "faults":
      return lines(answer, describeFault, "No faults are in force.");
    case "requests":
      return describeRequests(answer);
    case "deliveries":
    case "deliver":
      return lines(answer, describeDelivery, "No webhooks.");
    default:
      return describeFields(answer);
  }
}

/** What became of the webhooks that a verb has caused. */
export function describeWebhooks(deliveries: Delivery[]): string {
  if (deliveries.length === 0) {
    return "No webhook subscription covers this: the next sync finds it.";
  }
  if (!deliveries.every(({ attempts }) => attempts.length > 0)) {
    return "Webhooks are waiting: `npx -y deno@2.9.6 task sandbox deliver` sends them.";
  }
  const outcomes = deliveries.map(({ event, url, created_at, attempts: [first] }) => {
    const ms = Date.parse(first.answered_at) - Date.parse(created_at);
    return `${event} to ${url}: ${first.status ?? first.error} after ${ms} ms`;
  });
  return outcomes.map((outcome) => `Webhook ${outcome}.`).join("\n");
}

export function wasAccepted({ attempts: [first] }: Delivery): boolean {
  const status = first?.status ?? 0;
  return status >= 200 && status < 300;
}

/** "30 Minute Meeting with Demo Host, 2026-11-30 10:00 to 10:30 UTC" */
function meeting({ event }: Booking): string {
  const hosts = event.event_memberships.map(({ user_name }) => user_name).join(" and ");
  return `${event.name ?? "a meeting"} with ${hosts}, ${when(event)}`;
}

function when({ start_time, end_time }: ScheduledEvent): string {
  const minute = (time: string) => time.slice(0, 16).replace("T", " ");
  const isSameDay = start_time.slice(0, 10) === end_time.slice(0, 10);
  return `${minute(start_time)} to ${minute(end_time).slice(isSameDay ? 11 : 0)} UTC`;
}

function describeCancellation(booking: Booking): string {
  const { event, invitee } = booking;
  const cancellation = invitee?.cancellation ?? event.cancellation;
  const by = cancellation ? ` by ${cancellation.canceled_by}` : "";
  const reason = cancellation?.reason ? ` (${cancellation.reason})` : "";
  const whose = invitee ? `${invitee.name}, ` : "";
  return `Canceled${by}${reason}: ${whose}${meeting(booking)}.`;
}

function describeNoShow({ invitee: uri }: InviteeNoShow, state: Truth): string {
  for (const { event, invitees } of state.scheduled_events) {
    const invitee = invitees.find((one) => one.uri === uri);
    if (invitee) return `${invitee.name} did not come: ${meeting({ event, invitee })}.`;
  }
  return `${uri} did not come.`;
}

function describeFault({ method, path, effect, ...rule }: ActiveFault): string {
  return [method ?? "any method", path ?? "any path", JSON.stringify(effect), JSON.stringify(rule)]
    .join("  ");
}

function describeRequests({ count, by_route, by_status }: RequestReport): string {
  const rows = [...Object.entries(by_route), ...Object.entries(by_status)];
  return [`${count} requests`, ...rows.map(([what, times]) => `  ${what}  ${times}`)].join("\n");
}

function describeDelivery({ id, event, state, url, attempts }: Delivery): string {
  const latest = attempts.at(-1);
  return [id, event, state, latest?.status ?? latest?.error ?? "not sent", url].join("  ");
}

function lines<T>(rows: T[], describe: (row: T) => string, none: string): string {
  return rows.length === 0 ? none : rows.map(describe).join("\n");
}

/** The fields of an answer that fit into a line each. */
function describeFields(answer: Record<string, unknown>): string {
  const fields = Object.entries(answer)
    .filter(([, value]) => value !== null && typeof value !== "object");
  if (fields.length === 0) return "Done.";
  const width = Math.max(...fields.map(([name]) => name.length));
  return fields.map(([name, value]) => `${name.padEnd(width)}  ${value}`).join("\n");
}
