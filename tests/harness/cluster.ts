/** A Postgres server of one's own: with pg_cron, for tests that restart it, or of another version. */
import postgres from "postgres";
import { SERVER_PROGRAMS } from "./requirements.ts";

/** What pg_cron needs, and connections enough for one test. */
const WITH_PG_CRON = {
  shared_preload_libraries: "pg_cron",
  "cron.database_name": "postgres",
  "cron.host": "127.0.0.1",
  max_connections: 100,
};

export class Cluster implements AsyncDisposable {
  private constructor(
    /** Of the superuser, in the database `postgres`. */
    public url: string,
    readonly folder: string,
    /** Folder of the server's programs. */
    readonly programs: string,
    readonly account: { uid?: number; gid?: number },
  ) {}

  /** By default the server that is installed, with pg_cron in the database `postgres`. */
  static async start(
    programs: string = SERVER_PROGRAMS!,
    settings: Record<string, string | number> = WITH_PG_CRON,
  ): Promise<Cluster> {
    const cluster = await Cluster.#prepare(programs, await unprivileged());
    const { folder } = cluster;
    try {
      await cluster.#run("initdb", [
        `--pgdata=${folder}/data`,
        "--username=supabase_admin",
        "--auth=trust",
        "--encoding=UTF8",
        "--locale=C.UTF-8",
        "--no-sync",
      ]);
      await cluster.#configure({
        listen_addresses: "127.0.0.1",
        unix_socket_directories: "",
        ...settings,
      });
      await cluster.#control("start");
      return cluster;
    } catch (error) {
      await cluster[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** A standby of this server, which follows it by streaming; dispose of it before this one. */
  async startStandby(): Promise<Cluster> {
    const standby = await Cluster.#prepare(this.programs, this.account);
    try {
      await standby.#run("pg_basebackup", [
        `--dbname=${this.url}`,
        `--pgdata=${standby.folder}/data`,
        "--checkpoint=fast",
        "--write-recovery-conf",
        "--no-sync",
      ]);
      await standby.#configure({});
      await standby.#control("start");
      return standby;
    } catch (error) {
      await standby[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** A failover: the primary crashes, and this standby takes its place at its address. */
  async takeOver(primary: Cluster): Promise<void> {
    await primary.#control("stop", "--mode=immediate");
    await this.#control("promote");
    this.url = primary.url;
    await this.#configure({});
    await this.restart("fast");
  }

  /** "immediate" is a crash: nothing is ended in order, and the log is replayed. */
  async restart(mode: "fast" | "immediate"): Promise<void> {
    await this.#control("restart", `--mode=${mode}`);
  }

  /** Stops the server in order, lets `work` change its files, and starts it again. */
  async whileStopped(work: (data: string) => Promise<void>): Promise<void> {
    await this.#control("stop", "--mode=fast");
    await work(`${this.folder}/data`);
    await this.#control("start");
  }

  /** A connection of one's own, beside whatever else uses the server. */
  connect(): postgres.Sql {
    return postgres(this.url, { max: 1, onnotice: () => {} });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#control("stop", "--mode=immediate").catch(() => {});
    await Deno.remove(this.folder, { recursive: true });
  }

  /** A folder and a port for a server that is not there yet. */
  static async #prepare(programs: string, account: Cluster["account"]): Promise<Cluster> {
    const folder = await Deno.makeTempDir({ prefix: "postgres-" });
    if (account.uid) await Deno.chown(folder, account.uid, account.gid!);
    const url = `postgresql://supabase_admin@127.0.0.1:${freePort()}/postgres`;
    return new Cluster(url, folder, programs, account);
  }

  /** Writes settings and the port: the last value of each counts. */
  async #configure(settings: Record<string, string | number>): Promise<void> {
    const all = { port: new URL(this.url).port, ...settings };
    await Deno.writeTextFile(
      `${this.folder}/data/postgresql.conf`,
      Object.entries(all).map(([name, value]) => `${name} = '${value}'\n`).join(""),
      { append: true },
    );
  }

  #control(action: string, ...options: string[]): Promise<void> {
    const { folder } = this;
    return this.#run("pg_ctl", [
      action,
      `--pgdata=${folder}/data`,
      `--log=${folder}/log`,
      "--wait",
      "--silent",
      ...options,
    ]);
  }

  async #run(program: string, args: string[]): Promise<void> {
    const { success, stderr } = await new Deno.Command(`${this.programs}/${program}`, {
      args,
      cwd: "/",
      stdin: "null",
      stdout: "null",
      stderr: "piped",
      ...this.account,
    }).output();
    if (!success) throw new Error(`${program} failed: ${new TextDecoder().decode(stderr)}`);
  }
}

/** Postgres does not run as root: then the account of Debian's package runs it. */
async function unprivileged(): Promise<{ uid?: number; gid?: number }> {
  if (Deno.uid() !== 0) return {};
  const id = async (what: string) => {
    const { stdout } = await new Deno.Command("id", { args: [what, "postgres"] }).output();
    return Number(new TextDecoder().decode(stdout));
  };
  return { uid: await id("-u"), gid: await id("-g") };
}

export function freePort(): number {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  listener.close();
  return port;
}
