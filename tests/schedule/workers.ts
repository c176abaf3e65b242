/**
 * Workers without the function: each is a connection to a real Postgres that claims what is due and takes
 * the steps that Postgres asks for, so that many can race.
 */
import postgres from "postgres";
import { openPostgres } from "../../local/database.ts";
import { FIXTURES } from "../database/fixtures/fixtures.ts";
import { createDatabase } from "../harness/databases.ts";

const PROJECT = "https://project.example.com";

/** A step that a sync asks for, or its end. */
export interface Next {
  do: "list_events" | "fetch_events" | "fetch_invitees" | "finish" | "stop";
  step: number;
}

export interface Started {
  status: "started";
  run_id: string;
  lease: string;
  user_id: number;
  next: Next;
}

/** What a worker gets where nothing is due. */
export const IDLE = { status: "idle", revocations_due: false } as const;

export type Claim = typeof IDLE | Started;

/** The result of a step as an expression of SQL. */
function emptyPage(sql: postgres.Sql, _step: Next): postgres.Fragment {
  return sql`'{"requests": 1, "page": {"collection": [], "next_page_token": null}}'::jsonb`;
}

/** A database with so many connected people, p1 to pN, of whom nobody is due yet, and workers for it. */
export class Workers implements AsyncDisposable {
  private constructor(
    readonly sql: postgres.Sql,
    readonly url: string,
    private readonly drop: () => Promise<void>,
  ) {}

  static async start(
    { people, connections = 20 }: { people: number; connections?: number },
  ): Promise<Workers> {
    const { url, drop } = await createDatabase({ seed: false });
    try {
      const database = await openPostgres(url);
      try {
        await database.script(FIXTURES);
      } finally {
        await database.close();
      }
      const sql = postgres(url, {
        max: connections,
        onnotice: () => {},
        // A statement that waits for a lock for ever must fail.
        connection: { lock_timeout: 20_000 },
      });
      await sql`select tests.add_person('p' || n) from generate_series(1, ${people}) n`;
      await sql`update public.calendly_users set calendly_initial_sync_complete = true`;
      return new Workers(sql, url, drop);
    } catch (error) {
      await drop();
      throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.sql.end();
    await this.drop();
  }

  /** Makes everybody due, p1 first. The clock is read once: it moves on from row to row. */
  async makeAllDue(): Promise<void> {
    await this.sql`with clock as materialized (select calendly.now() as now_at)
      update public.calendly_connections
      set next_sync_at = clock.now_at - interval '1 hour' + user_id * interval '1 millisecond'
      from clock`;
  }

  async claim(sql: postgres.ISql = this.sql): Promise<Claim> {
    const [{ claim }] = await sql`select public.calendly_claim_sync(${
      this.sql.json({ project_url: PROJECT, spent_seconds: 0, spent_requests: 0 })
    }) as claim`;
    return claim;
  }

  /** A person's click. */
  async click(userId: number): Promise<Claim | { status: "in_progress"; run_id: string }> {
    const [{ claim }] = await this.sql`select public.calendly_begin_sync(${
      this.sql.json({ user_id: userId, trigger: "manual" })
    }) as claim`;
    return claim;
  }

  /** Takes all steps of a claimed sync; by default of an empty calendar. */
  async runSync({ run_id, lease, next }: Started, bring = emptyPage): Promise<void> {
    const { sql } = this;
    while (next.do !== "stop") {
      const [row] = next.do === "finish"
        ? await sql`select public.calendly_finish_sync(${run_id}, ${lease}) as next`
        : await sql`select public.calendly_apply_step(
            ${run_id}, ${lease}, ${next.step}, ${bring(sql, next)}) as next`;
      next = row.next;
    }
  }
}
