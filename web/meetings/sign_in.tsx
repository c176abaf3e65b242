/** Signing in to the project's Auth, or making an account. */
import { useState } from "preact/hooks";
import { config } from "../data/config.ts";
import { signIn, signUp } from "../data/person.ts";
import { type Problem, toProblem } from "../data/problem.ts";
import { Button } from "../ui/button.tsx";
import { Failure } from "../ui/states.tsx";
import { consent } from "./consent.ts";

export function SignIn() {
  const [isNew, setIsNew] = useState(false);
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<Problem>();
  const [notice, setNotice] = useState<string>();
  const demo = config.value?.demo_user;

  const enter = async (email: string, password: string, making: boolean) => {
    setBusy(true);
    setProblem(undefined);
    setNotice(undefined);
    try {
      if (!making) await signIn(email, password);
      else if (!await signUp(email, password)) {
        setIsNew(false);
        setNotice("Open the link in the e-mail that was sent to you, then sign in here.");
      }
    } catch (error) {
      setProblem(await toProblem(error));
    } finally {
      setBusy(false);
    }
  };

  return (
    <div class="entrance">
      <div class="card stack">
        <div>
          <h1>{isNew ? "Make an account" : "Sign in"}</h1>
          <p class="muted">
            {consent.value
              ? "Calendly has sent you back. Sign in as before, and the connection is finished."
              : "With an account of this project. You see your own meetings, and no others."}
          </p>
        </div>
        <form
          class="stack"
          onSubmit={(event) => {
            event.preventDefault();
            const fields = new FormData(event.currentTarget);
            enter(String(fields.get("email")).trim(), String(fields.get("password")), isNew);
          }}
        >
          <div class="field">
            <label for="email">E-mail</label>
            <input id="email" name="email" type="email" autocomplete="username" required />
          </div>
          <div class="field">
            <label for="password">Password</label>
            <input
              id="password"
              name="password"
              type="password"
              autocomplete={isNew ? "new-password" : "current-password"}
              minLength={isNew ? 6 : undefined}
              required
            />
          </div>
          {problem && <Failure title="That did not work" problem={problem} />}
          {notice && <p role="status">{notice}</p>}
          <div class="actions">
            <Button kind="primary" type="submit" busy={busy}>
              {isNew ? "Make an account" : "Sign in"}
            </Button>
            <Button
              kind="quiet"
              onClick={() => {
                setIsNew(!isNew);
                setProblem(undefined);
              }}
            >
              {isNew ? "I have an account" : "I have no account yet"}
            </Button>
          </div>
        </form>
        {demo && (
          <div class="aside stack">
            <p class="muted">
              This is a local stack: nothing here is real. The demo account is connected to the
              sandbox Calendly.
            </p>
            <div>
              <Button
                icon="user"
                busy={busy}
                onClick={() => enter(demo.email, demo.password, false)}
              >
                Use the demo account
              </Button>
            </div>
          </div>
        )}
      </div>
    </div>
  );
}
