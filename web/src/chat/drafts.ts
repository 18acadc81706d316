/** What is being written: in this browser at every letter, on the node a moment later, so that it's there in another browser too. */
import { useCallback, useEffect, useRef, useState } from "react";
import { api } from "../api/client.ts";
import { follow, read, write } from "../lib/store.ts";

const PAUSE_MS = 1500;

/** `of` names the channel, or a thread in it; only a channel's own draft goes to the node. */
export function useDraft(space: string, channel: string, thread: string | null, kept: string): [string, (text: string) => void] {
  const key = `draft.${space}.${channel}${thread ? `.${thread}` : ""}`;
  const [text, setText] = useState(() => read(key) ?? kept);
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
  const own = useRef<string | null>(null);
  // Another tab wrote on. Its text is newer, since only one can have the keyboard.
  useEffect(() => follow(key, () => {
    const stored = read(key) ?? "";
    if (stored !== own.current) setText(stored);
  }), [key]);
  useEffect(() => () => clearTimeout(timer.current), []);
  const change = useCallback((next: string) => {
    own.current = next;
    setText(next);
    write(key, next);
    if (thread) return;
    clearTimeout(timer.current);
    // A draft that doesn't reach the node is still here.
    timer.current = setTimeout(() => void api.saveDraft(space, channel, next).catch(() => undefined), PAUSE_MS);
  }, [channel, key, space, thread]);
  return [text, change];
}
