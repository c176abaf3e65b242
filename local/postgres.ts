/**
 * Connections to a real Postgres. Whoever waits for one, or for an answer on one, gets it or an error, also
 * when Postgres crashes; after that, the next query has a new connection, and a listener listens again.
 * `postgres`, the driver of @supabase/lite, leaves callers waiting for ever then, so this is `pg`.
 */
import { Socket } from "node:net";
import { createPostgresConnection, type PostgresConnection } from "@supabase/lite/postgres";
import { Kysely, PostgresDialect } from "kysely";
// @ts-types="@types/pg"
import pg from "pg";
import { parse as parseArray } from "postgres-array";

/** How often a listener tries to connect again, in milliseconds. */
const RECONNECT_AFTER = 250;

/** How long `close` waits for answers, in milliseconds. */
const CLOSE_AFTER = 5000;

type Parser = (text: string) => unknown;

const asText: Parser = (text) => text;

/** json and jsonb, by their numbers in Postgres. */
const JSON_TYPES = [114, 3802];

/** By Postgres's number of the type, where JSON has something else than the text. */
const PARSERS: Record<number, Parser> = {
  16: (text) => text === "t", // boolean
  20: parseBigint,
  21: Number, // smallint
  23: Number, // integer
  26: Number, // oid
  114: JSON.parse, // json
  700: parseFloating, // real
  701: parseFloating, // double precision
  1114: isoTime, // timestamp
  1184: isoTime, // timestamptz
  1700: parseNumeric,
  3802: JSON.parse, // jsonb
};

/** "2026-11-26 11:15:00+00" as Postgres has it in JSON: 2026-11-26T11:15:00+00:00. */
export function isoTime(text: string): string {
  return text.replace(" ", "T").replace(/([+-]\d\d)(?=$| BC$)/, "$1:00");
}

/** JSON has no NaN and no Infinity: they stay text. */
export function parseFloating(text: string): number | string {
  return Number.isFinite(Number(text)) ? Number(text) : text;
}

function parseBigint(text: string): number | bigint {
  const number = Number(text);
  return Number.isSafeInteger(number) ? number : BigInt(text);
}

/** A number where that says the same, such as 1.5, otherwise the text, such as "1.50". */
function parseNumeric(text: string): number | string {
  const number = Number(text);
  return Number.isFinite(number) && String(number) === text ? number : text;
}

/** Opens a pool of connections, and no connection yet: an error is that of the first query. */
export class Connections {
  readonly pool: pg.Pool;
  readonly #config: pg.PoolConfig;
  readonly #sockets = new Set<Socket>();
  /** Array types, with the types of their elements. */
  readonly #arrays = new Map<number, number>();
  #isClosed = false;

  constructor(url: string) {
    this.#config = {
      connectionString: url,
      options: "-c TimeZone=UTC",
      keepAlive: true,
      stream: () => this.#open(),
      // deno-lint-ignore no-explicit-any -- the type has all overloads of a function that sets parsers
      types: { getTypeParser: (type: number) => this.#parser(type) } as any,
    };
    this.pool = new pg.Pool(this.#config);
    this.pool.on("error", () => {}); // Of an idle connection: the pool has dropped it.
    this.pool.on("connect", (client) => {
      client.on("error", () => {}); // Its next query fails.
      // Postgres ends the connection after such an error: nobody else gets it from the pool.
      // deno-lint-ignore no-explicit-any -- the type does not have what the client is made of
      (client as any).connection.on("errorMessage", ({ severity }: { severity?: string }) => {
        if (severity === "FATAL") (client as unknown as pg.Client).end();
      });
    });
  }

  /** Learns what array types there are now. Fails where there is no Postgres. */
  async learnArrays(): Promise<void> {
    const { rows } = await this.pool.query(
      "select typarray, oid from pg_catalog.pg_type where typarray <> 0",
    );
    for (const { typarray, oid } of rows) this.#arrays.set(typarray, oid);
  }

  /** Runs `work` with a connection of its own, which nobody uses after an error of the connection. */
  async use<T>(work: (client: pg.PoolClient) => Promise<T>): Promise<T> {
    const client = await this.pool.connect();
    try {
      return await work(client);
    } finally {
      client.release();
    }
  }

  /** Runs `work` in a transaction. */
  transaction<T>(work: (client: pg.PoolClient) => Promise<T>): Promise<T> {
    return this.use(async (client) => {
      await client.query("begin");
      try {
        const result = await work(client);
        await client.query("commit");
        return result;
      } catch (error) {
        await client.query("rollback").catch(() => {}); // Without its connection it is over already.
        throw error;
      }
    });
  }

  /** @see Database.listen */
  async listen(
    channel: string,
    notified: (payload: string) => void,
    resumed: () => void = () => {},
  ): Promise<() => Promise<void>> {
    let stopped = false;
    let client: pg.Client;
    const connect = async () => {
      client = new pg.Client(this.#config);
      const ended = new Promise((resolve) => client.once("end", resolve));
      client.on("error", () => {}); // Its end follows.
      client.on("notification", ({ payload }) => notified(payload ?? ""));
      await client.connect();
      await client.query(`listen ${pg.escapeIdentifier(channel)}`);
      ended.then(reconnect);
    };
    const isOver = () => stopped || this.#isClosed;
    const reconnect = async () => {
      for (let isConnected = false; !isConnected;) {
        await new Promise((resolve) => setTimeout(resolve, RECONNECT_AFTER));
        if (isOver()) return;
        isConnected = await connect().then(() => true, () => false);
        if (!isConnected || isOver()) client.end();
      }
      if (!isOver()) resumed();
    };
    await connect();
    return async () => {
      stopped = true;
      await client.end();
    };
  }

  /** Ends all connections once they are answered, at the latest after some seconds. */
  async close(): Promise<void> {
    if (this.pool.ending) return;
    const late = setTimeout(() => this.cut(), CLOSE_AFTER);
    while (this.pool.waitingCount > 0) { // The pool would forget them.
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    await this.pool.end();
    clearTimeout(late);
    this.cut(); // Listeners have connections of their own.
  }

  /** Ends all connections at once: whoever waits gets an error. */
  cut(): void {
    this.#isClosed = true;
    for (const socket of this.#sockets) socket.destroy();
  }

  #open(): Socket {
    const socket = new Socket();
    this.#sockets.add(socket);
    socket.once("close", () => this.#sockets.delete(socket));
    if (this.#isClosed) { // Not before it is told to connect, which would undo it.
      queueMicrotask(() => socket.destroy(new Error("The connections to Postgres are closed.")));
    }
    return socket;
  }

  #parser(type: number): Parser {
    const element = this.#arrays.get(type);
    if (element === undefined) return PARSERS[type] ?? asText;
    const parse = this.#parser(element);
    return (text) => parseArray(text, parse);
  }
}

/** What `pg` says where a connection was lost: such an error has no code. */
const LOST = /^(Connection terminated|Client has encountered a connection error|Client was closed)/;

/** Why there is no connection: Postgres refused it, or it was lost; undefined: the error is another one. */
export function faultOfConnection(error: unknown): "refused" | "lost" | undefined {
  const { code, message = "" } = error as { code?: string; message?: string };
  if (code === "ECONNREFUSED" || code === "57P03") return "refused"; // 57P03: it starts or stops.
  if (code === "ECONNRESET" || code === "EPIPE" || code === "57P02") return "lost"; // 57P02: it crashes.
  return LOST.test(message) ? "lost" : undefined;
}

/**
 * For a parameter of type json or jsonb an array is JSON, and otherwise one of Postgres's arrays: so
 * Postgres is asked for the types where there is an array.
 */
async function encodeArrays(
  client: pg.PoolClient,
  sql: string,
  parameters: unknown[],
): Promise<unknown[]> {
  if (!parameters.some(Array.isArray)) return parameters;
  await client.query(`prepare described as ${sql}`);
  const { rows: [{ types }] } = await client.query(
    `select parameter_types::oid[] as types from pg_catalog.pg_prepared_statements
     where name = 'described'`,
  );
  await client.query("deallocate described");
  return parameters.map((value, n) =>
    Array.isArray(value) && JSON_TYPES.includes(types[n]) ? JSON.stringify(value) : value
  );
}

/** What the Data API and Auth use, on these connections. */
export function dataApiConnection(connections: Connections, url: string): PostgresConnection {
  const connection = createPostgresConnection({ url });
  const pool = {
    async connect() {
      const client = await connections.pool.connect();
      return {
        async query(sql: string, parameters: unknown[]) {
          return await client.query(sql, await encodeArrays(client, sql, parameters));
        },
        release: () => client.release(),
      };
    },
    end: () => connections.close(),
  };
  // deno-lint-ignore no-explicit-any -- of a client that has cursors, too, this is what the dialect uses
  connection.kysely = new Kysely({ dialect: new PostgresDialect({ pool: pool as any }) });
  connection.close = () => connections.close();
  const clear = connection.clearSchemaCache.bind(connection);
  connection.clearSchemaCache = async () => {
    await clear();
    await connections.learnArrays();
  };
  return connection;
}
