/**
 * The embedded Postgres (PGlite): one session that the Data API, Auth, cron and every wire client
 * must share. Each of them holds the session for as long as its transaction lasts, so that no statement
 * runs in the transaction or role of another client.
 */
import { Mutex, type PGlite } from "@electric-sql/pglite";
import { type PgliteConnection } from "@supabase/lite/pglite";
import {
  type CompiledQuery,
  type DatabaseConnection,
  type Dialect,
  type Driver,
  Kysely,
  PostgresAdapter,
  PostgresIntrospector,
  PostgresQueryCompiler,
} from "kysely";

/** The one session, used by one client at a time. */
export class Session {
  readonly #mutex = new Mutex();
  readonly #listeners = new Map<string, Set<(payload: string) => void>>();

  constructor(readonly pglite: PGlite) {
    pglite.onNotification((channel, payload) => {
      for (const notified of this.#listeners.get(channel) ?? []) notified(payload);
    });
  }

  /** Waits for the session; the function that it returns releases it. */
  async acquire(): Promise<() => void> {
    const release = await this.#mutex.acquire();
    const { exitCode } = Deno;
    return () => {
      Deno.exitCode = exitCode; // PGlite is a compiled program, which sets it at each error.
      release();
    };
  }

  /** Runs `work` while nobody else uses the session. */
  async use<T>(work: (pglite: PGlite) => Promise<T>): Promise<T> {
    const release = await this.acquire();
    try {
      return await work(this.pglite);
    } finally {
      release();
    }
  }

  /** Calls `notified` for each NOTIFY on the channel, until the function that it returns is called. */
  async listen(channel: string, notified: (payload: string) => void): Promise<() => Promise<void>> {
    const listeners = this.#listeners.get(channel) ?? new Set();
    this.#listeners.set(channel, listeners.add(notified));
    await this.use((pglite) => pglite.exec(`listen "${channel}"`));
    return async () => {
      listeners.delete(notified);
      if (listeners.size > 0) return;
      this.#listeners.delete(channel);
      await this.use((pglite) => pglite.exec(`unlisten "${channel}"`));
    };
  }

  /** For whoever has the session: a client on the wire may have ended all listening, with `discard all`. */
  async listenAgain(): Promise<void> {
    if (this.#listeners.size === 0) return;
    await this.pglite.exec([...this.#listeners.keys()].map((name) => `listen "${name}"`).join(";"));
  }
}

/** Makes the Data API wait for the session: its own driver would interleave concurrent requests. */
export function shareSession(connection: PgliteConnection, session: Session): void {
  connection.kysely = new Kysely({ dialect: new SessionDialect(session) });
}

/**
 * PGlite is a compiled program and sets the process's exit code when it starts, at each error and when it
 * ends. This keeps the exit code as it is, and returns the PGlite when it is ready.
 */
export async function isolateExitCode(pglite: PGlite): Promise<PGlite> {
  const execute = pglite.execProtocolRawSync.bind(pglite);
  pglite.execProtocolRawSync = (message) => {
    const { exitCode } = Deno;
    try {
      return execute(message);
    } finally {
      Deno.exitCode = exitCode;
    }
  };
  const close = pglite.close.bind(pglite);
  pglite.close = () => keepExitCode(close());
  await keepExitCode(pglite.waitReady);
  return pglite;
}

async function keepExitCode(work: Promise<void>): Promise<void> {
  const { exitCode } = Deno;
  try {
    await work;
  } finally {
    Deno.exitCode = exitCode;
  }
}

class SessionDialect implements Dialect {
  constructor(readonly session: Session) {}
  createAdapter = () => new PostgresAdapter();
  createDriver = () => new SessionDriver(this.session);
  createIntrospector = (db: Kysely<unknown>) => new PostgresIntrospector(db);
  createQueryCompiler = () => new PostgresQueryCompiler();
}

class SessionDriver implements Driver {
  readonly #session: Session;
  constructor(session: Session) {
    this.#session = session;
  }
  async init() {}
  async destroy() {}
  async acquireConnection() {
    return new SessionConnection(this.#session.pglite, await this.#session.acquire());
  }
  releaseConnection(connection: DatabaseConnection) {
    (connection as SessionConnection).release();
    return Promise.resolve();
  }
  async beginTransaction(connection: DatabaseConnection) {
    await (connection as SessionConnection).pglite.exec("begin");
  }
  async commitTransaction(connection: DatabaseConnection) {
    await (connection as SessionConnection).pglite.exec("commit");
  }
  async rollbackTransaction(connection: DatabaseConnection) {
    await (connection as SessionConnection).pglite.exec("rollback");
  }
}

class SessionConnection implements DatabaseConnection {
  constructor(readonly pglite: PGlite, readonly release: () => void) {}
  async executeQuery<R>(query: CompiledQuery) {
    const { rows, affectedRows } = await this.pglite.query<R>(query.sql, [...query.parameters]);
    return {
      rows,
      numAffectedRows: affectedRows === undefined ? undefined : BigInt(affectedRows),
    };
  }
  // deno-lint-ignore require-yield
  async *streamQuery(): AsyncIterableIterator<never> {
    throw new Error("The embedded Postgres does not stream.");
  }
}
