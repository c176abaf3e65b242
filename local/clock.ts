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
 *
 * A sandbox that begins behind Postgres is moved forward first: its state was lost or deleted, and what a
 * sync has written at a later time would count as newer than anything that Calendly says now. For the same
 * reason it can no longer be set back.
 */
export async function followClock(
  database: Database,
  clock: Pick<Clock, "advance" | "ahead" | "onMove" | "keepForward"> | undefined,
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
  if (known && clock) {
    const behind = await secondsAhead(database) - Number(clock.ahead) / 1e6;
    if (behind >= 1) clock.advance(behind);
  }
  if (known) await set();
  clock?.keepForward(
    "In a local project the clock goes forward only: what is stored would be newer than the time.",
  );
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

/** Of Postgres's clock, before real time; 0 where it is real time or stands still. */
async function secondsAhead(database: Database): Promise<number> {
  const [row] = await database.query<{ seconds: number }>(
    "select extract(epoch from ahead)::float as seconds from calendly.clock where ahead is not null",
  );
  return row?.seconds ?? 0;
}
