/** Who is signed in decides what is shown. */
import { type Session } from "@supabase/supabase-js";
import { useEffect, useState } from "react";
import { createRoot } from "react-dom/client";
import { Connection } from "./connection.tsx";
import { SignIn } from "./sign_in.tsx";
import "./style.css";
import { supabase } from "./supabase.ts";

function App() {
  const [session, setSession] = useState<Session | null>();
  useEffect(() => {
    const { data } = supabase.auth.onAuthStateChange((_event, session) => setSession(session));
    return () => data.subscription.unsubscribe();
  }, []);

  if (session === undefined) return null; // It is still read from this browser's storage.
  if (session === null) return <SignIn />;
  return (
    <>
      <header>
        <h1>My meetings</h1>
        <span className="account">{session.user.email}</span>
        <button type="button" onClick={() => supabase.auth.signOut()}>
          Sign out
        </button>
      </header>
      <Connection key={session.user.id} userId={session.user.id} />
    </>
  );
}

createRoot(document.getElementById("app")!).render(<App />);
