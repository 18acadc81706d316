/** Which window stands over the page: opened from many places, shown in one. */
import { useSyncExternalStore } from "react";

export type Overlay =
  | { kind: "palette" }
  | { kind: "shortcuts" }
  | { kind: "invite"; space: string }
  | { kind: "link-device" }
  | { kind: "new-channel"; space: string }
  | null;

let overlay: Overlay = null;
const listeners = new Set<() => void>();

export function openOverlay(next: Overlay): void {
  overlay = next;
  for (const listener of listeners) listener();
}

export const openInvite = (space: string): void => openOverlay({ kind: "invite", space });
export const closeOverlay = (): void => openOverlay(null);
export const isOverlayOpen = (): boolean => overlay !== null;

const subscribe = (listener: () => void) => {
  listeners.add(listener);
  return () => void listeners.delete(listener);
};

export const useOverlay = (): Overlay => useSyncExternalStore(subscribe, () => overlay);
