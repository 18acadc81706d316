/** A text that is being written somewhere else than in a conversation's composer, kept in this browser until it is done with. */
import { useState } from "react";
import { read, write } from "./store.ts";

export interface Kept {
  text: string;
  set: (text: string) => void;
  /** Whether it was begun before, and found again. */
  found: boolean;
  /** Back to how it began. */
  reset: () => void;
  /** It was saved or given up: nothing of it is kept. */
  drop: () => void;
}

/** `initial` is what there is to change; a text that is no different from it isn't kept. */
export function useKept(key: string, initial: string): Kept {
  const [text, setText] = useState(() => read(key) ?? initial);
  const [found, setFound] = useState(() => read(key) !== null);
  const set = (next: string) => {
    setText(next);
    write(key, next === initial ? null : next);
  };
  const drop = () => write(key, null);
  const reset = () => {
    setFound(false);
    set(initial);
  };
  return { text, set, found, reset, drop };
}
