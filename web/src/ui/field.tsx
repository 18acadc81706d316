/** A labelled place to write, with its hint and what is wrong with what stands in it. */
import { useId, type ComponentProps } from "react";

interface FieldProps extends ComponentProps<"input"> {
  label: string;
  hint?: string | undefined;
  wrong?: string | null | undefined;
}

export function Field({ label, hint, wrong, id, className = "", ...rest }: FieldProps) {
  const made = useId();
  const at = id ?? made;
  return (
    <div className="field">
      <label htmlFor={at}>{label}</label>
      <input
        id={at}
        className={`input ${className}`}
        aria-invalid={Boolean(wrong)}
        aria-describedby={wrong ? `${at}-wrong` : hint ? `${at}-hint` : undefined}
        {...rest}
      />
      {wrong ? <p id={`${at}-wrong`} className="wrong" role="alert">{wrong}</p> : hint && <p id={`${at}-hint`} className="hint">{hint}</p>}
    </div>
  );
}

interface ChoiceProps<T extends string> {
  label: string;
  value: T;
  options: { value: T; label: string }[];
  onChange: (value: T) => void;
}

/** One of a few, all of them in sight. */
export function Choice<T extends string>({ label, value, options, onChange }: ChoiceProps<T>) {
  const name = useId();
  return (
    <div className="choice" role="radiogroup" aria-label={label}>
      {options.map((option) => (
        <label key={option.value}>
          <input type="radio" name={name} checked={option.value === value} onChange={() => onChange(option.value)} />
          {option.label}
        </label>
      ))}
    </div>
  );
}
