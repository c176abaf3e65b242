/** The meetings to come. A change in Calendly shows by itself. */
import { type RealtimeChannel } from "@supabase/supabase-js";
import { useEffect, useState } from "react";
import { type Meeting, supabase } from "./supabase.ts";

export function Meetings({ userId }: { userId: string }) {
  const { meetings, problem } = useMeetings(userId);

  if (problem) return <p className="problem" role="alert">{problem}</p>;
  if (!meetings) return null;
  if (meetings.length === 0) return <p>No meetings to come.</p>;
  return (
    <ul className="meetings" aria-label="Meetings to come">
      {meetings.map((meeting) => (
        <li key={meeting.id} className={isNew(meeting) ? "new" : ""}>
          <time dateTime={meeting.start_time}>{timesOf(meeting)}</time>
          <strong>{meeting.name} {isNew(meeting) && <em>New</em>}</strong>
          <span>{inviteesOf(meeting)}</span>
          {meeting.join_url && <a href={meeting.join_url}>Join</a>}
        </li>
      ))}
    </ul>
  );
}

/** Reads the meetings, and again after each change: a broadcast names rows and says nothing of them. */
function useMeetings(userId: string) {
  const [meetings, setMeetings] = useState<Meeting[]>();
  const [problem, setProblem] = useState("");

  useEffect(() => {
    let stopped = false;
    let questions = 0;
    let channel: RealtimeChannel | undefined;

    async function read() {
      const question = ++questions;
      const { data, error } = await supabase.from("calendly_meetings")
        .select(
          "id, name, start_time, end_time, join_url, calendly_created_at, " +
            "calendly_invitees(name, email, status)",
        )
        .eq("is_deleted", false).gte("end_time", new Date().toISOString())
        .order("start_time").order("id").range(0, 99)
        .overrideTypes<Meeting[], { merge: false }>();
      // An answer that is late does not replace a newer one.
      if (stopped || question !== questions) return;
      setProblem(error?.message ?? "");
      if (data) setMeetings(data);
    }

    async function listen() {
      await supabase.realtime.setAuth();
      if (stopped) return;
      channel = supabase.channel(`calendly:${userId}`, { config: { private: true } })
        .on("broadcast", { event: "changed" }, read)
        // Also when the connection was lost and is back: meanwhile something may have changed.
        .subscribe((status) => status === "SUBSCRIBED" && read());
    }

    read();
    listen();
    return () => {
      stopped = true;
      if (channel) supabase.removeChannel(channel);
    };
  }, [userId]);

  return { meetings, problem };
}

const day = new Intl.DateTimeFormat(undefined, {
  weekday: "short",
  day: "numeric",
  month: "short",
});
const clock = new Intl.DateTimeFormat(undefined, {
  hour: "2-digit",
  minute: "2-digit",
});

function timesOf({ start_time, end_time }: Meeting): string {
  const [start, end] = [new Date(start_time), new Date(end_time)];
  return `${day.format(start)}, ${clock.formatRange(start, end)}`;
}

/** Booked within the last minute. */
function isNew({ calendly_created_at }: Meeting): boolean {
  return Date.now() - Date.parse(calendly_created_at) < 60_000;
}

function inviteesOf({ calendly_invitees }: Meeting): string {
  return calendly_invitees
    .filter(({ status }) => status === "active")
    .map(({ name, email }) => name ?? email)
    .join(", ");
}
