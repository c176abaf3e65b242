/** Rules of the local stack: who receives its broadcasts, and whose clock its database has. */
import { type Mutation, requests } from "./mutation.ts";

const REFUSES = requests(
  "local/realtime",
  "a topic of another account is refused, and so is everything to anon",
);

export const LOCAL: Mutation[] = [
  {
    breaks: "Realtime asks for the policies with rights of its own",
    file: "local/realtime.sql",
    from: "    perform set_config('role', claims ->> 'role', true);\n",
    to: "",
    caughtBy: [REFUSES],
  },
  {
    breaks: "Realtime leaves its question behind as a message",
    file: "local/realtime.sql",
    from:
      "    raise exception using errcode = 'RB000', message = 'takes back the probe and the role';\n",
    to: "    perform set_config('role', 'none', true);\n",
    caughtBy: [REFUSES],
  },
  {
    breaks: "a broadcast goes to every channel",
    file: "local/realtime.ts",
    from: "if (this.#channels.has(topic)) this.#send(topic,",
    to: "for (const name of this.#channels.keys()) this.#send(name,",
    caughtBy: [REFUSES],
  },
  {
    breaks: "a public channel is joined as if it were private",
    file: "local/realtime.ts",
    from: "    if (!config?.private) {\n",
    to: "    if (!config) {\n",
    caughtBy: [
      requests("local/realtime", "what the local stack has not is refused with the reason"),
    ],
  },
  {
    breaks: "a channel outlasts the token that it was joined with",
    file: "local/realtime.ts",
    from: "    this.#expire(name, claims.exp);\n    this.#reply(",
    to: "    this.#reply(",
    caughtBy: [requests("local/realtime", "a channel closes when its token expires")],
  },
  {
    breaks: "a client on the wire ends the broadcasts of all",
    file: "local/embedded.ts",
    from: "    if (this.#listeners.size === 0) return;\n",
    to: "    if (this.#listeners.size >= 0) return;\n",
    caughtBy: [
      requests(
        "local/realtime",
        "a client of the wire protocol that discards all ends no broadcasts",
      ),
    ],
  },
  {
    breaks: "Postgres stays behind when the sandbox's clock is moved",
    file: "local/clock.ts",
    from: "following.then(set).then(passed)",
    to: "following.then(passed)",
    caughtBy: [requests("local/clock", "Postgres's clock follows the sandbox's")],
  },
];
