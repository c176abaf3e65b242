/**
 * Serves the embedded Postgres by its wire protocol, so that psql, the Supabase CLI and any driver can be
 * used while the stack runs. A client holds the one session from its first message until Postgres is ready
 * and in no transaction: no other client's message comes between its Parse and its Execute.
 *
 * PGlite has one session, so the clients share settings made with `set`, temporary tables and prepared
 * statements. All of that is discarded when the last client has disconnected.
 */
import { type Session } from "./embedded.ts";

const SSL_REQUEST = 80877103;
const GSS_REQUEST = 80877104;
const CANCEL_REQUEST = 80877102;
const TERMINATE = "X".charCodeAt(0);
const READY = "Z".charCodeAt(0);
const IDLE = "I".charCodeAt(0);

/** Listens on 127.0.0.1; port 0 picks a free one. Throws Deno.errors.AddrInUse when the port is taken. */
export function servePostgresWire(
  session: Session,
  port: number,
): { port: number; stop: () => Promise<void> } {
  const listener = Deno.listen({ hostname: "127.0.0.1", port });
  const clients = new Map<Deno.TcpConn, Promise<void>>();

  const accepting = (async () => {
    for await (const connection of listener) {
      connection.setNoDelay();
      const served = serveClient(session, connection)
        .catch(() => {}) // A client may disconnect at any time.
        .finally(async () => {
          clients.delete(connection);
          if (clients.size > 0) return;
          await session.use(async (pglite) => {
            await pglite.exec("discard all");
            await session.listenAgain();
          });
        });
      clients.set(connection, served);
    }
  })();

  return {
    port: listener.addr.port,
    async stop() {
      listener.close();
      await accepting;
      for (const connection of clients.keys()) close(connection);
      await Promise.all(clients.values());
    },
  };
}

async function serveClient(session: Session, connection: Deno.TcpConn): Promise<void> {
  const input = new MessageReader(connection);
  const writer = connection.writable.getWriter();
  const answers = new ReadyWatch();
  let release: (() => void) | undefined;
  try {
    if (!await readStartupMessage(input, writer)) return;
    for (let message = input.startup; message; message = await input.next()) {
      if (message[0] === TERMINATE && message !== input.startup) return;
      release ??= await session.acquire();
      answers.idle = false;
      let output: Uint8Array[] = [];
      await session.pglite.execProtocolRawStream(message, {
        onRawData: (data) => {
          answers.read(data);
          output.push(data.slice());
        },
      });
      const answered = output;
      if (answers.idle) {
        output = []; // The answers to what follows are not the client's.
        await session.listenAgain();
        release();
        release = undefined;
      }
      for (const data of answered) await writer.write(data);
    }
  } finally {
    try {
      if (release) await session.pglite.exec("rollback");
    } finally {
      release?.();
      close(connection);
    }
  }
}

/** Refuses encryption until the startup message comes. False: the client has left or only canceled. */
async function readStartupMessage(
  input: MessageReader,
  writer: WritableStreamDefaultWriter<Uint8Array>,
): Promise<boolean> {
  while (true) {
    const code = await input.readStartup();
    if (code === undefined || code === CANCEL_REQUEST) return false;
    if (code !== SSL_REQUEST && code !== GSS_REQUEST) return true;
    await writer.write(new TextEncoder().encode("N"));
  }
}

/** Cuts a client's bytes into protocol messages. */
class MessageReader {
  /** The startup message, the only one without a type. */
  startup?: Uint8Array;
  readonly #source: ReadableStreamDefaultReader<Uint8Array>;
  #buffer = new Uint8Array(1 << 16);
  #from = 0;
  #to = 0;

  constructor(connection: Deno.TcpConn) {
    this.#source = connection.readable.getReader();
  }

  /** Reads an untyped message and returns its code, or undefined when the client has disconnected. */
  async readStartup(): Promise<number | undefined> {
    if (!await this.#fill(8)) return undefined;
    const length = this.#int(0);
    const code = this.#int(4);
    if (!await this.#fill(length)) return undefined;
    this.startup = this.#take(length);
    return code;
  }

  /** The next typed message, or undefined when the client has disconnected. */
  async next(): Promise<Uint8Array | undefined> {
    if (!await this.#fill(5)) return undefined;
    const length = 1 + this.#int(1);
    return await this.#fill(length) ? this.#take(length) : undefined;
  }

  #int(offset: number): number {
    return new DataView(this.#buffer.buffer).getInt32(this.#from + offset);
  }

  #take(length: number): Uint8Array {
    const message = this.#buffer.slice(this.#from, this.#from + length);
    this.#from += length;
    return message;
  }

  async #fill(length: number): Promise<boolean> {
    while (this.#to - this.#from < length) {
      const { value, done } = await this.#source.read();
      if (done) return false;
      const kept = this.#to - this.#from;
      if (this.#to + value.length > this.#buffer.length) {
        const size = Math.max(this.#buffer.length, 2 * (kept + value.length));
        const moved = new Uint8Array(size);
        moved.set(this.#buffer.subarray(this.#from, this.#to));
        [this.#buffer, this.#from, this.#to] = [moved, 0, kept];
      }
      this.#buffer.set(value, this.#to);
      this.#to += value.length;
    }
    return true;
  }
}

/** Reads Postgres's answers, in whatever chunks they come: is it ready, and in no transaction? */
class ReadyWatch {
  idle = false;
  #header: number[] = [];
  #body = 0;
  #first?: number;

  read(data: Uint8Array): void {
    let at = 0;
    while (at < data.length) {
      if (this.#header.length < 5) {
        this.#header.push(data[at++]);
        if (this.#header.length === 5) {
          const [, a, b, c, d] = this.#header;
          this.#body = ((a << 24) | (b << 16) | (c << 8) | d) - 4;
          this.#first = undefined;
        }
      } else {
        this.#first ??= data[at];
        const step = Math.min(this.#body, data.length - at);
        this.#body -= step;
        at += step;
      }
      if (this.#header.length === 5 && this.#body === 0) {
        if (this.#header[0] === READY) this.idle = this.#first === IDLE;
        this.#header = [];
      }
    }
  }
}

function close(connection: Deno.TcpConn): void {
  try {
    connection.close();
  } catch (error) {
    if (!(error instanceof Deno.errors.BadResource)) throw error;
  }
}
