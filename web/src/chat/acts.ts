/** What is done to messages, shown at once and undone where the node refuses. */
import type { Message } from "@covey/client";
import { useCallback, useEffect, useMemo, useRef, useState } from "react";
import { api } from "../api/client.ts";
import { sentence } from "../lib/format.ts";
import { read, write } from "../lib/store.ts";
import { toastError } from "../ui/toast.tsx";
import type { MessageActs } from "./message.tsx";
import { changeAtOnce } from "./queries.ts";

export interface Editing {
  acts: MessageActs;
  editing: string | null;
  /** Why the node didn't take the text that is being edited. */
  refused: string | null;
  removing: Message | null;
  finishEdit: (message: Message, text: string | null) => void;
  stopRemoving: () => void;
}

export function toggled(reactions: Message["reactions"], emoji: string, user: string): { reactions: Message["reactions"]; on: boolean } {
  const users = reactions[emoji] ?? [];
  const on = !users.includes(user);
  const next = on ? [...users, user] : users.filter((one) => one !== user);
  const { [emoji]: _, ...rest } = reactions;
  return { on, reactions: next.length > 0 ? { ...reactions, [emoji]: next } : rest };
}

/** Under which name the text is kept that a message is to have. */
export const editKey = (id: string): string => `edit.${id}`;

/** What this user may do with messages here. */
export interface May {
  write: boolean;
  /** Delete what others wrote. */
  moderate: boolean;
}

export function useActs(space: string, me: string | null, reply: ((message: Message) => void) | undefined, { write: mayWrite, moderate }: May): Editing {
  const [editing, setEditing] = useState<string | null>(null);
  // As it is when the node answers; undefined once the list is off the page.
  const current = useRef<string | null | undefined>(null);
  useEffect(() => {
    current.current = editing;
    return () => void (current.current = undefined);
  }, [editing]);
  const [refused, setRefused] = useState<string | null>(null);
  const [removing, setRemoving] = useState<Message | null>(null);
  const acts = useMemo((): MessageActs => {
    const react = (message: Message, emoji: string) => {
      if (!me) return;
      const { on, reactions } = toggled(message.reactions, emoji, me);
      const undo = changeAtOnce(space, message, { reactions });
      api.react(space, message.id, emoji, on).catch((error: unknown) => {
        undo();
        toastError(error);
      });
    };
    const edit = (message: Message) => {
      setRefused(null);
      setEditing(message.id);
    };
    const base = mayWrite ? { react, edit, remove: setRemoving, moderate } : {};
    return reply ? { ...base, reply } : base;
  }, [mayWrite, me, moderate, reply, space]);
  const finishEdit = useCallback((message: Message, text: string | null) => {
    setEditing(null);
    setRefused(null);
    if (text === null) return;
    const undo = changeAtOnce(space, message, { text, edited: true });
    const saved = () => {
      // Unless something else was written there meanwhile.
      if (read(editKey(message.id))?.trim() === text) write(editKey(message.id), null);
    };
    api.editMessage(space, message.id, text).then(saved, (error: unknown) => {
      undo();
      // The text is kept until the node has it. It comes back with the reason, unless another one is being written by now, or none can be.
      if (current.current !== null && current.current !== message.id) return toastError(error);
      // It was scrolled out of sight, where nobody would read why.
      if (!document.querySelector(`[data-message="${CSS.escape(message.id)}"]`)) toastError(error);
      setEditing(message.id);
      setRefused(error instanceof Error ? sentence(error.message) : "It was refused.");
    });
  }, [space]);
  return { acts, editing, refused, removing, finishEdit, stopRemoving: () => setRemoving(null) };
}
