/** Postgres's clock follows the sandbox's: time that is let pass at Calendly passes in the project, too. */
import type { Clock } from "../sandbox/clock.ts";
import { type Database } from "./database.ts";

export interface FollowedClock {
  /** Resolves when Postgres has the sandbox's time. */
  followed(): Promise<void>;
  stop(): void;
}

/**
 * Sets Postgres's clock as far ahead of real time as the sandbox's, now and whenever that is moved;
 * `passed` is called after time has been let pass. Without a sandbox it is real time.
 */
export async function followClock(
  database: Database,
  clock: Pick<Clock, "ahead" | "onMove"> | undefined,
  { passed = () => {}, log = (_line: string) => {} } = {},
): Promise<FollowedClock> {
  let stopped = false;
  let following = Promise.resolve();
  const [{ known }] = await database.query(
    "select to_regprocedure('calendly.set_clock(timestamptz, interval)') is not null as known",
  );
  const set = async () => {
    const seconds = Number(clock?.ahead ?? 0n) / 1e6;
    // Less is what it takes to read two clocks.
    const ahead = Math.abs(seconds) < 1 ? null : `${seconds} seconds`;
    await database.query("select calendly.set_clock(null, $1::text::interval)", [ahead]);
  };
  if (known) await set();
  clock?.onMove(() => {
    if (stopped || !known) return;
    following = following.then(set).then(passed)
      .catch((error) => log(`The clock of Postgres was not set: ${error.message}`));
  });
  return {
    followed: () => following,
    stop: () => void (stopped = true),
  };
}
