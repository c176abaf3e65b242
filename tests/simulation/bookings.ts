/** Operations at Calendly: people book, cancel, move, mark, edit and erase. */
import type { Invitee } from "../../sandbox/mod.ts";
import type { Random } from "../../sandbox/random.ts";
import { activeEvents, events, invitee, pick, seats } from "./choice.ts";
import { DAY, hasLeft, HOUR, inSeconds, type Team } from "./team.ts";

export function book(team: Team, draw: Random) {
  const { control } = team.project.sandbox;
  const kind = draw.pick(["solo", "solo", "solo", "group", "collective", "conference"] as const);
  const lead = draw.pick([HOUR, 5 * HOUR, DAY, 3 * DAY, 20 * DAY, 100 * DAY, 300 * DAY, 420 * DAY]);
  control.book({
    start_time: inSeconds(team.project, lead + draw.int(0, 100) * 1800),
    ...kind === "solo"
      ? { user: draw.pick(team.hosts), location: "physical" }
      : { event_type: team[kind] },
    invitee: invitee(draw),
    guests: draw.chance(0.1) ? ["guest@example.org"] : undefined,
  });
}

export function join(team: Team, draw: Random) {
  const event = pick(draw, activeEvents(team), ({ event }) => event.invitees_counter.limit > 1);
  if (!event) return false;
  team.project.sandbox.control.book({
    event: event.event.uri,
    invitee: invitee(draw),
    touch: draw.chance(0.8),
  });
}

export function cancelSeat(team: Team, draw: Random) {
  const seat = pick(draw, seats(team), ({ status }) => status === "active");
  if (!seat) return false;
  team.project.sandbox.control.cancel({
    invitee: seat.uri,
    by: draw.pick(["host", "invitee"]),
    reason: draw.pick([null, "no time"]),
    touch: draw.chance(0.8),
    event_lags: draw.chance(0.2),
  });
}

export function cancelEvent(team: Team, draw: Random) {
  const event = pick(draw, activeEvents(team));
  if (!event) return false;
  team.project.sandbox.control.cancel({ event: event.event.uri });
}

export function reschedule(team: Team, draw: Random) {
  const seat = pick(draw, seats(team), ({ status }) => status === "active");
  if (!seat) return false;
  team.project.sandbox.control.reschedule({
    invitee: seat.uri,
    by: draw.pick(["host", "invitee"]),
    start_time: inSeconds(team.project, draw.int(2, 40) * DAY + draw.int(0, 48) * 1800),
    user: draw.chance(0.2) ? draw.pick(team.hosts) : undefined,
  });
}

export function markNoShow(team: Team, draw: Random) {
  // Of active seats only: no sync looks for no-shows of canceled ones.
  const present = ({ no_show, status }: Invitee) => no_show === null && status === "active";
  const seat = pick(draw, seats(team, { begun: true }), present);
  if (!seat) return false;
  team.project.sandbox.control.mark_no_show({ invitee: seat.uri });
  team.noShows.set(seat.uri, team.project.now);
}

export function undoNoShow(team: Team, draw: Random) {
  const seat = pick(draw, seats(team), ({ no_show }) => no_show !== null);
  if (!seat) return false;
  // Closer than a second to its mark nobody could tell which was last.
  team.project.sandbox.control.advance({ by: 1.1 });
  team.project.sandbox.control.undo_no_show({ invitee: seat.uri });
  team.noShows.set(seat.uri, team.project.now);
}

export function reassign(team: Team, draw: Random) {
  const event = pick(draw, activeEvents(team), ({ event }) => event.event_memberships.length === 1);
  if (!event) return false;
  const to = pick(draw, team.hosts, (host) => host !== event.event.event_memberships[0].user);
  team.project.sandbox.control.reassign_host({
    event: event.event.uri,
    to: to!,
    touch: draw.chance(0.7),
  });
}

export function edit(team: Team, draw: Random) {
  const event = pick(draw, activeEvents(team));
  if (!event) return false;
  team.project.sandbox.control.edit({
    event: event.event.uri,
    ...draw.chance(0.5)
      ? { set: { name: `Renamed ${draw.int(1, 99)}` } }
      : { guests: [`guest.${draw.int(1, 99)}@example.org`] },
    touch: draw.chance(0.7),
  });
}

export function eraseEvent(team: Team, draw: Random) {
  const event = pick(draw, events(team));
  if (!event) return false;
  team.project.sandbox.control.erase_event({ event: event.event.uri });
}

export function eraseInvitee(team: Team, draw: Random) {
  const seat = pick(draw, seats(team));
  if (!seat) return false;
  team.project.sandbox.control.erase_invitee({ invitee: seat.uri });
  team.erased.add(seat.event);
}

/** Somebody whom only the organization can bring leaves it, or comes back. */
export function leave(team: Team, draw: Random) {
  if (team.scope === "user") return false;
  const { control } = team.project.sandbox;
  const members = team.people.slice(1).filter(({ connection }) => !connection);
  if (members.length === 0) return false;
  const person = draw.pick(members);
  const user = person.host.uri;
  if (hasLeft(team, person)) control.join({ user, organization: team.organization });
  else control.leave({ user });
}
