/** A button that opens the emoji picker; the picker's list is loaded when it's first wanted. */
import { Popover } from "@base-ui/react/popover";
import { lazy, Suspense, type ReactNode } from "react";
import { Wait } from "../ui/parts.tsx";

const EmojiPicker = lazy(() => import("./emoji-picker.tsx"));

interface Asked {
  onPick: (emoji: string) => void;
}

const pickers = Popover.createHandle<Asked>();

/** All share one picker: a list has one of these buttons for each message. */
export function EmojiButton({ label, onPick, children }: { label: string; onPick: (emoji: string) => void; children: ReactNode }) {
  return <Popover.Trigger handle={pickers} payload={{ onPick }} className="icon-button" aria-label={label} title={label}>{children}</Popover.Trigger>;
}

/** Where the picker is shown: once on a page with such buttons. */
export function EmojiPopover() {
  return (
    <Popover.Root handle={pickers}>
      {({ payload }) => (
        <Popover.Portal>
          <Popover.Positioner sideOffset={6} align="end" className="positioner">
            <Popover.Popup className="popup emoji-popup" aria-label="Emoji">
              <Suspense fallback={<Wait text="Loading" />}>
                <EmojiPicker onPick={(emoji) => {
                  pickers.close();
                  payload?.onPick(emoji);
                }} />
              </Suspense>
            </Popover.Popup>
          </Popover.Positioner>
        </Popover.Portal>
      )}
    </Popover.Root>
  );
}
