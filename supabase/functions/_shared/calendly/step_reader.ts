/**
 * Reads at Calendly what the steps of a run ask for. While Postgres applies a step, what it has named as
 * coming next is read ahead: the next step takes of it what it asks for, and the rest is dropped.
 */
import pMap from "p-map";
import { Ahead } from "./ahead.ts";
import { type Calendly, RequestRefused, RequestsUsedUp, TemporaryFailure } from "./api.ts";
import { functionsOutdated, type Step } from "./contract.ts";
import { Paging } from "./paging.ts";

/** What a step brought. `failure` ends the run, once what was brought has been applied. */
export interface StepOutcome {
  result: Record<string, unknown> & { requests: number };
  failure?: unknown;
}

/** What was read, and why reading stopped, if it did. */
interface Fetched {
  result: { page?: Page; events?: Reading[]; invitees?: Reading[] };
  temporary?: ReturnType<typeof interruption>;
  failure?: unknown;
}

/** A page of the listing, in the form of calendly.apply_listed_page. */
interface Page {
  collection: unknown[];
  next_page_token: string | null;
}

type FetchStep = Pick<
  Extract<Step, { do: "fetch_events" | "fetch_invitees" }>,
  "event_uris" | "concurrency"
>;

/** An event or its invitees, in the form of apply_fetched_events or apply_fetched_invitees. */
type Reading = Record<string, unknown>;

/** A reading, and what ended it early. */
interface Read {
  reading: Reading;
  failure?: TemporaryFailure;
}

export class StepReader {
  readonly #calendly: Calendly;
  /** The listings that were begun, by their query without a page token. */
  readonly #listings = new Map<string, Paging>();
  #pageAhead?: Ahead<Page>;
  #inviteesAhead?: Ahead<Read>;
  /** The requests that Postgres knows of, once it knows of any. */
  #told?: number;

  constructor(calendly: Calendly) {
    this.#calendly = calendly;
  }

  /** Reads what a step asks for, and begins to read what comes next. */
  async read(step: Step): Promise<StepOutcome> {
    // What was read ahead has been made of the same requests.
    const told = this.#told ?? this.#calendly.requests;
    const lastRequest = told + (step.requests_left ?? Infinity);
    this.#calendly.allow(lastRequest);
    const { result, temporary, failure } = await this.#fetch(step);
    // What was read ahead and not asked for has its requests counted with this step.
    await this.end();
    const usage = this.#calendly.takeUsage();
    this.#told = this.#calendly.requests;
    if (!temporary && !failure) {
      const remaining = usage.rate?.remaining ?? Infinity;
      this.#calendly.allow(Math.min(lastRequest, this.#calendly.requests + remaining));
      this.#readAhead(step, result.page, remaining);
    }
    return {
      // A run that fails is not paused first.
      result: {
        ...result,
        ...(temporary && !failure ? { interruption: temporary } : {}),
        ...usage,
      },
      failure,
    };
  }

  /** Ends what is read ahead: aborts what is not answered yet, and waits until all of it has ended. */
  async end(): Promise<void> {
    await Promise.all([this.#pageAhead?.end(), this.#inviteesAhead?.end()]);
    this.#pageAhead = this.#inviteesAhead = undefined;
  }

  /**
   * Postgres offered this by what was left of the rate limit before the step. Calendly's answers since
   * then may leave less, because other apps use it as well: no more than `remaining` is begun, nor
   * further pages of it.
   */
  #readAhead(step: Step, page: Page | undefined, remaining: number): void {
    if (step.do === "list_events" && step.ahead && page?.next_page_token) {
      const query = { ...step.query, page_token: page.next_page_token };
      this.#pageAhead = new Ahead(
        [keyOf(query)].slice(0, remaining),
        1,
        (_, signal) => this.#listEvents(query, signal),
      );
    }
    if (step.do === "fetch_invitees") {
      this.#inviteesAhead = new Ahead(
        step.ahead.event_uris.slice(0, remaining),
        step.concurrency,
        (eventUri, signal) => this.#readInviteesAhead(eventUri, signal),
      );
    }
  }

  async #fetch(step: Step): Promise<Fetched> {
    switch (step.do) {
      case "list_events": {
        try {
          const ahead = this.#pageAhead?.take(keyOf(step.query));
          const page = await (ahead ?? this.#listEvents(step.query));
          this.#checkProgress(step.query, page);
          return { result: { page } };
        } catch (error) {
          if (!(error instanceof TemporaryFailure)) throw error;
          return { result: {}, temporary: interruption(error) };
        }
      }
      case "fetch_events": {
        const { readings, ...stopped } = await this.#readEach(
          step,
          (eventUri) => this.#readEvent(eventUri),
        );
        return { result: { events: readings }, ...stopped };
      }
      case "fetch_invitees": {
        const { readings, ...stopped } = await this.#readEach(
          step,
          (eventUri) => this.#readInvitees(eventUri),
          this.#inviteesAhead,
        );
        return { result: { invitees: readings }, ...stopped };
      }
      default:
        step satisfies never;
        throw functionsOutdated("next.do");
    }
  }

  async #listEvents(query: Record<string, string>, signal?: AbortSignal): Promise<Page> {
    const { collection, next } = await this.#calendly.listEvents(query, signal);
    return { collection, next_page_token: next };
  }

  /**
   * A listing that shows the same page again and again is begun anew, from the last start time that it
   * has shown, as after a page token that has expired. If that shows the same again, the run is paused.
   */
  #checkProgress({ page_token, ...query }: Record<string, string>, page: Page): void {
    const key = keyOf(query);
    const isAskedAgain = page_token === undefined && this.#listings.has(key);
    const paging = this.#listings.get(key) ?? new Paging();
    this.#listings.set(key, paging);
    const advances = paging.advances(page.collection, page.next_page_token);
    if (page.next_page_token === null || (advances && !isAskedAgain)) return;
    throw new TemporaryFailure(
      "page_token_expired",
      "Calendly shows the same page of the listing again and again.",
    );
  }

  /**
   * Reads each event until Calendly fails or refuses, or the requests are used up because an event has more
   * pages than it counts. What has been read by then is not lost, and Postgres asks for the rest again.
   */
  async #readEach(
    { event_uris, concurrency }: FetchStep,
    read: (eventUri: string) => Promise<Read>,
    ahead?: Ahead<Read>,
  ): Promise<{ readings: Reading[] } & Omit<Fetched, "result">> {
    const readings: Reading[] = [];
    const stopped: Omit<Fetched, "result"> = {};
    await pMap(event_uris, async (eventUri) => {
      const isStopped = stopped.temporary !== undefined || stopped.failure !== undefined ||
        !this.#calendly.isAllowed;
      const begun = ahead?.take(eventUri) ?? (isStopped ? undefined : read(eventUri));
      if (!begun) return;
      try {
        const { reading, failure } = await begun;
        readings.push(reading);
        if (failure) stopped.temporary ??= interruption(failure, eventUri);
      } catch (error) {
        if (error instanceof RequestsUsedUp) return;
        if (error instanceof TemporaryFailure) stopped.temporary ??= interruption(error, eventUri);
        else stopped.failure ??= error;
      }
    }, { concurrency });
    return { readings, ...stopped };
  }

  async #readEvent(eventUri: string): Promise<Read> {
    try {
      const event = await this.#calendly.readEvent(eventUri);
      return { reading: { event_uri: eventUri, status: 200, event } };
    } catch (error) {
      if (!(error instanceof RequestRefused)) throw error;
      return { reading: { event_uri: eventUri, status: error.status, problem: error.message } };
    }
  }

  async #readInvitees(eventUri: string, signal?: AbortSignal): Promise<Read> {
    try {
      const { invitees, observedAt, problem, failure } = await this.#calendly.readInvitees(
        eventUri,
        signal,
      );
      return {
        reading: { event_uri: eventUri, invitees, observed_at: observedAt, problem },
        failure,
      };
    } catch (error) {
      if (!(error instanceof RequestRefused)) throw error;
      const problem = `the invitees cannot be read: ${error.message}`;
      return { reading: { event_uri: eventUri, problem } };
    }
  }

  /** The same, but for a failure: it may be over when Postgres asks for this event. */
  async #readInviteesAhead(eventUri: string, signal: AbortSignal): Promise<Read> {
    const read = await this.#readInvitees(eventUri, signal);
    if (read.failure) throw read.failure;
    return read;
  }
}

/** A temporary failure in the form of calendly.interrupt. */
function interruption({ code, message, retryAfter }: TemporaryFailure, eventUri?: string) {
  return { code, message, retry_after: retryAfter, event_uri: eventUri };
}

/** The same for the same query, in whatever order its parameters come. */
function keyOf(query: Record<string, string>): string {
  const parameters = new URLSearchParams(query);
  parameters.sort();
  return parameters.toString();
}
