/** The windows over the page, loaded when one is first opened, and the keys that open them. */
import { lazy, Suspense, useEffect } from "react";
import { useLocation } from "wouter";
import { singleKeys } from "../lib/settings.ts";
import { closeOverlay, isOverlayOpen, openOverlay, useOverlay } from "./overlay-state.ts";

const Palette = lazy(() => import("./palette.tsx"));
const Shortcuts = lazy(() => import("./shortcuts.tsx"));
const InviteDialog = lazy(() => import("../people/invite.tsx"));
const LinkDevice = lazy(() => import("../people/link-device.tsx"));
const NewChannel = lazy(() => import("../chat/new-channel.tsx"));

const isWriting = (target: EventTarget | null): boolean =>
  target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName));

/** Keys that work everywhere. Alone standing ones don't while somebody writes. */
function useKeys(space: string | null): void {
  const [, go] = useLocation();
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      const command = event.ctrlKey || event.metaKey;
      if (command && event.key.toLowerCase() === "k") {
        event.preventDefault();
        openOverlay({ kind: "palette" });
        return;
      }
      if (command || event.altKey || !singleKeys() || isOverlayOpen() || isWriting(event.target)) return;
      if (event.key === "?") openOverlay({ kind: "shortcuts" });
      else if (event.key === "/" && space) {
        event.preventDefault();
        openOverlay({ kind: "palette" });
      } else if (event.key === "n") go("/network");
      else if (event.key === "p" && space) go(`/s/${space}/people`);
      else if (event.key === "d" && space) go(`/s/${space}/data`);
      else if (event.key === ",") go("/settings");
    };
    window.addEventListener("keydown", onKey);
    return () => window.removeEventListener("keydown", onKey);
  }, [go, space]);
}

export function Overlays({ space }: { space: string | null }) {
  useKeys(space);
  const overlay = useOverlay();
  if (!overlay) return null;
  return (
    <Suspense fallback={null}>
      {overlay.kind === "palette" && <Palette space={space} onClose={closeOverlay} />}
      {overlay.kind === "shortcuts" && <Shortcuts onClose={closeOverlay} />}
      {overlay.kind === "invite" && <InviteDialog space={overlay.space} onClose={closeOverlay} />}
      {overlay.kind === "link-device" && <LinkDevice onClose={closeOverlay} />}
      {overlay.kind === "new-channel" && <NewChannel space={overlay.space} onClose={closeOverlay} />}
    </Suspense>
  );
}
