/** Marks what has just happened at Calendly, and says it. */
import { useCallback, useState } from "preact/hooks";
import { announce, toast } from "../ui/toast.tsx";
import { currentTime, viewerZone } from "../ui/time.tsx";
import { type Arrival, Shown } from "./arrivals.ts";
import type { Meeting } from "./data.ts";
import { dayOf, hoursOf } from "./when.ts";

/** In milliseconds: how long what has arrived stays marked. */
const MARKED = 120_000;

/** More at once than these are told as a number. */
const TOLD = 3;

/** `take` gets the rows as they are now, and what the list had of them before. */
export function useArrivals() {
  const [arrivals, setArrivals] = useState<Map<number, Arrival>>(() => new Map());
  const [lastDelay, setLastDelay] = useState<number>();
  const [shown] = useState(() => new Shown(currentTime()));
  const take = useCallback((fresh: Meeting[], listed: Meeting[]) => {
    const at = currentTime();
    const ids = new Set(fresh.map(({ id }) => id));
    shown.list(listed.filter(({ id }) => ids.has(id)));
    const arrived = fresh.flatMap((meeting) => {
      const arrival = shown.arrivalOf(meeting, at);
      return arrival ? [{ meeting, arrival }] : [];
    });
    if (arrived.length === 0) return;
    const delay = arrived.at(-1)!.arrival.delay;
    if (delay !== undefined) setLastDelay(delay);
    setArrivals((before) => {
      const marked = new Map([...before].filter(([, { at: since }]) => at - since < MARKED));
      for (const { meeting: { id }, arrival } of arrived) {
        // A new meeting stays one, whatever else is added to it in its first minutes.
        if (arrival.kind !== "changed" || marked.get(id)?.kind !== "booked") {
          marked.set(id, arrival);
        }
      }
      return marked;
    });
    if (arrived.length > TOLD) announce(`${arrived.length} meetings have changed`);
    else arrived.forEach(({ meeting, arrival }) => say(meeting, arrival));
  }, []);
  return { arrivals, lastDelay, take };
}

const SAID: Record<Arrival["kind"], string> = {
  booked: "New",
  canceled: "Canceled",
  changed: "Changed",
};

function say(meeting: Meeting, { kind }: Arrival): void {
  const who = meeting.calendly_invitees[0];
  const when = meeting.start_time === null
    ? ""
    : `, ${dayOf(meeting.start_time, viewerZone, currentTime())} ${
      hoursOf(meeting.start_time, null, viewerZone)
    }`;
  const text = `${SAID[kind]}: ${meeting.name ?? "a meeting"}${
    who ? ` with ${who.name ?? who.email}` : ""
  }${when}`;
  if (kind === "canceled") toast(text, "warn");
  else if (kind === "booked") toast(text);
  else announce(text);
}
