/**
 * What this browser remembers: a value in localStorage that components can follow, also when another tab changes it.
 * Where storage is closed to us (private windows) the value lives as long as the page.
 */
import { useSyncExternalStore } from "react";

type Listener = () => void;
const memory = new Map<string, string>();
const listeners = new Map<string, Set<Listener>>();
const PREFIX = "covey.";

export function read(key: string): string | null {
  try {
    return localStorage.getItem(PREFIX + key) ?? memory.get(key) ?? null;
  } catch {
    return memory.get(key) ?? null;
  }
}

export function write(key: string, value: string | null): void {
  try {
    if (value === null) localStorage.removeItem(PREFIX + key);
    else localStorage.setItem(PREFIX + key, value);
    memory.delete(key);
  } catch {
    if (value === null) memory.delete(key);
    else memory.set(key, value);
  }
  tell(key);
}

const tell = (key: string) => listeners.get(key)?.forEach((listener) => listener());

if (typeof window !== "undefined") {
  window.addEventListener("storage", (event) => {
    if (event.key === null) for (const key of listeners.keys()) tell(key);
    else if (event.key.startsWith(PREFIX)) tell(event.key.slice(PREFIX.length));
  });
}

export function follow(key: string, listener: Listener): () => void {
  const set = listeners.get(key) ?? new Set();
  listeners.set(key, set.add(listener));
  return () => void set.delete(listener);
}

export function useStored(key: string): [string | null, (value: string | null) => void] {
  const value = useSyncExternalStore((listener) => follow(key, listener), () => read(key));
  return [value, (next) => write(key, next)];
}
