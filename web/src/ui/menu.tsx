/** A list of acts that opens from a button. */
import { Menu as Base } from "@base-ui/react/menu";
import type { ReactElement, ReactNode } from "react";

export interface MenuEntry {
  label: string;
  icon?: ReactNode;
  bad?: boolean;
  onSelect: () => void;
}

interface MenuProps {
  trigger: ReactElement<Record<string, unknown>>;
  entries: (MenuEntry | "line" | null)[];
  align?: "start" | "end";
}

export function Menu({ trigger, entries, align = "start" }: MenuProps) {
  return (
    <Base.Root>
      <Base.Trigger render={trigger} />
      <Base.Portal>
        <Base.Positioner sideOffset={6} align={align} className="positioner">
          <Base.Popup className="popup">
            {entries.map((entry, at) =>
              entry === null ? null : entry === "line" ? (
                <Base.Separator key={at} className="menu-line" />
              ) : (
                <Base.Item key={entry.label} className={`menu-item ${entry.bad ? "bad" : ""}`} onClick={entry.onSelect}>
                  {entry.icon}
                  {entry.label}
                </Base.Item>
              ),
            )}
          </Base.Popup>
        </Base.Positioner>
      </Base.Portal>
    </Base.Root>
  );
}
