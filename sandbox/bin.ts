/** The sandbox as a program of its own, on Node or on Deno. */
import process from "node:process";
import { run } from "./main.ts";

await run(process.argv.slice(2));
