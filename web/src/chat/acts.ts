/** What is done to messages, shown at once and undone where the node refuses. */
import type { Message } from "@covey/client";
import { useMemo, useState } from "react";
import { api } from "../api/client.ts";
import { toastError } from "../ui/toast.tsx";
import type { MessageActs } from "./message.tsx";
import { changeAtOnce } from "./queries.ts";

export interface Editing {
  acts: MessageActs;
  editing: string | null;
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

export function useActs(space: string, me: string | null, reply: ((message: Message) => void) | undefined, readOnly: boolean): Editing {
  const [editing, setEditing] = useState<string | null>(null);
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
    const base = readOnly ? {} : { react, edit: (message: Message) => setEditing(message.id), remove: setRemoving };
    return reply ? { ...base, reply } : base;
  }, [me, readOnly, reply, space]);
  const finishEdit = (message: Message, text: string | null) => {
    setEditing(null);
    if (text === null) return;
    const undo = changeAtOnce(space, message, { text, edited: true });
    api.editMessage(space, message.id, text).catch((error: unknown) => {
      undo();
      toastError(error);
    });
  };
  return { acts, editing, removing, finishEdit, stopRemoving: () => setRemoving(null) };
}
