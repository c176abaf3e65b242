/** What an operation is about: drawn among what there is at that moment. */
import type { Invitee, ScheduledEvent } from "../../sandbox/mod.ts";
import type { Random } from "../../sandbox/random.ts";
import type { Team } from "./team.ts";

export interface Booking {
  event: ScheduledEvent;
  invitees: Invitee[];
  /** In which it was booked: the one whose listing shows it. */
  organization: string;
}

export function events({ project }: Team): Booking[] {
  return project.sandbox.truth().scheduled_events;
}

export function activeEvents(team: Team): Booking[] {
  return events(team).filter(({ event }) => event.status === "active");
}

export function seats(team: Team, { begun = false } = {}): Invitee[] {
  const now = begun ? team.project.sandbox.truth().now : "9";
  return events(team).filter(({ event }) => event.start_time < now)
    .flatMap(({ invitees }) => invitees);
}

/** The last ones are chosen most, so that several operations are about the same one. */
export function pick<T>(
  draw: Random,
  all: T[],
  fits: (one: T) => boolean = () => true,
): T | undefined {
  const fitting = all.filter(fits);
  if (fitting.length === 0) return undefined;
  return fitting[Math.floor(Math.sqrt(draw.next()) * fitting.length)];
}

export function invitee(draw: Random) {
  const name = draw.pick(["Ines", "Jon", "Kim", "Lea", "Max"]);
  return {
    name,
    email: `${name.toLowerCase()}@example.org`,
    questions_and_answers: draw.chance(0.3)
      ? [{ question: "What about?", answer: `No. ${draw.int(1, 99)}`, position: 0 }]
      : [],
  };
}
