/** What a process has used, where the system has /proc (Linux); elsewhere nothing is known. */

const TICKS_A_SECOND = 100;
const UNKNOWN = { cpuSeconds: NaN, peakMegabytes: NaN };

export async function usageOf(
  pid: number | undefined,
): Promise<{ cpuSeconds: number; peakMegabytes: number }> {
  if (pid === undefined) return UNKNOWN;
  try {
    const stat = await Deno.readTextFile(`/proc/${pid}/stat`);
    const status = await Deno.readTextFile(`/proc/${pid}/status`);
    // After the name, which is in brackets and may contain spaces.
    const [user, system] = stat.slice(stat.lastIndexOf(")")).split(" ").slice(12, 14).map(Number);
    return {
      cpuSeconds: (user + system) / TICKS_A_SECOND,
      peakMegabytes: Number(status.match(/VmHWM:\s+(\d+) kB/)![1]) / 1024,
    };
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return UNKNOWN;
    throw error;
  }
}
