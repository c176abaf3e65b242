/**
 * Output for a person: steps with a tick and a time, a progress bar, tables. Where the output is no
 * terminal, the same is printed as plain lines; NO_COLOR is respected.
 */
import { writeSync } from "node:fs";
import process from "node:process";
import { isatty } from "node:tty";
import { styleText } from "node:util";
import { wrap } from "./words.ts";

/** Where text goes; `writeSync` returns how many of the bytes were written. */
export interface Output {
  writeSync(bytes: Uint8Array): number;
  isTerminal(): boolean;
  /** Characters in a line; undefined where it is no terminal, or does not tell. */
  columns?(): number | undefined;
}

/** Nobody reads the output any more, as after `| head`. */
export class OutputClosed extends Error {
  override name = "OutputClosed";
}

/** A standard stream, written at once: whatever ends the process, nothing that was printed is lost. */
function standardStream(descriptor: 1 | 2): Output {
  return {
    isTerminal: () => isatty(descriptor),
    columns: () => (descriptor === 1 ? process.stdout : process.stderr).columns,
    writeSync(bytes) {
      try {
        return writeSync(descriptor, bytes);
      } catch (error) {
        const { code } = error as { code?: string };
        if (code === "EAGAIN") return 0; // a full pipe: tried again
        throw code === "EPIPE"
          ? new OutputClosed("The output is closed.", { cause: error })
          : error;
      }
    },
  };
}

export const stdout = standardStream(1);
export const stderr = standardStream(2);

export interface Bar {
  /** `done` of `total`, both as of now; `total` 0: not known yet. */
  update(done: number, total: number, note?: string): void;
  finish(): void;
}

/** A line of a log: a JSON object with the text in `message`, or else just a text. */
export function readLogLine(line: string): { message: string; fields: Record<string, unknown> } {
  try {
    const { message, ...fields } = JSON.parse(line) ?? {};
    if (typeof message === "string") return { message, fields };
  } catch {
    // Not one of the functions' own lines.
  }
  return { message: line, fields: {} };
}

/**
 * Without the characters that move the cursor, change the title or the order of a line, and the like: what
 * others named, such as a person, may have them. The styles that a Terminal uses stay.
 */
function printable(text: string): string {
  // deno-lint-ignore no-control-regex
  const special = /\x1b\[(?:1|2|22|31|32|36|39)m|(?![\n\t])[\p{Cc}\u202a-\u202e\u2066-\u2069]/gu;
  return text.replace(special, (found) => found.length > 1 ? found : "");
}

/** Longer lines are hard to read, and in shorter ones there is no room for an address. */
const WIDEST = 100;
const NARROWEST = 40;

export class Terminal {
  readonly #output: Output;
  readonly #interactive: boolean;
  readonly #colors: boolean;
  readonly #encoder = new TextEncoder();

  constructor(output: Output = stdout) {
    this.#output = output;
    this.#interactive = output.isTerminal();
    this.#colors = this.#interactive && !process.env.NO_COLOR;
  }

  bold = (text: string) => this.#paint("bold", text);
  dim = (text: string) => this.#paint("dim", text);
  green = (text: string) => this.#paint("green", text);
  red = (text: string) => this.#paint("red", text);
  cyan = (text: string) => this.#paint("cyan", text);

  /** Characters that a line may have: the terminal's, between 40 and 100, else 100. */
  get width(): number {
    const columns = this.#interactive ? this.#output.columns?.() : undefined;
    return Math.min(Math.max(columns || WIDEST, NARROWEST), WIDEST);
  }

  /** Whether somebody reads it on a screen, where it is not kept. */
  get isInteractive(): boolean {
    return this.#interactive;
  }

  line(text = ""): void {
    this.#write(printable(text) + "\n");
  }

  /** A text for other programs, as it is. */
  raw(text: string): void {
    this.#write(text + "\n");
  }

  heading(text: string): void {
    this.line();
    this.line(this.bold(text));
    this.line();
  }

  /**
   * Prints in one piece what `show` prints. On a terminal it takes the place of what was on the screen.
   */
  async frame(show: (terminal: Terminal) => Promise<void>): Promise<void> {
    let text = "";
    await show(
      new Terminal({
        isTerminal: () => this.#interactive,
        columns: () => this.width,
        writeSync(bytes) {
          text += new TextDecoder().decode(bytes);
          return bytes.length;
        },
      }),
    );
    this.#write((this.#interactive ? "\x1b[H\x1b[2J" : "") + text);
  }

  /** Shows `title` while `work` runs, then a tick, its outcome, and how long it took. */
  async step<T>(
    title: string,
    work: (note: (text: string) => void) => Promise<T>,
    outcome: (result: T) => string = () => "",
  ): Promise<T> {
    const started = performance.now();
    const note = (text: string) => this.#rewrite(`  ${this.dim("·")} ${title} ${this.dim(text)}`);
    note("…");
    try {
      const result = await work(note);
      const seconds = `${((performance.now() - started) / 1000).toFixed(1)} s`;
      const detail = outcome(result);
      this.#clear();
      this.line(`  ${this.green("✓")} ${title}${detail && `  ${detail}`}  ${this.dim(seconds)}`);
      return result;
    } catch (error) {
      this.#clear();
      this.line(`  ${this.red("✗")} ${title}`);
      throw error;
    }
  }

  /** A claim, and whether it holds. */
  check(claim: string, holds: boolean): void {
    this.line(`  ${holds ? this.green("✓") : this.red("✗")} ${claim}`);
  }

  /** A line that a part of the stack printed: its message, then its fields. */
  log(source: string, line: string): void {
    const { message, fields } = readLogLine(line);
    const rest = Object.keys(fields).length > 0 ? ` ${JSON.stringify(fields)}` : "";
    this.#clear();
    this.line(`${this.dim(`  ${source} │`)} ${message}${this.dim(rest)}`);
  }

  /** A progress bar; without a terminal, a line for each quarter of the way. */
  bar(title: string): Bar {
    let quarter = 0;
    return {
      update: (done, total, note = "") => {
        const share = total > 0 ? Math.min(done / total, 1) : 0;
        if (this.#interactive) {
          const filled = Math.round(share * 24);
          const bar = this.cyan("█".repeat(filled)) + this.dim("░".repeat(24 - filled));
          const counts = total > 0 ? `${done}/${total}` : "";
          this.#rewrite(`  ${title} ${bar} ${[counts, this.dim(note)].filter(Boolean).join("  ")}`);
        } else if (Math.floor(share * 4) > quarter) {
          quarter = Math.floor(share * 4);
          this.line(`  ${title} ${done}/${total}${note && `  ${note}`}`);
        }
      },
      finish: () => this.#clear(),
    };
  }

  /** Rows of cells; the first column is a label, the others are aligned to the right. */
  table(rows: string[][]): void {
    const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)));
    for (const row of rows) {
      const cells = row.map((cell, column) =>
        column === 0 ? this.dim(cell.padEnd(widths[0])) : cell.padStart(widths[column])
      );
      this.line(`    ${cells.join("   ")}`.trimEnd());
    }
  }

  /** A table with a heading, aligned to the left. */
  columns(names: string[], rows: string[][]): void {
    if (rows.length === 0) return this.line("    none");
    const widths = names.map((name, column) =>
      Math.max(name.length, ...rows.map((row) => row[column].length))
    );
    const line = (cells: string[]) =>
      `    ${cells.map((cell, column) => cell.padEnd(widths[column])).join("  ")}`.trimEnd();
    this.line(this.dim(line(names)));
    for (const row of rows) this.line(line(row));
  }

  /** Pairs of a label and a value, aligned to the left. */
  pairs(rows: [label: string, value: string][]): void {
    const width = Math.max(...rows.map(([label]) => label.length));
    for (const [label, value] of rows) this.line(`    ${this.dim(label.padEnd(width))}   ${value}`);
  }

  /** What went wrong: its code, what happened, what to do. */
  problem({ code, message, hint }: { code: string; message: string; hint?: string }): void {
    for (const text of [`${this.red(code)}  ${message}`, hint ?? ""]) {
      for (const line of this.#fit(text)) this.line(`  ${line}`);
    }
  }

  /** Lines that a screen breaks between words; what is kept in a file stays as it is. */
  #fit(text: string): string[] {
    if (text === "" || !this.#interactive) return text === "" ? [] : [text];
    const width = this.width - 2;
    return text.split("\n").flatMap((line) => line.length > width ? wrap(line, width) : [line]);
  }

  #paint(style: Parameters<typeof styleText>[0], text: string): string {
    return this.#colors && text ? styleText(style, text, { validateStream: false }) : text;
  }

  #rewrite(text: string): void {
    if (this.#interactive) this.#write(`\r\x1b[2K${printable(text)}`);
  }

  #clear(): void {
    if (this.#interactive) this.#write("\r\x1b[2K");
  }

  #write(text: string): void {
    const bytes = this.#encoder.encode(text);
    for (let at = 0; at < bytes.length;) at += this.#output.writeSync(bytes.subarray(at));
  }
}
