/** One message: who, what, how far it got, and what can be done with it. */
import type { Message } from "@covey/client";
import { Clock, CornerUpLeft, Pencil, SmilePlus, Trash2 } from "lucide-react";
import { memo, useState, type KeyboardEvent, type MouseEvent } from "react";
import { flushSync } from "react-dom";
import { count, inFull, names as joined, sentence, timeOfDay } from "../lib/format.ts";
import { useKept } from "../lib/kept.ts";
import { Button, IconButton, Tip } from "../ui/button.tsx";
import { Avatar, Note } from "../ui/parts.tsx";
import { editKey } from "./acts.ts";
import { EmojiButton } from "./emoji-button.tsx";
import { Marks } from "./marks.tsx";
import { Markup } from "./markup.tsx";
import type { Outgoing } from "./outbox.ts";

export interface MessageActs {
  reply?: (message: Message) => void;
  /** What writes. Left out where this user may only read. */
  edit?: (message: Message) => void;
  remove?: (message: Message) => void;
  react?: (message: Message, emoji: string) => void;
  /** Whether `remove` is for what others wrote too. */
  moderate?: boolean;
}

interface MessageProps {
  message: Message;
  head: boolean;
  lastOwn: boolean;
  /** How many of its answers are new to this user. */
  newAnswers: number;
  /** Nobody else is left in the conversation. */
  alone: boolean;
  me: string | null;
  people: string[];
  nameOf: (user: string) => string;
  acts: MessageActs;
  editing: boolean;
  refused: string | null;
  onEdited: (message: Message, text: string | null) => void;
}

/** Drawn again only when something of it has changed: all that's given to it has to stay the same until then. */
export const MessageRow = memo(function MessageRow(props: MessageProps) {
  const { message, head, me, people, nameOf, acts, editing, refused, onEdited, lastOwn, newAnswers, alone } = props;
  const own = message.author === me;
  const named = me !== null && message.mentions.includes(me);
  const time = timeOfDay(message.at);
  const written = <time className="tiny soft num" dateTime={message.at}>{time}</time>;
  // What can be done with it, and its tips, are there when somebody turns to it: for all messages at once they were the larger part of the work.
  const { near, turned, ...turning } = useNear();
  return (
    <article className={`message ${head ? "head" : ""} ${named ? "named" : ""}`} aria-label={`${message.author_name}, ${time}`} tabIndex={-1} data-message={message.id} data-own={own || undefined} {...turning}>
      <div className="gutter">{head ? <Avatar id={message.author} /> : written}</div>
      <div className="body">
        {head && (
          <header className="row">
            <b className="one-line" dir="auto">{message.author_name}</b>
            {near ? <Tip text={`${inFull(message.at)}, on ${message.device}`}>{written}</Tip> : written}
          </header>
        )}
        {message.deleted ? <p className="soft small">This message was deleted.</p> : editing ? <Edit id={message.id} text={message.text} refused={refused} onDone={(text) => onEdited(message, text)} /> : <Markup text={message.text} names={people} />}
        {!message.deleted && message.edited && !editing && <span className="tiny soft">edited</span>}
        <Reactions message={message} me={me} nameOf={nameOf} onReact={acts.react} />
        {message.thread && message.thread.replies > 0 && acts.reply && (
          <button type="button" className="thread-link" onClick={() => acts.reply?.(message)}>{count(message.thread.replies, "reply", "replies")}<span className="soft">, last at {timeOfDay(message.thread.last_at)}</span>{newAnswers > 0 && <span className="count named">{newAnswers} new</span>}</button>
        )}
      </div>
      {own && !message.deleted && <Marks message={message} inWords={lastOwn} near={near} alone={alone} nameOf={nameOf} />}
      {!message.deleted && !editing && (acts.reply || acts.react) && <Acts message={message} own={own} acts={acts} near={near} onTurn={turned} />}
    </article>
  );
});

/** Takes it back that a message is the one that had the focus last. */
let leaveLast: (() => void) | null = null;

/**
 * Whether somebody points at a message, or it's the one that had the focus last: what was opened from there and takes the focus, as a window
 * does, gives it back when it closes.
 */
function useNear() {
  const [pointed, setPointed] = useState(false);
  const [last, setLast] = useState(false);
  const turned = () => {
    if (last) return;
    leaveLast?.();
    leaveLast = () => setLast(false);
    setLast(true);
  };
  // By a mouse or what a tap makes of one: a finger that scrolls points at nothing.
  return { near: pointed || last, turned, onMouseEnter: () => setPointed(true), onMouseLeave: () => setPointed(false), onFocus: turned };
}

interface ActsProps {
  message: Message;
  own: boolean;
  acts: MessageActs;
  near: boolean;
  onTurn: () => void;
}

function Acts({ message, own, acts, near, onTurn }: ActsProps) {
  const label = `What to do with the message of ${message.author_name}`;
  // Who has a page read to them comes by with neither pointer nor focus.
  const open = ({ currentTarget }: MouseEvent) => {
    const row = currentTarget.parentElement;
    flushSync(onTurn);
    row?.querySelector<HTMLElement>(".message-acts button")?.focus();
  };
  if (!near) return <button type="button" className="hidden-text" tabIndex={-1} aria-label={label} onClick={open} />;
  return (
    <div className="message-acts" role="toolbar" aria-label={label}>
      {acts.react && <EmojiButton label="React" onPick={(emoji) => acts.react?.(message, emoji)}><SmilePlus size={16} /></EmojiButton>}
      {acts.reply && <IconButton label="Reply in a thread" onClick={() => acts.reply?.(message)}><CornerUpLeft size={16} /></IconButton>}
      {own && acts.edit && <IconButton label="Edit" onClick={() => acts.edit?.(message)}><Pencil size={16} /></IconButton>}
      {(own || acts.moderate) && acts.remove && <IconButton label="Delete" onClick={() => acts.remove?.(message)}><Trash2 size={16} /></IconButton>}
    </div>
  );
}

interface ReactionsProps {
  message: Message;
  me: string | null;
  nameOf: (user: string) => string;
  onReact: MessageActs["react"];
}

function Reactions({ message, me, nameOf, onReact }: ReactionsProps) {
  const all = Object.entries(message.reactions).filter(([, users]) => users.length > 0);
  if (all.length === 0) return null;
  return (
    <div className="row wrap reactions">
      {all.map(([emoji, users]) => {
        const mine = me !== null && users.includes(me);
        const who = joined(users.map((user) => (user === me ? "you" : nameOf(user))), 6);
        return (
          <Tip key={emoji} text={who}>
            <button type="button" className="reaction" aria-pressed={mine} aria-disabled={!onReact || undefined} onClick={() => onReact?.(message, emoji)}>
              <span>{emoji}</span><span className="num">{users.length}</span><span className="hidden-text">by {who}</span>
            </button>
          </Tip>
        );
      })}
    </div>
  );
}

interface EditProps {
  id: string;
  text: string;
  refused: string | null;
  onDone: (text: string | null) => void;
}

function Edit({ id, text, refused, onDone }: EditProps) {
  // The list takes rows that are out of sight off the page; what was typed in one has to be there again.
  const { text: draft, set: setDraft, drop } = useKept(editKey(id), text);
  const giveUp = () => {
    drop();
    onDone(null);
  };
  // What is to be saved stays kept until the node has it.
  const save = () => (draft.trim() && draft !== text ? onDone(draft.trim()) : giveUp());
  const onKey = (event: KeyboardEvent) => {
    if (event.nativeEvent.isComposing) return;
    if (event.key === "Escape") {
      event.stopPropagation();
      giveUp();
    } else if (event.key === "Enter" && !event.shiftKey) {
      event.preventDefault();
      save();
    }
  };
  return (
    <div className="stack tight">
      <textarea className="input" dir="auto" aria-label="Edit the message" value={draft} autoFocus rows={Math.min(10, draft.split("\n").length)} onChange={(event) => setDraft(event.target.value)} onKeyDown={onKey} />
      <div className="row"><Button kind="main" onClick={save}>Save</Button><Button kind="quiet" onClick={giveUp}>Cancel</Button></div>
      {refused && <Note tone="bad">Not saved: {refused}</Note>}
    </div>
  );
}

interface OutgoingProps {
  outgoing: Outgoing;
  head: boolean;
  me: string;
  myName: string;
  people: string[];
  onRetry: () => void;
  onTakeBack: () => void;
}

/** On its way to the node. It looks like any other message, since it's as good as written. */
export function OutgoingRow({ outgoing, head, me, myName, people, onRetry, onTakeBack }: OutgoingProps) {
  return (
    <article className={`message ${head ? "head" : ""}`} aria-label={`${myName}, being sent`}>
      <div className="gutter">{head && <Avatar id={me} />}</div>
      <div className="body">
        {head && <header className="row"><b>{myName}</b></header>}
        <Markup text={outgoing.text} names={people} />
        {outgoing.refused && (
          <div className="note bad" role="alert">
            <div className="grow">Not sent: {outgoing.refused}</div>
            <Button onClick={onRetry}>Try again</Button><Button onClick={onTakeBack}>Take back</Button>
          </div>
        )}
        {!outgoing.refused && outgoing.waiting && (
          <div className="note look" role="status">
            <div className="grow">Not sent yet: {sentence(outgoing.waiting)} It is tried again by itself.</div>
            <Button onClick={onRetry}>Try now</Button>
          </div>
        )}
      </div>
      {!outgoing.refused && <span className="marks"><Clock size={13} aria-hidden /><span className="tiny">sending</span></span>}
    </article>
  );
}
