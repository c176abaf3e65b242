/** The host's bookings, each with what Calendly lets happen to it. */
import { useId, useState } from "preact/hooks";
import type { Overview, OverviewBooking } from "../../sandbox/overview.ts";
import { Button } from "../ui/button.tsx";
import { Icon } from "../ui/icon.tsx";
import type { Act } from "./panel.tsx";
import { namesOf, sortBookings } from "./words.ts";

const when = new Intl.DateTimeFormat("en-GB", {
  weekday: "short",
  day: "2-digit",
  month: "short",
  hour: "2-digit",
  minute: "2-digit",
});

export function Bookings({ overview, act }: { overview: Overview; act: Act }) {
  const [shown, setShown] = useState<"coming" | "past">("coming");
  const [open, setOpen] = useState<string>();
  const sorted = sortBookings(overview);
  const list = sorted[shown];
  return (
    <section aria-labelledby="sandbox-bookings">
      <div class="section-head">
        <h3 id="sandbox-bookings">Bookings</h3>
        <div class="choices" role="group" aria-label="Which bookings">
          {(["coming", "past"] as const).map((one) => (
            <Button
              key={one}
              kind="quiet"
              class="small"
              aria-pressed={shown === one}
              onClick={() => setShown(one)}
            >
              {one === "coming" ? "To come" : "Past"}
            </Button>
          ))}
        </div>
      </div>
      {list.length === 0
        ? <p class="muted">{shown === "coming" ? "None to come." : "None yet."}</p>
        : (
          <ul class="bookings">
            {list.map((booking) => (
              <Booking
                key={booking.uri}
                booking={booking}
                overview={overview}
                isOpen={open === booking.uri}
                toggle={() => setOpen(open === booking.uri ? undefined : booking.uri)}
                act={act}
              />
            ))}
          </ul>
        )}
    </section>
  );
}

function Booking(
  { booking, overview, isOpen, toggle, act }: {
    booking: OverviewBooking;
    overview: Overview;
    isOpen: boolean;
    toggle: () => void;
    act: Act;
  },
) {
  const id = useId();
  return (
    <li>
      <button
        type="button"
        class="booking"
        aria-expanded={isOpen}
        aria-controls={id}
        onClick={toggle}
      >
        <Icon name={isOpen ? "down" : "right"} />
        <span class="what">{namesOf(booking)}</span>
        <span class="muted">{when.format(new Date(booking.start_time))}</span>
        <span class="muted name">{booking.name ?? "without a name"}</span>
      </button>
      {isOpen && (
        <div id={id} class="acts">
          <Acts booking={booking} overview={overview} act={act} />
        </div>
      )}
    </li>
  );
}

function Acts(
  { booking, overview, act }: { booking: OverviewBooking; overview: Overview; act: Act },
) {
  const { uri: event, hosts } = booking;
  const names = namesOf(booking);
  const invitees = booking.invitees.filter(({ status }) => status === "active");
  const others = overview.users.filter(({ uri }) => !hosts.includes(uri));
  const isPast = booking.start_time < overview.now;
  return (
    <>
      {!isPast && invitees.length > 0 && (
        <Button onClick={() => act("reschedule", { event }, () => `${names} has rescheduled`)}>
          Reschedule by a week
        </Button>
      )}
      {!isPast && (
        <Button
          kind="danger"
          onClick={() => act("cancel", { event }, () => `The meeting with ${names} is canceled`)}
        >
          Cancel
        </Button>
      )}
      {isPast && invitees.map(({ uri: invitee, name, no_show }) => (
        <Button
          key={invitee}
          onClick={() =>
            act(
              no_show ? "undo_no_show" : "mark_no_show",
              { invitee },
              () => no_show ? `${name} did come` : `${name} is marked as a no-show`,
            )}
        >
          {no_show ? "Undo no-show" : "Mark as no-show"}
          {invitees.length > 1 && `: ${name}`}
        </Button>
      ))}
      {!isPast && others.length > 0 && (
        <select
          aria-label={`Reassign the meeting with ${names} to`}
          value=""
          onChange={({ currentTarget: { value, selectedOptions } }) => {
            const to = selectedOptions[0].text;
            act("reassign_host", { event, to: value }, () => `${to} is the host now`);
          }}
        >
          <option value="">Reassign to …</option>
          {others.map(({ uri, name }) => <option key={uri} value={uri}>{name}</option>)}
        </select>
      )}
    </>
  );
}
