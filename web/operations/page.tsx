/** Operations: everything of the project, where the page's server holds the secret key. */
export function OperationsPage() {
  return <h1>Operations</h1>;
}
