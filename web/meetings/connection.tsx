/** The connection to Calendly: what it is, webhooks on and off, its end. */
import { useState } from "preact/hooks";
import { callAsPerson } from "../data/person.ts";
import { type Problem, toProblem } from "../data/problem.ts";
import { Button } from "../ui/button.tsx";
import { Dialog, Drawer } from "../ui/dialog.tsx";
import { Status } from "../ui/status.tsx";
import { Time } from "../ui/time.tsx";
import { toast } from "../ui/toast.tsx";
import { Advice } from "./advice.tsx";
import { Connect } from "./connect.tsx";
import type { Connection, Situation } from "./data.ts";
import { plural, webhookWords } from "./words.ts";

interface Properties {
  situation: Situation;
  /** Something has changed: read the situation again. */
  onChanged: () => void;
  onClose: () => void;
}

export function ConnectionDrawer({ situation, onChanged, onClose }: Properties) {
  const { connection, self, byOrganization, health } = situation;
  const [disconnecting, setDisconnecting] = useState(false);
  const refused = connection?.state === "reconnect_required";
  return (
    <Drawer title="Connection to Calendly" onClose={onClose}>
      <div class="stack">
        <dl class="facts">
          <dt>Calendly user</dt>
          <dd>
            {self?.name ?? "Without a name"}
            {self?.email && <div class="muted">{self.email}</div>}
          </dd>
          <dt>State</dt>
          <dd>
            {refused || health?.connection_state === "reconnect_required"
              ? <Status tone="bad">Calendly refuses the token</Status>
              : <Status tone="good">connected</Status>}
          </dd>
          {connection && <Facts connection={connection} />}
          {byOrganization && (
            <>
              <dt>By</dt>
              <dd>
                your organization’s connection. To have one of your own, connect below.
              </dd>
            </>
          )}
        </dl>
        {connection && !refused && <Webhooks situation={situation} onChanged={onChanged} />}
        {situation.users.length > 1 && <Members situation={situation} />}
        <section class="stack" aria-labelledby="again">
          <h3 id="again">{byOrganization ? "Connect yourself" : "Connect again"}</h3>
          {!refused && (
            <p class="muted">
              With a new token, another scope, or another Calendly user. Your meetings stay.
            </p>
          )}
          <Again
            open={refused}
            onConnected={() => {
              toast("Connected. The sync has begun.");
              onChanged();
              onClose();
            }}
          />
        </section>
        {(connection || byOrganization) && (
          <section class="stack" aria-labelledby="end">
            <h3 id="end">Disconnect</h3>
            <p class="muted">The token is deleted here and the webhook ended at Calendly.</p>
            <div>
              <Button kind="danger" onClick={() => setDisconnecting(true)}>Disconnect…</Button>
            </div>
          </section>
        )}
      </div>
      {disconnecting && (
        <Disconnect
          onClose={() => setDisconnecting(false)}
          onDone={() => {
            setDisconnecting(false);
            onChanged();
            onClose();
          }}
        />
      )}
    </Drawer>
  );
}

function Facts({ connection }: { connection: Connection }) {
  const { scope, members, connected_at, next_sync_at, rate_limit, rate_remaining } = connection;
  return (
    <>
      <dt>Whose meetings</dt>
      <dd>
        {scope === "user"
          ? "Your own"
          : members === "everyone"
          ? "Your organization’s, of all hosts"
          : "Your organization’s, of members with an account here"}
      </dd>
      <dt>Connected</dt>
      <dd>
        <Time at={connected_at} />
      </dd>
      <dt>Next sync</dt>
      <dd>{next_sync_at === null ? "on a click" : <Time at={next_sync_at} />}</dd>
      {rate_limit !== null && (
        <>
          <dt>Rate limit</dt>
          <dd>
            {rate_remaining ?? "?"} of {plural(rate_limit, "request")}{" "}
            a minute were left after the last one
          </dd>
        </>
      )}
    </>
  );
}

function Webhooks({ situation, onChanged }: { situation: Situation; onChanged: () => void }) {
  const { connection, health } = situation;
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<Problem>();
  const { tone, word, meaning } = webhookWords(connection, health);
  const on = connection!.webhooks_wanted || connection!.webhook_state === "active";
  const change = async (method: "POST" | "DELETE") => {
    setBusy(true);
    setProblem(undefined);
    try {
      await callAsPerson("calendly-connect/webhooks", { method, body: {} });
      toast(method === "POST" ? "Webhooks are on" : "Webhooks are off");
    } catch (error) {
      setProblem(await toProblem(error));
    } finally {
      setBusy(false);
      onChanged();
    }
  };
  const stored = connection!.webhook_error as { message?: string; hint?: string } | null;
  return (
    <section class="stack" aria-labelledby="webhooks">
      <h3 id="webhooks">Webhooks</h3>
      <div>
        <Status tone={tone}>{word}</Status>
        <p class="muted">{meaning}</p>
        {connection!.webhooks_checked_at && (
          <p class="muted">
            Last seen at Calendly <Time at={connection!.webhooks_checked_at} />.
          </p>
        )}
        {stored?.message && <p>{stored.message} {stored.hint}</p>}
      </div>
      {problem && <Advice problem={problem} />}
      <div class="actions">
        {(!on || tone === "warn") && (
          <Button busy={busy} onClick={() => change("POST")}>Switch webhooks on</Button>
        )}
        {on && <Button busy={busy} onClick={() => change("DELETE")}>Switch webhooks off</Button>}
      </div>
    </section>
  );
}

function Members({ situation: { users, self } }: { situation: Situation }) {
  return (
    <section class="stack" aria-labelledby="members">
      <h3 id="members">{users.length} hosts whose meetings you see</h3>
      <ul class="members">
        {users.map((user) => (
          <li key={user.id}>
            <span>
              {user.name ?? user.email ?? `User ${user.id}`}
              {user.id === self?.id && <span class="muted">(you)</span>}
            </span>
            <span class="muted">
              {user.auth_user_id === null ? "no account here" : "has an account"}
            </span>
          </li>
        ))}
      </ul>
    </section>
  );
}

/** Folded away while the connection works: it is seldom wanted then. */
function Again({ open, onConnected }: { open: boolean; onConnected: () => void }) {
  const [shown, setShown] = useState(open);
  return shown ? <Connect onConnected={onConnected} /> : (
    <div>
      <Button onClick={() => setShown(true)}>Connect again…</Button>
    </div>
  );
}

function Disconnect({ onClose, onDone }: { onClose: () => void; onDone: () => void }) {
  const [erase, setErase] = useState(false);
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<Problem>();
  const disconnect = async () => {
    setBusy(true);
    setProblem(undefined);
    try {
      const { erased_meetings } = await callAsPerson<{ erased_meetings?: number }>(
        "calendly-connect",
        { method: "DELETE", body: { erase } },
      );
      toast(
        erased_meetings === undefined
          ? "Disconnected. Your meetings stay."
          : `Disconnected, and ${plural(erased_meetings, "meeting")} erased.`,
      );
      onDone();
    } catch (error) {
      setProblem(await toProblem(error));
      setBusy(false);
    }
  };
  return (
    <Dialog
      title="Disconnect from Calendly?"
      onClose={onClose}
      actions={
        <>
          <Button onClick={onClose}>Stay connected</Button>
          <Button kind="danger" busy={busy} onClick={disconnect}>
            {erase ? "Disconnect and erase" : "Disconnect"}
          </Button>
        </>
      }
    >
      <div class="stack">
        <p>Nothing changes at Calendly. Here the meetings are not kept in step any more.</p>
        <fieldset class="choices">
          <legend>Your meetings here</legend>
          <label class="choice">
            <input type="radio" name="erase" checked={!erase} onChange={() => setErase(false)} />
            <span>
              Keep them
              <span class="muted">
                As they are now. They go on where they stopped if you connect again.
              </span>
            </span>
          </label>
          <label class="choice">
            <input type="radio" name="erase" checked={erase} onChange={() => setErase(true)} />
            <span>
              Erase them
              <span class="muted">
                With their invitees, runs and deliveries. This cannot be undone.
              </span>
            </span>
          </label>
        </fieldset>
        {problem && <Advice problem={problem} />}
      </div>
    </Dialog>
  );
}
