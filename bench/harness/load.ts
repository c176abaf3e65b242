/** Many clients at once: pgbench where it is installed, else connections of the driver. */
import { quantile } from "./measure.ts";
import { Session } from "./session.ts";

export interface Load {
  url: string;
  clients: number;
  /** Calls of all clients together. */
  calls: number;
  /** One statement; `:n` is a number that no other call has, from `from` on. */
  statement: string;
  from: number;
  /** Calls a second, however long they take; without it each client goes on at once. */
  rate?: number;
}

/** What the calls took as their clients saw them: a call that had to wait for its turn has that in it. */
export interface LoadFigures {
  perSecond: number;
  p50: number;
  p95: number;
  p99: number;
}

const PGBENCH = await hasPgbench();

export const LOAD_BY = PGBENCH ? "pgbench" : "the driver";

export async function load(options: Load): Promise<LoadFigures> {
  const { seconds, milliseconds } = await (PGBENCH ? byPgbench(options) : byDriver(options));
  return {
    perSecond: milliseconds.length / seconds,
    p50: quantile(milliseconds, 0.5),
    p95: quantile(milliseconds, 0.95),
    p99: quantile(milliseconds, 0.99),
  };
}

interface Calls {
  seconds: number;
  milliseconds: number[];
}

async function byPgbench({ url, clients, calls, statement, from, rate }: Load): Promise<Calls> {
  const each = Math.floor(calls / clients);
  const folder = await Deno.makeTempDir();
  try {
    await Deno.writeTextFile(
      `${folder}/call.sql`,
      `\\set n ${from} + :client_id * ${each} + :place\n\\set place :place + 1\n${statement};\n`,
    );
    const { success, stdout, stderr } = await new Deno.Command("pgbench", {
      args: [
        `--client=${clients}`,
        `--jobs=${Math.min(2, clients)}`,
        `--transactions=${each}`,
        "--protocol=prepared",
        "--define=place=0",
        ...rate ? [`--rate=${rate}`] : [],
        `--file=${folder}/call.sql`,
        "--no-vacuum",
        "--log",
        `--log-prefix=${folder}/log`,
        url,
      ],
      env: { PGOPTIONS: "-c role=service_role" },
    }).output();
    const [said, complaint] = [stdout, stderr].map((text) => new TextDecoder().decode(text));
    if (!success || /ERROR/.test(complaint)) throw new Error(`pgbench failed: ${complaint}${said}`);
    const milliseconds: number[] = [];
    for await (const { name } of Deno.readDir(folder)) {
      if (!name.startsWith("log")) continue;
      for (const line of (await Deno.readTextFile(`${folder}/${name}`)).trim().split("\n")) {
        milliseconds.push(Number(line.split(" ")[2]) / 1000);
      }
    }
    const perSecond = Number(said.match(/^tps = ([\d.]+)/m)![1]);
    return { seconds: milliseconds.length / perSecond, milliseconds };
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function byDriver({ url, clients, calls, statement, from, rate }: Load): Promise<Calls> {
  const each = Math.floor(calls / clients);
  const sessions = await Promise.all(
    Array.from({ length: clients }, () => Session.open(url)),
  );
  try {
    const text = statement.replaceAll(":n", "$1::integer");
    const milliseconds: number[] = [];
    const began = performance.now();
    await Promise.all(sessions.map(async (session, client) => {
      for (let place = 0; place < each; place++) {
        const due = rate ? began + (place * clients + client) * 1000 / rate : performance.now();
        const early = due - performance.now();
        if (early > 0) await new Promise((resolve) => setTimeout(resolve, early));
        await session.run(text, [from + client * each + place]);
        milliseconds.push(performance.now() - due);
      }
    }));
    return { seconds: (performance.now() - began) / 1000, milliseconds };
  } finally {
    await Promise.all(sessions.map((session) => session[Symbol.asyncDispose]()));
  }
}

async function hasPgbench(): Promise<boolean> {
  try {
    return (await new Deno.Command("pgbench", { args: ["--version"] }).output()).success;
  } catch {
    return false;
  }
}
