/** My meetings: what a signed-in person sees, with that person's rights only. */
export function MeetingsPage() {
  return <h1>My meetings</h1>;
}
