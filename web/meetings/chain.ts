/** A booking that was moved is one story: each event of it, from the first to the last. */
import type { Link } from "./data.ts";

/** So many events before and after the one that is shown. */
export const MAX_LINKS = 12;

/**
 * The chain of a meeting in its order. `links` may be more than the chain, in any order. Events that are not
 * kept here end it, and so does one that is its own forerunner.
 */
export function chainOf(meeting: Link, links: Link[]): Link[] {
  const byUri = new Map(links.map((link) => [link.calendly_event_uri, link]));
  byUri.set(meeting.calendly_event_uri, meeting);
  const chain = [meeting];
  const isNew = (link?: Link): link is Link => link !== undefined && !chain.includes(link);
  let before = byUri.get(meeting.rescheduled_from ?? "");
  while (isNew(before)) {
    chain.unshift(before);
    before = byUri.get(before.rescheduled_from ?? "");
  }
  let after = byUri.get(meeting.rescheduled_to ?? "");
  while (isNew(after)) {
    chain.push(after);
    after = byUri.get(after.rescheduled_to ?? "");
  }
  return chain;
}

/** The URIs that the ends of a chain name and that are not in it. */
export function nextUris(chain: Link[]): string[] {
  const known = new Set(chain.map(({ calendly_event_uri }) => calendly_event_uri));
  return [chain[0].rescheduled_from, chain.at(-1)!.rescheduled_to]
    .filter((uri): uri is string => uri !== null && !known.has(uri));
}

/** The whole chain of a meeting, fetched step by step in both directions. */
export async function fetchChain(
  meeting: Link,
  fetchLinks: (uris: string[]) => Promise<Link[]>,
): Promise<Link[]> {
  const links: Link[] = [];
  const asked = new Set<string>();
  for (let step = 0; step < MAX_LINKS; step++) {
    const uris = nextUris(chainOf(meeting, links)).filter((uri) => !asked.has(uri));
    if (uris.length === 0) break;
    uris.forEach((uri) => asked.add(uri));
    links.push(...await fetchLinks(uris));
  }
  return chainOf(meeting, links);
}
