/** Every verb of the sandbox with all that it takes: the form is made from the verb's schema. */
import { useId, useRef, useState } from "preact/hooks";
import { sandboxVerb } from "../data/operator.ts";
import { type Problem, toProblem } from "../data/problem.ts";
import { useResource } from "../data/resource.ts";
import { Button } from "../ui/button.tsx";
import { Failure, Skeleton } from "../ui/states.tsx";
import { argumentOf, complaints, type Field, fieldsOf, type JsonSchema } from "./schema.ts";

type Verbs = Record<string, { description: string; arguments: JsonSchema }>;

export function AllVerbs({ onDone }: { onDone: () => void }) {
  const { data, problem, reload } = useResource<Verbs>(() => sandboxVerb("describe"), []);
  const [verb, setVerb] = useState("book");
  const id = useId();
  if (problem && !data) return <Failure problem={problem} retry={reload} />;
  if (!data) return <Skeleton lines={4} height={44} />;
  const { description, arguments: schema } = data[verb];
  return (
    <div class="stack">
      <div class="field">
        <label for={id}>Verb</label>
        <select
          id={id}
          value={verb}
          aria-describedby={`${id}-hint`}
          onChange={(event) => setVerb(event.currentTarget.value)}
        >
          {Object.keys(data).map((name) => <option key={name} value={name}>{name}</option>)}
        </select>
        <p id={`${id}-hint`} class="muted">{description}</p>
      </div>
      <VerbForm key={verb} verb={verb} schema={schema} onDone={onDone} />
    </div>
  );
}

function VerbForm(
  { verb, schema, onDone }: { verb: string; schema: JsonSchema; onDone: () => void },
) {
  const fields = fieldsOf(schema);
  const [typed, setTyped] = useState<Record<string, string>>({});
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<Problem>();
  const [answer, setAnswer] = useState<string>();
  const form = useRef<HTMLFormElement>(null);
  const found = problem ? complaints(fields, problem.message) : {};

  async function submit(event: Event) {
    event.preventDefault();
    if (busy) return;
    setBusy(true);
    setAnswer(undefined);
    try {
      const result = await sandboxVerb(verb, argumentOf(fields, typed));
      setProblem(undefined);
      setAnswer(result === null ? "Done." : JSON.stringify(result, null, 2));
      onDone();
    } catch (error) {
      const refused = await toProblem(error);
      setProblem(refused);
      const [name] = Object.keys(complaints(fields, refused.message));
      if (name) form.current?.querySelector<HTMLElement>(`[name="${name}"]`)?.focus();
    }
    setBusy(false);
  }

  return (
    <form ref={form} class="stack verb" onSubmit={submit} noValidate>
      {fields.map((field) => (
        <FieldInput
          key={field.name}
          field={field}
          value={typed[field.name] ?? ""}
          complaint={found[field.name]}
          onInput={(value) => setTyped((before) => ({ ...before, [field.name]: value }))}
        />
      ))}
      {problem && <Failure problem={problem} />}
      <div class="actions">
        <Button type="submit" kind="primary" busy={busy}>Run {verb}</Button>
      </div>
      {answer !== undefined && (
        <pre role="region" aria-label={`What ${verb} answered`} tabIndex={0}>{answer}</pre>
      )}
    </form>
  );
}

function FieldInput(
  { field, value, complaint, onInput }: {
    field: Field;
    value: string;
    complaint?: string;
    onInput: (value: string) => void;
  },
) {
  const id = useId();
  const common = {
    id,
    name: field.name,
    value,
    "aria-describedby": `${id}-hint`,
    "aria-invalid": complaint !== undefined || undefined,
    "aria-required": field.required || undefined,
  };
  return (
    <div class="field">
      <label for={id}>
        {field.label}
        {field.required && <span class="muted">(needed)</span>}
      </label>
      {field.kind === "choice" || field.kind === "yes_no"
        ? (
          <select {...common} onChange={(event) => onInput(event.currentTarget.value)}>
            <option value="">not given</option>
            {(field.kind === "yes_no" ? ["yes", "no"] : field.choices).map((choice) => (
              <option key={choice} value={choice}>{choice}</option>
            ))}
          </select>
        )
        : field.kind === "json" || field.kind === "text_or_json"
        ? (
          <textarea
            {...common}
            rows={2}
            class="code"
            placeholder={field.kind === "json" ? "JSON" : "Text or JSON"}
            onInput={(event) => onInput(event.currentTarget.value)}
          />
        )
        : (
          <input
            {...common}
            type="text"
            inputMode={field.kind === "number" ? "decimal" : "text"}
            autoComplete="off"
            onInput={(event) => onInput(event.currentTarget.value)}
          />
        )}
      <p id={`${id}-hint`} class={complaint ? "complaint" : "muted"}>{complaint ?? field.hint}</p>
    </div>
  );
}
