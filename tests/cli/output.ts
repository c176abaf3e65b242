/** An output that is no terminal and keeps what is written to it. */
import type { Output } from "../../cli/terminal.ts";

export function quietOutput(): { output: Output; text(): string } {
  const decoder = new TextDecoder();
  let text = "";
  const output: Output = {
    isTerminal: () => false,
    writeSync(bytes) {
      text += decoder.decode(bytes, { stream: true });
      return bytes.length;
    },
  };
  return { output, text: () => text };
}
