/**
 * Enough of Realtime for supabase-js to receive private broadcasts: Phoenix channels on a WebSocket, joined
 * under the policies on realtime.messages. Postgres changes, presence and messages from clients are refused
 * with the reason. What the database needs is made by realtime.sql.
 */
import { errors, jwtVerify } from "jose";
import { z } from "zod";
import { type Database } from "./database.ts";
import { type Keys } from "./keys.ts";

/** The platform, too, keeps messages for three days. */
const CLEANING = "delete from realtime.messages where inserted_at < now() - interval '3 days'";
const CLEANING_INTERVAL = 60 * 60 * 1000;

/** Milliseconds that a client is given to close its connection. */
const CLOSING_TIMEOUT = 1000;

/** Longest delay of a timer, 24.8 days. */
const MAX_DELAY = 2 ** 31 - 1;

export interface Realtime {
  /** Answers requests to `/realtime/v1`. */
  fetch(request: Request): Response;
  /** Closes all connections, which supabase-js then tries to make again. */
  stop(): Promise<void>;
}

/** Begins to listen to the database, and deletes old messages now and then. */
export async function startRealtime(
  database: Database,
  keys: Keys,
  { log = (_line: string) => {} } = {},
): Promise<Realtime> {
  const clients = new Set<Client>();
  const access = new Access(database, keys);
  const broadcasts = new Broadcasts(database, clients, log);
  const unlisten = await database.listen(
    "realtime_messages",
    (id) => broadcasts.notified(id),
    // Postgres was away, and with it what was sent: clients connect again, and ask what they have missed.
    () => clients.forEach((client) => client.close("Broadcasts may have been missed.")),
  );
  const clean = () => database.query(CLEANING).catch((error) => log(`cleaning: ${error.message}`));
  await clean();
  const cleaning = setInterval(clean, CLEANING_INTERVAL);

  return {
    fetch(request) {
      const url = new URL(request.url);
      if (url.pathname !== "/realtime/v1/websocket") {
        return refuse(404, "The local stack has only the WebSocket of Realtime, no HTTP API.");
      }
      if (request.headers.get("upgrade")?.toLowerCase() !== "websocket") {
        return refuse(426, "Realtime is reached by a WebSocket.");
      }
      const version = url.searchParams.get("vsn") ?? "1.0.0";
      if (!isVersion(version)) return refuse(400, `vsn=${version} is not 1.0.0 or 2.0.0.`);
      const role = access.roleOf(url.searchParams.get("apikey"));
      if (!role) return refuse(401, "The apikey is not one of this project.");

      let upgraded;
      try {
        upgraded = Deno.upgradeWebSocket(request);
      } catch (error) {
        return refuse(400, `The WebSocket cannot be opened: ${(error as Error).message}`);
      }
      const { socket, response } = upgraded;
      const client = new Client(socket, VERSIONS[version], access, role, log);
      clients.add(client);
      socket.onclose = () => {
        clients.delete(client);
        client.forget();
      };
      return response;
    },
    async stop() {
      clearInterval(cleaning);
      await unlisten();
      await Promise.all([...clients].map((client) => client.close("The local stack stops.")));
      await broadcasts.delivered();
    },
  };
}

function refuse(status: number, message: string): Response {
  return Response.json({ message }, { status });
}

// Messages ---------------------------------------------------------------------------------------------

/** A message of the Phoenix protocol. */
interface Message {
  joinRef: string | null;
  ref: string | null;
  topic: string;
  event: string;
  payload: unknown;
}

/** How messages are written in each version of the protocol. */
const VERSIONS = {
  "1.0.0": {
    encode: ({ joinRef, ...message }: Message) => JSON.stringify({ ...message, join_ref: joinRef }),
    decode(data: string | ArrayBuffer): Message {
      if (typeof data !== "string") throw new Error("version 1.0.0 has no binary messages");
      const { join_ref, ...message } = z.object({
        topic: z.string(),
        event: z.string(),
        payload: z.unknown(),
        ref: z.string().nullish().transform(orNull),
        join_ref: z.string().nullish().transform(orNull),
      }).parse(JSON.parse(data));
      return { joinRef: join_ref, ...message };
    },
  },
  "2.0.0": {
    encode: ({ joinRef, ref, topic, event, payload }: Message) =>
      JSON.stringify([joinRef, ref, topic, event, payload]),
    decode(data: string | ArrayBuffer): Message {
      if (typeof data !== "string") return decodePush(new Uint8Array(data));
      const reference = z.string().nullish().transform(orNull);
      const [joinRef, ref, topic, event, payload] = z
        .tuple([reference, reference, z.string(), z.string(), z.unknown()])
        .parse(JSON.parse(data));
      return { joinRef, ref, topic, event, payload };
    },
  },
};
type Version = keyof typeof VERSIONS;
type Protocol = typeof VERSIONS[Version];

function isVersion(version: string): version is Version {
  return Object.hasOwn(VERSIONS, version);
}

function orNull(reference: string | null | undefined): string | null {
  return reference ?? null;
}

/** A broadcast by a client is binary. Read as far as it takes to refuse it: its payload is left out. */
function decodePush(bytes: Uint8Array): Message {
  const [kind, ...lengths] = bytes.subarray(0, 6);
  if (kind !== 3) throw new Error(`a binary message of kind ${kind}`);
  let at = 7; // after the lengths and the encoding of the payload
  const [joinRef, ref, topic] = lengths.slice(0, 3).map((length) => {
    at += length;
    return new TextDecoder().decode(bytes.subarray(at - length, at));
  });
  return { joinRef: joinRef || null, ref: ref || null, topic, event: "broadcast", payload: {} };
}

const JOIN = z.object({
  config: z.object({
    private: z.boolean().optional(),
    presence: z.object({ enabled: z.boolean().optional() }).optional(),
    postgres_changes: z.array(z.unknown()).nullish(),
  }).optional(),
  access_token: z.string().nullish(),
});
const ACCESS_TOKEN = z.object({ access_token: z.string().nullish() });

// Who may receive ---------------------------------------------------------------------------------------

interface Claims {
  role: string;
  /** When they expire, in seconds since the epoch; undefined: never. */
  exp?: number;
}

/** Why a channel is refused: `reason` begins with a code of the platform's. */
class Refusal extends Error {
  constructor(readonly reason: string) {
    super(reason);
  }
}

/** Checks keys and tokens, and asks Postgres who may receive what. */
class Access {
  readonly #database: Database;
  readonly #keys: Keys;
  constructor(database: Database, keys: Keys) {
    this.#database = database;
    this.#keys = keys;
  }

  roleOf(apikey: string | null): string | undefined {
    if (apikey === this.#keys.publishableKey) return "anon";
    if (apikey === this.#keys.secretKey) return "service_role";
  }

  /** The claims of a token. supabase-js sends the API key in place of one while nobody is signed in. */
  async claimsOf(token: string | null | undefined, role: string): Promise<Claims> {
    if (!token) return { role };
    const roleOfKey = this.roleOf(token);
    if (roleOfKey) return { role: roleOfKey };
    try {
      const { payload } = await jwtVerify(token, new TextEncoder().encode(this.#keys.jwtSecret), {
        algorithms: ["HS256"],
      });
      return z.looseObject({ role: z.enum(["anon", "authenticated", "service_role"]) })
        .parse(payload);
    } catch (error) {
      if (!(error instanceof errors.JWTExpired)) {
        throw new Refusal("InvalidJWTToken: The access token is not one of this project.");
      }
      const seconds = Math.round(Date.now() / 1000) - error.payload.exp!;
      throw new Refusal(`InvalidJWTToken: Token has expired ${seconds} seconds ago`);
    }
  }

  /** Throws a `Refusal` unless the policies let the claims read messages of the topic. */
  async require(claims: Claims, topic: string): Promise<void> {
    const [{ allowed }] = await this.#database.query<{ allowed: boolean }>(
      "select local_stack.may_receive($1, $2::text::jsonb) as allowed",
      [topic, JSON.stringify(claims)],
    );
    if (allowed) return;
    throw new Refusal(
      `Unauthorized: You do not have permissions to read from this Channel topic: ${topic}`,
    );
  }
}

// Clients -----------------------------------------------------------------------------------------------

const PREFIX = "realtime:";

/** A channel that a client has joined. */
interface Channel {
  joinRef: string | null;
  /** Closes the channel when the token expires. */
  expiry?: ReturnType<typeof setTimeout>;
}

/** One WebSocket and the channels that it has joined, by topic without the prefix. */
class Client {
  readonly #channels = new Map<string, Channel>();
  readonly #socket: WebSocket;
  readonly #protocol: Protocol;
  readonly #access: Access;
  readonly #role: string;
  readonly #log: (line: string) => void;
  #work = Promise.resolve();

  constructor(
    socket: WebSocket,
    protocol: Protocol,
    access: Access,
    role: string,
    log: (line: string) => void,
  ) {
    this.#socket = socket;
    this.#protocol = protocol;
    this.#access = access;
    this.#role = role;
    this.#log = log;
    socket.binaryType = "arraybuffer";
    socket.onmessage = ({ data }) => this.#receive(data);
  }

  /** Passes a broadcast on, if the client has joined its topic. */
  broadcast(topic: string, payload: unknown): void {
    if (this.#channels.has(topic)) this.#send(topic, "broadcast", payload);
  }

  /** Ends what waits for the time to pass. */
  forget(): void {
    for (const { expiry } of this.#channels.values()) clearTimeout(expiry);
    this.#channels.clear();
  }

  /** Waits for the other side to agree, but not for long. */
  async close(reason: string): Promise<void> {
    if (this.#socket.readyState === WebSocket.CLOSED) return;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const closed = new Promise<unknown>((resolve) => {
      this.#socket.addEventListener("close", resolve);
      timer = setTimeout(resolve, CLOSING_TIMEOUT);
    });
    this.#socket.close(1001, reason);
    await closed;
    clearTimeout(timer);
  }

  #receive(data: string | ArrayBuffer): void {
    let message: Message;
    try {
      message = this.#protocol.decode(data);
    } catch (error) {
      this.#log(`a message that is not understood: ${(error as Error).message}`);
      this.#socket.close(1003, "The message is not one of the Phoenix protocol.");
      return;
    }
    // Answered at once: without an answer the client takes the connection for lost.
    if (message.topic === "phoenix" && message.event === "heartbeat") {
      return this.#reply(message, "ok", {});
    }
    // One after the other: a channel is left only after it was joined.
    this.#work = this.#work.then(() => this.#handle(message)).catch((error) => {
      this.#log(`${message.event} of ${message.topic}: ${error.message}`);
      this.#reply(message, "error", { reason: reasonOf(error) });
    });
  }

  async #handle(message: Message): Promise<void> {
    const { topic, event, payload } = message;
    if (!topic.startsWith(PREFIX) || topic === PREFIX) throw new Refusal("unmatched topic");
    const name = topic.slice(PREFIX.length);
    if (event === "phx_join") return await this.#join(name, message);
    const channel = this.#channels.get(name);
    if (event === "phx_leave") {
      this.#end(name);
      this.#reply(message, "ok", {});
      return this.#send(name, "phx_close", {}, message.joinRef, message.ref);
    }
    if (!channel) throw new Refusal("unmatched topic");
    if (event === "access_token") return await this.#changeToken(name, payload);
    throw new Refusal(
      `Unauthorized: The local stack takes no ${event} from clients: broadcast by realtime.send in SQL.`,
    );
  }

  async #join(name: string, message: Message): Promise<void> {
    const { config, access_token } = JOIN.parse(message.payload);
    if (!config?.private) {
      throw new Refusal(
        "PrivateOnly: This project only allows private channels: " +
          "supabase.channel(topic, { config: { private: true } })",
      );
    }
    if (config.postgres_changes?.length) {
      throw new Refusal(
        "NotSupported: The local stack has private broadcasts, no Postgres changes.",
      );
    }
    if (config.presence?.enabled) {
      throw new Refusal("NotSupported: The local stack has private broadcasts, no presence.");
    }
    const claims = await this.#access.claimsOf(access_token, this.#role);
    await this.#access.require(claims, name);
    if (this.#socket.readyState !== WebSocket.OPEN) return;

    const before = this.#channels.get(name);
    if (before) {
      this.#end(name);
      this.#send(name, "phx_close", {}, before.joinRef, before.joinRef);
    }
    this.#channels.set(name, { joinRef: message.joinRef });
    this.#expire(name, claims.exp);
    this.#reply(message, "ok", { postgres_changes: [] });
  }

  /** As on the platform, a token that does not do ends the channel. */
  async #changeToken(name: string, payload: unknown): Promise<void> {
    try {
      const { access_token } = ACCESS_TOKEN.parse(payload);
      const claims = await this.#access.claimsOf(access_token, this.#role);
      await this.#access.require(claims, name);
      this.#expire(name, claims.exp);
    } catch (error) {
      this.#refuse(name, reasonOf(error));
    }
  }

  #expire(name: string, exp: number | undefined): void {
    const channel = this.#channels.get(name);
    if (!channel) return;
    clearTimeout(channel.expiry);
    if (exp === undefined) return;
    const left = exp * 1000 - Date.now();
    channel.expiry = setTimeout(
      left > MAX_DELAY
        ? () => this.#expire(name, exp)
        : () => this.#refuse(name, "InvalidJWTToken: Token has expired 0 seconds ago"),
      Math.min(left, MAX_DELAY),
    );
  }

  #refuse(name: string, message: string): void {
    const channel = this.#channels.get(name);
    if (!channel) return;
    this.#send(name, "system", { status: "error", extension: "system", message, channel: name });
    this.#end(name);
    this.#send(name, "phx_close", {}, channel.joinRef, channel.joinRef);
  }

  #end(name: string): void {
    clearTimeout(this.#channels.get(name)?.expiry);
    this.#channels.delete(name);
  }

  #reply({ joinRef, ref, topic }: Message, status: "ok" | "error", response: unknown): void {
    this.#write({ joinRef, ref, topic, event: "phx_reply", payload: { status, response } });
  }

  #send(
    name: string,
    event: string,
    payload: unknown,
    joinRef: string | null = null,
    ref: string | null = null,
  ): void {
    this.#write({ joinRef, ref, topic: PREFIX + name, event, payload });
  }

  #write(message: Message): void {
    if (this.#socket.readyState === WebSocket.OPEN) {
      this.#socket.send(this.#protocol.encode(message));
    }
  }
}

function reasonOf(error: unknown): string {
  if (error instanceof Refusal) return error.reason;
  if (error instanceof z.ZodError) return `InvalidPayload: ${z.prettifyError(error)}`;
  return "UnableToConnectToProject: The database does not answer. supabase-js tries again by itself.";
}

// Broadcasts --------------------------------------------------------------------------------------------

/** Reads the messages that the database notifies of, and passes them on in the order in which they came. */
class Broadcasts {
  readonly #database: Database;
  readonly #clients: Set<Client>;
  readonly #log: (line: string) => void;
  #ids: string[] = [];
  #delivering?: Promise<void>;

  constructor(database: Database, clients: Set<Client>, log: (line: string) => void) {
    this.#database = database;
    this.#clients = clients;
    this.#log = log;
  }

  notified(id: string): void {
    if (this.#clients.size === 0) return;
    this.#ids.push(id);
    this.#delivering ??= this.#deliver();
  }

  /** Resolves when nothing is being passed on any more. */
  async delivered(): Promise<void> {
    await this.#delivering;
  }

  async #deliver(): Promise<void> {
    while (this.#ids.length > 0) {
      await this.#pass(this.#ids.splice(0))
        .catch((error) => this.#log(`broadcasts: ${error.message}`));
    }
    // Not later: what is notified from now on begins anew.
    this.#delivering = undefined;
  }

  async #pass(ids: string[]): Promise<void> {
    const messages = await this.#database.query<
      { id: string; topic: string; event: string; payload: unknown }
    >(
      `select m.id::text, m.topic, m.event, m.payload
         from unnest($1::uuid[]) with ordinality wanted (id, place)
         join realtime.messages m on m.id = wanted.id order by wanted.place`,
      [ids],
    );
    for (const { id, topic, event, payload } of messages) {
      const message = { type: "broadcast", event, payload, meta: { id } };
      for (const client of this.#clients) client.broadcast(topic, message);
    }
  }
}
