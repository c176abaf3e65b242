/** Connecting to Calendly: by its consent page, or by a personal access token. */
import { useState } from "preact/hooks";
import { config } from "../data/config.ts";
import { callAsPerson } from "../data/person.ts";
import { type Problem, toProblem } from "../data/problem.ts";
import { Button, LinkButton } from "../ui/button.tsx";
import { Dialog } from "../ui/dialog.tsx";
import { Advice } from "./advice.tsx";

interface Choice {
  scope: "user" | "organization";
  members?: "accounts" | "everyone";
  replace?: boolean;
}

interface Properties {
  /** Called when a connection is made. */
  onConnected: () => void;
  /** What went wrong on the way back from Calendly. */
  problem?: Problem;
}

export function Connect({ onConnected, problem: earlier }: Properties) {
  const [scope, setScope] = useState<"user" | "organization">("user");
  const [members, setMembers] = useState<"accounts" | "everyone">("accounts");
  const [token, setToken] = useState("");
  const [busy, setBusy] = useState<"token" | "oauth">();
  const [problem, setProblem] = useState(earlier);
  /** What is repeated once the person has agreed to lose the former Calendly user's meetings. */
  const [replacing, setReplacing] = useState<(choice: Choice) => Promise<void>>();

  const choice: Choice = scope === "organization" ? { scope, members } : { scope };

  const attempt = async (
    way: "token" | "oauth",
    work: (choice: Choice) => Promise<void>,
    agreed: Choice,
  ) => {
    setBusy(way);
    setProblem(undefined);
    try {
      await work(agreed);
    } catch (error) {
      const caught = await toProblem(error);
      if (caught.code === "another_calendly_user" && !agreed.replace) {
        setReplacing(() => (replace: Choice) => attempt(way, work, replace));
      } else setProblem(caught);
    } finally {
      setBusy(undefined);
    }
  };
  const byToken = async (agreed: Choice) => {
    await callAsPerson("calendly-connect", { body: { token: token.trim(), ...agreed } });
    setToken("");
    onConnected();
  };
  const byConsent = async (agreed: Choice) => {
    const { url } = await callAsPerson<{ url: string }>("calendly-connect/oauth/start", {
      body: agreed,
    });
    location.assign(url);
  };

  return (
    <div class="connect">
      <fieldset class="choices">
        <legend>Whose meetings</legend>
        <label class="choice">
          <input
            type="radio"
            name="scope"
            checked={scope === "user"}
            onChange={() => setScope("user")}
          />
          <span>
            My own
            <span class="muted">Needs no rights in the organization.</span>
          </span>
        </label>
        <label class="choice">
          <input
            type="radio"
            name="scope"
            checked={scope === "organization"}
            onChange={() => setScope("organization")}
          />
          <span>
            My organization’s
            <span class="muted">For its owner or an admin: one connection for all members.</span>
          </span>
        </label>
      </fieldset>
      {scope === "organization" && (
        <fieldset class="choices">
          <legend>Of which members</legend>
          <label class="choice">
            <input
              type="radio"
              name="members"
              checked={members === "accounts"}
              onChange={() => setMembers("accounts")}
            />
            <span>
              Who have an account here
              <span class="muted">Each sees the own meetings.</span>
            </span>
          </label>
          <label class="choice">
            <input
              type="radio"
              name="members"
              checked={members === "everyone"}
              onChange={() => setMembers("everyone")}
            />
            <span>
              Everyone
              <span class="muted">You see the meetings of all hosts.</span>
            </span>
          </label>
        </fieldset>
      )}
      {problem && <Advice problem={problem} />}
      <div class="ways">
        <section class="card stack" aria-labelledby="by-consent">
          <h3 id="by-consent">With Calendly’s consent page</h3>
          <p class="muted">
            You sign in at Calendly and allow the access. No token to copy.
            {config.value?.kind === "hosted" &&
              " Calendly then leads to your app (CALENDLY_RETURN_URL), not back to this page."}
          </p>
          <div>
            <Button
              kind="primary"
              icon="external"
              busy={busy === "oauth"}
              onClick={() => attempt("oauth", byConsent, choice)}
            >
              Connect with Calendly
            </Button>
          </div>
        </section>
        <section class="card stack" aria-labelledby="by-token">
          <h3 id="by-token">With a personal access token</h3>
          <form
            class="stack"
            onSubmit={(event) => {
              event.preventDefault();
              attempt("token", byToken, choice);
            }}
          >
            <div class="field">
              <label for="token">Token</label>
              <input
                id="token"
                type="password"
                autocomplete="off"
                spellcheck={false}
                required
                value={token}
                onInput={(event) => setToken(event.currentTarget.value)}
                aria-describedby="token-help"
              />
              <p id="token-help" class="muted">
                {config.value?.sandbox
                  ? "The sandbox’s demo host has the token “sandbox-demo-token”."
                  : "At Calendly: Integrations & apps, API and webhooks, Personal access tokens."}
              </p>
            </div>
            <div class="actions">
              <Button type="submit" busy={busy === "token"}>Connect with the token</Button>
              {!config.value?.sandbox && (
                <LinkButton
                  kind="quiet"
                  icon="external"
                  href="https://calendly.com/integrations/api_webhooks"
                >
                  Open Calendly
                </LinkButton>
              )}
            </div>
          </form>
          <p class="muted">It is stored encrypted, and never shown again.</p>
        </section>
      </div>
      {replacing && (
        <Dialog
          title="Change over to another Calendly user?"
          onClose={() => setReplacing(undefined)}
          actions={
            <>
              <Button onClick={() => setReplacing(undefined)}>Keep what I have</Button>
              <Button
                kind="danger"
                onClick={() => {
                  setReplacing(undefined);
                  replacing({ ...choice, replace: true });
                }}
              >
                Erase here and change over
              </Button>
            </>
          }
        >
          <p>
            Your meetings here come from another Calendly user. They are erased from this project,
            so that the two are not mixed. Nothing is erased at Calendly.
          </p>
        </Dialog>
      )}
    </div>
  );
}
