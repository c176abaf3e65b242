/** Connects Calendly, and then syncs it by a button. */
import { type SubmitEvent, useCallback, useEffect, useState } from "react";
import { Meetings } from "./meetings.tsx";
import { call, reasonOf } from "./supabase.ts";

interface Status {
  state: "active" | "reconnect_required" | "disconnected";
}

export function Connection({ userId }: { userId: string }) {
  const [status, setStatus] = useState<Status>();
  const [problem, setProblem] = useState("");
  const load = useCallback(() => {
    setProblem("");
    call<Status>("calendly-connect", "GET")
      .then(setStatus, (error) => setProblem(reasonOf(error)));
  }, []);
  useEffect(load, [load]);

  if (problem) {
    return (
      <main>
        <p className="problem" role="alert">{problem}</p>
        <button type="button" onClick={load}>Try again</button>
      </main>
    );
  }
  if (!status) return <main aria-busy="true" />;
  if (status.state !== "active") {
    return (
      <Connect
        again={status.state === "reconnect_required"}
        onConnected={setStatus}
      />
    );
  }
  return (
    <main>
      <SyncButton />
      <Meetings userId={userId} />
    </main>
  );
}

function Connect(
  { again, onConnected }: {
    again: boolean;
    onConnected: (status: Status) => void;
  },
) {
  const [problem, setProblem] = useState("");
  const [busy, setBusy] = useState(false);

  async function submit(event: SubmitEvent<HTMLFormElement>) {
    event.preventDefault();
    const token = String(new FormData(event.currentTarget).get("token"));
    setBusy(true);
    try {
      onConnected(await call<Status>("calendly-connect", "POST", { token })); // and syncs
    } catch (error) {
      setProblem(reasonOf(error));
      setBusy(false);
    }
  }

  return (
    <main className="narrow">
      <h2>{again ? "Connect Calendly again" : "Connect Calendly"}</h2>
      <p>
        Make a personal access token at{" "}
        <a href="https://calendly.com/integrations/api_webhooks">
          Calendly, API and webhooks
        </a>{" "}
        and paste it here. It is kept encrypted.
      </p>
      <form onSubmit={submit}>
        <label>
          Personal access token
          <input name="token" type="password" autoComplete="off" required />
        </label>
        <p className="problem" role="alert">{problem}</p>
        <button type="submit" className="primary" disabled={busy}>
          {busy ? "Connecting…" : "Connect"}
        </button>
      </form>
    </main>
  );
}

interface SyncResult {
  status: "complete" | "paused";
  sync_type: "FULL" | "INCREMENTAL";
  created: number;
  updated: number;
  deleted: number;
}

function SyncButton() {
  const [message, setMessage] = useState("");
  const [busy, setBusy] = useState(false);

  async function sync() {
    setBusy(true);
    setMessage("");
    try {
      const { status, sync_type, created, updated, deleted } = await call<
        SyncResult
      >(
        "calendly-sync",
        "POST",
      );
      const counts = `${created} new, ${updated} updated, ${deleted} deleted`;
      setMessage(`${sync_type} sync ${status}: ${counts}`);
    } catch (error) {
      setMessage(reasonOf(error));
    }
    setBusy(false);
  }

  return (
    <div className="sync">
      <button type="button" className="primary" onClick={sync} disabled={busy}>
        {busy ? "Syncing…" : "Sync Calendly"}
      </button>
      <span role="status">{message}</span>
    </div>
  );
}
