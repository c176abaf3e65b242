/** The sandbox Calendly beside the page: make something happen there, and watch what happens here. */
import { SidePanel } from "../ui/dialog.tsx";

export function SandboxPanel({ onClose }: { onClose: () => void }) {
  return <SidePanel title="Sandbox Calendly" onClose={onClose}>{null}</SidePanel>;
}
