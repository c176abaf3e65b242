#!/usr/bin/env node
/**
 * Where the command line begins, on Node 20 and newer (`npx`, from a packed release) and on Deno
 * (`deno task cli`, in a clone).
 */
import process from "node:process";
import { runProgram } from "./program.ts";

// What is shared with the functions reads its settings by Deno's name.
if (!("Deno" in globalThis)) {
  Object.assign(globalThis, { Deno: { env: { get: (name: string) => process.env[name] } } });
}

process.exitCode = await runProgram(process.argv.slice(2));
