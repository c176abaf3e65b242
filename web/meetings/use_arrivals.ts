/** Marks what has just happened at Calendly, and says it. */
import { useCallback, useRef, useState } from "preact/hooks";
import { announce, toast } from "../ui/toast.tsx";
import { currentTime, viewerZone } from "../ui/time.tsx";
import { type Arrival, arrivalOf } from "./arrivals.ts";
import { type Meeting } from "./data.ts";
import { dayOf, hoursOf } from "./when.ts";

/** In milliseconds: how long what has arrived stays marked. */
const MARKED = 120_000;

/** More at once than these are told as a number. */
const TOLD = 3;

/** `take` gets the rows as they are now, and the ids of those that the list had before. */
export function useArrivals() {
  const [arrivals, setArrivals] = useState<Map<number, Arrival>>(() => new Map());
  const [lastDelay, setLastDelay] = useState<number>();
  const known = useRef(new Set<number>());
  const take = useCallback((fresh: Meeting[], listed: Set<number>) => {
    const at = currentTime();
    listed.forEach((id) => known.current.add(id));
    const arrived = fresh
      .map((meeting) => ({
        meeting,
        arrival: arrivalOf(meeting, known.current.has(meeting.id), at),
      }))
      .filter((one): one is { meeting: Meeting; arrival: Arrival } => one.arrival !== undefined);
    fresh.forEach(({ id }) => known.current.add(id));
    if (arrived.length === 0) return;
    const delay = arrived.at(-1)!.arrival.delay;
    if (delay !== undefined) setLastDelay(delay);
    setArrivals((before) => {
      const kept = [...before].filter(([, { at: since }]) => at - since < MARKED);
      return new Map([
        ...kept,
        ...arrived.map(({ meeting, arrival }) => [meeting.id, arrival] as const),
      ]);
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
