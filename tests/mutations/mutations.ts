/**
 * The rules of the product, each broken as a careless change would break it, and the tests that notice.
 * `from` stands exactly once in its file.
 */
import { MIRROR } from "./mirror.ts";
import type { Mutation } from "./mutation.ts";
import { SERVICE } from "./service.ts";

export const MUTATIONS: Mutation[] = [...MIRROR, ...SERVICE];
