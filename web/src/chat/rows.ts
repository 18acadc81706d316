/** The list as people see it: lines between days, a line before what is new, and messages of one person close together. */
import type { Message } from "@covey/client";
import { dayKey, dayLine } from "../lib/format.ts";
import type { Outgoing } from "./outbox.ts";

export type Row =
  | { kind: "day"; key: string; text: string }
  | { kind: "new"; key: string }
  | { kind: "message"; key: string; message: Message; head: boolean; lastOwn: boolean }
  | { kind: "outgoing"; key: string; outgoing: Outgoing; head: boolean };

/** Longer pauses begin a new group. */
const GROUP_MS = 5 * 60 * 1000;

export interface RowsOf {
  messages: Message[];
  outgoing: Outgoing[];
  me: string | null;
  newSince: string | null;
}

export function rowsOf({ messages, outgoing, me, newSince }: RowsOf): Row[] {
  const rows: Row[] = [];
  let before: Message | null = null;
  let marked = newSince === null;
  let passed = false;
  const lastOwn = messages.findLast((one) => one.author === me && !one.deleted)?.id;
  for (const message of messages) {
    const newDay = !before || dayKey(before.at) !== dayKey(message.at);
    if (newDay) rows.push({ kind: "day", key: `day ${message.id}`, text: dayLine(message.at) });
    const isNew = !marked && (message.id === newSince || passed) && message.author !== me;
    if (message.id === newSince) passed = true;
    if (isNew) {
      rows.push({ kind: "new", key: "new" });
      marked = true;
    }
    const head = newDay || isNew || !follows(before, message);
    rows.push({ kind: "message", key: message.id, message, head, lastOwn: message.id === lastOwn });
    before = message;
  }
  // One that has arrived is no longer on its way, though the answer to sending it may come later than the news of it.
  const arrived = (one: Outgoing) => messages.some((message) => message.id === one.client_id || message.id.endsWith(`.${one.client_id}`));
  outgoing.filter((one) => !arrived(one)).forEach((one, at) => rows.push({ kind: "outgoing", key: one.client_id, outgoing: one, head: at === 0 && before?.author !== me }));
  return rows;
}

function follows(before: Message | null, message: Message): boolean {
  if (!before || before.author !== message.author || before.deleted || message.deleted) return false;
  // Its answers stand under it; what comes then is said anew.
  if (before.thread) return false;
  return Date.parse(message.at) - Date.parse(before.at) < GROUP_MS;
}
