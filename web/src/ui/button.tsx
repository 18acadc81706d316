/** Things to press. A button that can't be pressed now says why. */
import { Tooltip } from "@base-ui/react/tooltip";
import type { ComponentProps, ReactNode } from "react";

export type ButtonKind = "main" | "plain" | "quiet" | "danger";

interface ButtonProps extends Omit<ComponentProps<"button">, "disabled"> {
  kind?: ButtonKind;
  big?: boolean;
  busy?: boolean;
  /** Why it can't be pressed now. It stays reachable by keyboard, and its tip tells the reason. */
  blocked?: string | false | undefined;
}

export function Button({ kind = "plain", big, busy, blocked, className = "", onClick, children, ...rest }: ButtonProps) {
  const off = busy || Boolean(blocked);
  const button = (
    <button
      type="button"
      className={`button ${kind} ${big ? "big" : ""} ${className}`}
      aria-disabled={off || undefined}
      aria-description={blocked || undefined}
      onClick={(event) => (off ? event.preventDefault() : onClick?.(event))}
      {...rest}
    >
      {busy && <span className="wait" aria-hidden />}
      {children}
    </button>
  );
  return blocked ? <Tip text={blocked}>{button}</Tip> : button;
}

interface IconButtonProps extends ComponentProps<"button"> {
  label: string;
}

export function IconButton({ label, className = "", children, ...rest }: IconButtonProps) {
  return (
    <Tip text={label}>
      <button type="button" aria-label={label} className={`icon-button ${className}`} {...rest}>
        {children}
      </button>
    </Tip>
  );
}

const tips = Tooltip.createHandle<ReactNode>();

/** What something is or does, when it's pointed at. All share what is shown: of a list's hundreds one is open at a time. */
export function Tip({ text, children }: { text: ReactNode; children: React.ReactElement<Record<string, unknown>> }) {
  return <Tooltip.Trigger handle={tips} payload={text} render={children} delay={450} />;
}

/** Where tips are shown: once in the app. */
export function Tips() {
  return (
    <Tooltip.Root handle={tips}>
      {({ payload }) => (
        <Tooltip.Portal>
          <Tooltip.Positioner sideOffset={6} className="positioner">
            <Tooltip.Popup className="tip">{payload}</Tooltip.Popup>
          </Tooltip.Positioner>
        </Tooltip.Portal>
      )}
    </Tooltip.Root>
  );
}
