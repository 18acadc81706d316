/** Whether this browser is still signed in. The node keeps it for 30 days, also when it starts again, unless all are signed out. */
import { useSyncExternalStore } from "react";

let out = false;
const listeners = new Set<() => void>();

export function setSignedOut(): void {
  if (out) return;
  out = true;
  for (const listener of listeners) listener();
}

const subscribe = (listener: () => void) => {
  listeners.add(listener);
  return () => void listeners.delete(listener);
};

export const useSignedOut = (): boolean => useSyncExternalStore(subscribe, () => out);
