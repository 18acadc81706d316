/** A button that opens the emoji picker; the picker's list is loaded when it's first wanted. */
import { Popover } from "@base-ui/react/popover";
import { lazy, Suspense, useEffect, useRef, type ReactNode } from "react";
import { Wait } from "../ui/parts.tsx";

const EmojiPicker = lazy(() => import("./emoji-picker.tsx"));

interface Asked {
  onPick: (emoji: string) => void;
}

const pickers = Popover.createHandle<Asked>();
/** Whose picker is open, if one is. */
let owner: object | null = null;

/** All share one picker: a list has one of these buttons for each message. It goes with its button: what that was for may be gone. */
export function EmojiButton({ label, onPick, children }: { label: string; onPick: (emoji: string) => void; children: ReactNode }) {
  const self = useRef({});
  useEffect(() => {
    const own = self.current;
    return () => {
      if (owner === own) pickers.close();
    };
  }, []);
  return <Popover.Trigger handle={pickers} payload={{ onPick }} className="icon-button" aria-label={label} title={label} onClick={() => (owner = self.current)}>{children}</Popover.Trigger>;
}

/** Where the picker is shown: once on a page with such buttons. */
export function EmojiPopover() {
  return (
    <Popover.Root handle={pickers} onOpenChange={(open) => (owner = open ? owner : null)}>
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
