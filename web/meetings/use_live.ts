/** Keeps the page as the database is: by broadcasts, and by asking every few seconds where there are none. */
import { useEffect, useRef, useState } from "preact/hooks";
import { config } from "../data/config.ts";
import { type Changed, listen } from "../data/live.ts";
import { currentTime } from "../ui/clock.ts";
import { fetchChangedSince, fetchLatestChange, isRecent, type Seen } from "./data.ts";
import type { Live } from "./words.ts";

/** In milliseconds: how often the page asks where no broadcast arrives. */
export const POLL = 5000;

/** Broadcasts that come together are answered together. */
const TOGETHER = 40;

/** Calls `onChange` with the meetings that have changed (null: read all again) and the runs. */
export function useLive(authUserId: string, onChange: (changed: Changed) => void): Live {
  const [live, setLive] = useState<Live>(config.value?.realtime ? "connecting" : "polling");
  const latest = useRef(onChange);
  latest.current = onChange;

  useEffect(() => {
    let closed = false;
    /** All until then is on the page; undefined: not known yet. */
    let seen: Seen | undefined;
    let arrives = false;
    let asking = false;
    let waiting: Changed | undefined;

    /** Asks what has been written since, and tells it. */
    const ask = async (always = false) => {
      if (asking || closed || !always && document.visibilityState !== "visible") return;
      asking = true;
      try {
        if (seen === undefined) {
          const last = await fetchLatestChange();
          seen = { latest: last, told: new Set() };
          // What was written in these moments may be missing from the list that is loaded beside this.
          if (!closed && isRecent(last, currentTime())) {
            latest.current({ meeting_ids: null, run_ids: [] });
          }
        } else {
          const { ids, seen: now } = await fetchChangedSince(seen, currentTime());
          seen = now;
          if (!closed) latest.current({ meeting_ids: ids, run_ids: [] });
        }
      } catch {
        // Not reachable: the next time will tell. What else the page reads says so.
      } finally {
        asking = false;
      }
    };

    const tell = () => {
      const changed = waiting;
      waiting = undefined;
      if (changed && !closed) latest.current(changed);
    };
    const collect = ({ meeting_ids, run_ids }: Changed) => {
      if (!waiting) setTimeout(tell, TOGETHER);
      waiting = {
        meeting_ids: waiting === undefined
          ? meeting_ids
          : waiting.meeting_ids && meeting_ids && [...waiting.meeting_ids, ...meeting_ids],
        run_ids: [...waiting?.run_ids ?? [], ...run_ids],
      };
    };

    ask(true);
    const stop = config.value?.realtime
      ? listen(authUserId, {
        onChange: collect,
        onState: (now) => {
          if (closed) return;
          arrives = now;
          setLive(now ? "live" : "polling");
          // What came between the last answer and the first broadcast.
          if (now) ask(true);
        },
      })
      : () => {};
    const timer = setInterval(() => arrives || ask(), POLL);
    const visible = () => ask();
    document.addEventListener("visibilitychange", visible);
    addEventListener("online", visible);
    return () => {
      closed = true;
      stop();
      clearInterval(timer);
      document.removeEventListener("visibilitychange", visible);
      removeEventListener("online", visible);
    };
  }, [authUserId, config.value?.realtime]);

  return live;
}
