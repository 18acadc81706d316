/** A button that opens the emoji picker; the picker's list is loaded when it's first wanted. */
import { Popover } from "@base-ui/react/popover";
import { lazy, Suspense, useState, type ReactNode } from "react";
import { Wait } from "../ui/parts.tsx";

const EmojiPicker = lazy(() => import("./emoji-picker.tsx"));

export function EmojiButton({ label, onPick, children }: { label: string; onPick: (emoji: string) => void; children: ReactNode }) {
  const [open, setOpen] = useState(false);
  const pick = (emoji: string) => {
    setOpen(false);
    onPick(emoji);
  };
  return (
    <Popover.Root open={open} onOpenChange={setOpen}>
      <Popover.Trigger className="icon-button" aria-label={label} title={label}>{children}</Popover.Trigger>
      <Popover.Portal>
        <Popover.Positioner sideOffset={6} align="end" className="positioner">
          <Popover.Popup className="popup emoji-popup" aria-label="Emoji">
            <Suspense fallback={<Wait text="Loading" />}><EmojiPicker onPick={pick} /></Suspense>
          </Popover.Popup>
        </Popover.Positioner>
      </Popover.Portal>
    </Popover.Root>
  );
}
