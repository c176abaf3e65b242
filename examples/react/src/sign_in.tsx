/** Signs in, or makes an account. */
import { type SubmitEvent, useState } from "react";
import { supabase } from "./supabase.ts";

export function SignIn() {
  const [message, setMessage] = useState("");
  const [busy, setBusy] = useState(false);

  async function submit(event: SubmitEvent<HTMLFormElement>) {
    event.preventDefault();
    const form = new FormData(event.currentTarget, event.nativeEvent.submitter);
    const credentials = {
      email: String(form.get("email")),
      password: String(form.get("password")),
    };
    setBusy(true);
    const { data, error } = form.get("action") === "sign-up"
      ? await supabase.auth.signUp(credentials)
      : await supabase.auth.signInWithPassword(credentials);
    setBusy(false);
    if (error) setMessage(error.message);
    else if (!data.session) {
      setMessage("Open the link in the e-mail that was sent to you.");
    }
  }

  return (
    <main className="narrow">
      <h1>My meetings</h1>
      <form onSubmit={submit}>
        <label>
          E-mail
          <input name="email" type="email" autoComplete="username" required />
        </label>
        <label>
          Password
          <input
            name="password"
            type="password"
            autoComplete="current-password"
            required
          />
        </label>
        <p className="problem" role="alert">{message}</p>
        <div className="buttons">
          <button type="submit" className="primary" disabled={busy}>
            Sign in
          </button>
          <button type="submit" name="action" value="sign-up" disabled={busy}>
            Sign up
          </button>
        </div>
      </form>
    </main>
  );
}
