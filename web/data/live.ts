/**
 * Changes as they happen: the private broadcasts of Realtime on the person's own topic. They name rows and
 * say nothing about them. Where Realtime cannot be reached the page polls, and the client tries on.
 */
import { RealtimeClient } from "@supabase/realtime-js";
import { theConfig } from "./config.ts";
import { accessToken } from "./person.ts";

/** The payload of a broadcast `changed`. `meeting_ids` is null where there are more than 100. */
export interface Changed {
  meeting_ids: number[] | null;
  run_ids: string[];
}

/** Listens until the returned function is called. `onState` tells whether broadcasts arrive. */
export function listen(
  authUserId: string,
  { onChange, onState }: {
    onChange: (changed: Changed) => void;
    onState: (arrives: boolean) => void;
  },
): () => void {
  const { url, publishable_key } = theConfig();
  const client = new RealtimeClient(`${url.replace(/^http/, "ws")}/realtime/v1`, {
    params: { apikey: publishable_key },
    accessToken,
    timeout: 5000,
  });
  const channel = client.channel(`calendly:${authUserId}`, { config: { private: true } });
  channel.on("broadcast", { event: "changed" }, ({ payload }) => onChange(payload as Changed));
  // Not before the token is known: the topic is private.
  client.setAuth().then(() => channel.subscribe((status) => onState(status === "SUBSCRIBED")));
  return () => {
    channel.unsubscribe().finally(() => client.disconnect());
  };
}
