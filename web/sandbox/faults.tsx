/** Faults of Calendly on demand, and an end to them. */
import type { Overview } from "../../sandbox/overview.ts";
import { Button } from "../ui/button.tsx";
import { Icon } from "../ui/icon.tsx";
import { Status } from "../ui/status.tsx";
import type { Act } from "./panel.tsx";
import { countFaults, FAULTS, isActive } from "./words.ts";

export function Faults({ overview, act }: { overview: Overview; act: Act }) {
  const count = countFaults(overview);
  const inForce = FAULTS.filter((fault) => isActive(fault, overview, overview.user));
  return (
    <section aria-labelledby="sandbox-faults">
      <div class="section-head">
        <h3 id="sandbox-faults">Faults</h3>
        <Status tone={count > 0 ? "warn" : "idle"}>
          {count > 0 ? `${count} in force` : "none"}
        </Status>
      </div>
      <div class="faults">
        {FAULTS.map((fault) => {
          const pressed = inForce.includes(fault);
          return (
            <Button
              key={fault.id}
              class="fault"
              icon={pressed ? "warning" : undefined}
              title={fault.means}
              aria-pressed={pressed}
              disabled={pressed}
              onClick={() =>
                fault.webhooks
                  ? act("webhook_fault", fault.webhooks, () => `From now on: ${fault.name}`)
                  : act(
                    "faults",
                    { rules: fault.rules!(overview.user) },
                    () => `From now on: ${fault.name}`,
                  )}
            >
              {fault.name}
            </Button>
          );
        })}
      </div>
      {count > 0 && (
        <div class="in-force">
          {inForce.map(({ id, means }) => (
            <p key={id}>
              <Icon name="warning" /> {means}
            </p>
          ))}
          <Button
            icon="check"
            onClick={() => act("clear_faults", {}, () => "Calendly works again")}
          >
            Stop all faults
          </Button>
        </div>
      )}
    </section>
  );
}
