/** The list of one tab: loaded page by page, kept while it loads again, and changed by live updates. */
import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { type Problem, toProblem } from "../data/problem.ts";
import { type Cursor, fetchPages, type Filter, type Meeting } from "./data.ts";
import { append, applyChanges, EMPTY, type List } from "./list.ts";

export interface Meetings {
  list: List;
  /** What the list is of: the filter that it was loaded with. */
  filter: Filter;
  problem?: Problem;
  /** Nothing is there yet. */
  first: boolean;
  loading: boolean;
  loadMore: () => Promise<void>;
  reload: () => Promise<void>;
  /** Takes changes in: see list.ts. */
  apply: (ids: number[], fresh: Meeting[]) => void;
  /** Loads all that is left and returns all. */
  loadAll: () => Promise<Meeting[]>;
}

interface State {
  list: List;
  filter: Filter;
  problem?: Problem;
  first: boolean;
  loading: boolean;
}

/** `key` names the filter: a new one begins a new list, which replaces the former when it is there. */
export function useMeetings(key: string, makeFilter: () => Filter): Meetings {
  const [state, setState] = useState<State>(() => ({
    list: EMPTY,
    filter: makeFilter(),
    first: true,
    loading: true,
  }));
  const current = useRef(state);
  /** Counts lists: an answer for a former one is dropped. */
  const generation = useRef(0);
  /** Changes that came while pages of a new list were on their way. */
  const missed = useRef<{ ids: number[]; fresh: Meeting[] }[]>([]);

  const set = (change: Partial<State>) => {
    current.current = { ...current.current, ...change };
    setState(current.current);
  };

  const load = useCallback(async (filter: Filter, length: number) => {
    const own = ++generation.current;
    missed.current = [];
    set({ loading: true });
    try {
      let list = EMPTY;
      do {
        list = append(list, await fetchPages(filter, list.cursor), filter.tab);
      } while (!list.complete && list.meetings.length < length && own === generation.current);
      if (own !== generation.current) return;
      for (const { ids, fresh } of missed.current) list = applyChanges(list, ids, fresh, filter);
      set({ list, filter, problem: undefined, first: false, loading: false });
    } catch (error) {
      const problem = await toProblem(error);
      if (own === generation.current) set({ problem, loading: false });
    }
  }, []);

  useEffect(() => {
    load(makeFilter(), 1);
    return () => void generation.current++;
  }, [key]);

  const latest = useRef(makeFilter);
  latest.current = makeFilter;
  const reload = useCallback(
    () => load(latest.current(), current.current.list.meetings.length || 1),
    [],
  );

  const loadMore = useCallback(async () => {
    const { list, filter, loading } = current.current;
    if (loading || list.complete) return;
    const own = generation.current;
    missed.current = [];
    set({ loading: true });
    try {
      const pages = await fetchPages(filter, list.cursor as Cursor);
      if (own !== generation.current) return;
      let longer = append(current.current.list, pages, filter.tab);
      for (const { ids, fresh } of missed.current) {
        longer = applyChanges(longer, ids, fresh, filter);
      }
      set({ list: longer, problem: undefined, loading: false });
    } catch (error) {
      const problem = await toProblem(error);
      if (own === generation.current) set({ problem, loading: false });
    }
  }, []);

  const apply = useCallback((ids: number[], fresh: Meeting[]) => {
    const { list, filter, loading } = current.current;
    if (loading) missed.current.push({ ids, fresh });
    set({ list: applyChanges(list, ids, fresh, filter) });
  }, []);

  const loadAll = useCallback(async () => {
    while (!current.current.list.complete && !current.current.problem) {
      await loadMore();
      // Somebody else's page is on its way.
      if (current.current.loading) await new Promise((resolve) => setTimeout(resolve, 50));
    }
    if (current.current.problem) throw current.current.problem;
    return current.current.list.meetings;
  }, []);

  return { ...state, loadMore, reload, apply, loadAll };
}
