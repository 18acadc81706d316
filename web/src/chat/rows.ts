/** The list as people see it: lines between days, a line before what is new, and messages of one person close together. */
import type { Message } from "@covey/client";
import { dayKey, dayLine } from "../lib/format.ts";
import type { News } from "./news.ts";
import type { Outgoing } from "./outbox.ts";

export type Row =
  | { kind: "day"; key: string; text: string }
  | { kind: "new"; key: string; answers: Elsewhere | null }
  | { kind: "message"; key: string; message: Message; head: boolean; lastOwn: boolean; newAnswers: number }
  | { kind: "outgoing"; key: string; outgoing: Outgoing; head: boolean };

/** New answers to messages that stand above the line, where whoever reads on from it doesn't come by. */
export interface Elsewhere {
  answers: number;
  threads: number;
  /** The first of the threads. */
  root: string;
}

/** Longer pauses begin a new group. */
const GROUP_MS = 5 * 60 * 1000;

export interface RowsOf {
  messages: Message[];
  outgoing: Outgoing[];
  me: string | null;
  news: News;
}

export function rowsOf({ messages, outgoing, me, news }: RowsOf): Row[] {
  const rows: Row[] = [];
  let before: Message | null = null;
  let line: Extract<Row, { kind: "new" }> | null = null;
  const elsewhere = new Map(news.answers);
  const lastOwn = messages.findLast((one) => one.author === me && !one.deleted)?.id;
  for (const message of messages) {
    const newDay = !before || dayKey(before.at) !== dayKey(message.at);
    if (newDay) rows.push({ kind: "day", key: `day ${message.id}`, text: dayLine(message.at) });
    const isNew = line === null && news.from !== null && message.position >= news.from && message.author !== me;
    if (isNew) rows.push((line = { kind: "new", key: "new", answers: null }));
    if (line) elsewhere.delete(message.id);
    const head = newDay || isNew || !follows(before, message);
    rows.push({ kind: "message", key: message.id, message, head, lastOwn: message.id === lastOwn, newAnswers: news.answers.get(message.id) ?? 0 });
    before = message;
  }
  const [root] = elsewhere.keys();
  if (root !== undefined) {
    // Where nothing else is new the line stands last.
    if (!line) rows.push((line = { kind: "new", key: "new", answers: null }));
    line.answers = { answers: [...elsewhere.values()].reduce((sum, one) => sum + one, 0), threads: elsewhere.size, root };
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
