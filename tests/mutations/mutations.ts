/**
 * The rules of the product, each broken as a careless change would break it, and the tests that fail then.
 * `from` stands exactly once in its file.
 */
import { BOUNDS } from "./bounds.ts";
import { COMMAND_LINE } from "./command_line.ts";
import { CONNECTIONS_AND_RIGHTS } from "./connections.ts";
import { CONSOLE } from "./console.ts";
import { LOCAL } from "./local.ts";
import { MEETINGS } from "./meetings.ts";
import type { Mutation } from "./mutation.ts";
import { OPERATIONS } from "./operations.ts";
import { SANDBOX } from "./sandbox.ts";
import { SYNCS } from "./syncs.ts";
import { WEBHOOKS } from "./webhooks.ts";

export const MUTATIONS: Mutation[] = [
  ...MEETINGS,
  ...SYNCS,
  ...WEBHOOKS,
  ...CONNECTIONS_AND_RIGHTS,
  ...COMMAND_LINE,
  ...CONSOLE,
  ...OPERATIONS,
  ...SANDBOX,
  ...LOCAL,
  ...BOUNDS,
];
