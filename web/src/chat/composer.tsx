/** Where one writes. Enter sends; what stands here survives anything that happens to the page. */
import type { ChannelMember } from "@covey/client";
import { SendHorizontal, Smile } from "lucide-react";
import { useEffect, useId, useLayoutEffect, useRef, useState, type KeyboardEvent } from "react";
import { best } from "../lib/fuzzy.ts";
import { IconButton } from "../ui/button.tsx";
import { Avatar } from "../ui/parts.tsx";
import { EmojiButton } from "./emoji-button.tsx";
import { insertAt, mentionAt } from "./mention.ts";

/** The node refuses longer ones. Told before it's sent, so that nobody writes in vain. */
export const MOST_BYTES = 16 << 10;
const MOST_NAMES = 6;

interface ComposerProps {
  label: string;
  draft: string;
  onDraft: (text: string) => void;
  onSend: (text: string) => void;
  onTyping: () => void;
  onEditLast?: () => void;
  members: ChannelMember[];
  blocked?: string | false;
}

const bytesOf = (text: string): number => (text.length * 3 <= MOST_BYTES ? 0 : new TextEncoder().encode(text).length);

export function Composer({ label, draft, onDraft, onSend, onTyping, onEditLast, members, blocked }: ComposerProps) {
  const box = useRef<HTMLTextAreaElement>(null);
  const list = useId();
  const [caret, setCaret] = useState(0);
  const [chosen, setChosen] = useState(0);
  const [dismissed, setDismissed] = useState<number | null>(null);
  const open = mentionAt(draft, caret);
  // A name that is written out needs no completion: Enter sends then.
  const whole = open && members.some((one) => one.name.toLocaleLowerCase() === open.typed.toLocaleLowerCase());
  const people = open && !whole && open.from !== dismissed ? best(open.typed, members, (one) => one.name).slice(0, MOST_NAMES) : [];
  const tooLong = bytesOf(draft) > MOST_BYTES;
  // Grows with what is written, up to a third of the window; then it scrolls.
  useLayoutEffect(() => {
    const area = box.current;
    if (!area) return;
    area.style.height = "auto";
    area.style.height = `${Math.min(area.scrollHeight, window.innerHeight / 3)}px`;
  }, [draft]);
  useEffect(() => {
    if (window.matchMedia("(hover: hover)").matches) box.current?.focus();
  }, []);
  const put = (from: number, to: number, text: string) => {
    const next = insertAt(draft, from, to, text);
    onDraft(next.text);
    requestAnimationFrame(() => {
      box.current?.focus();
      box.current?.setSelectionRange(next.caret, next.caret);
      setCaret(next.caret);
    });
  };
  const send = () => {
    if (!draft.trim() || tooLong || blocked) return;
    onSend(draft.trim());
    onDraft("");
  };
  const pick = (name: string) => open && put(open.from, caret, `@${name} `);
  const onKey = (event: KeyboardEvent<HTMLTextAreaElement>) => {
    if (event.nativeEvent.isComposing) return;
    if (people.length > 0) {
      const step = event.key === "ArrowDown" ? 1 : event.key === "ArrowUp" ? -1 : 0;
      if (step !== 0) setChosen((chosen + step + people.length) % people.length);
      else if (event.key === "Enter" || event.key === "Tab") pick(people[chosen % people.length]?.name ?? "");
      else if (event.key === "Escape") setDismissed(open?.from ?? null);
      else return;
      event.preventDefault();
    } else if (event.key === "Enter" && !event.shiftKey) {
      event.preventDefault();
      send();
    } else if (event.key === "ArrowUp" && draft === "" && onEditLast) {
      event.preventDefault();
      onEditLast();
    }
  };
  return (
    <div className="composer-place">
      {people.length > 0 && (
        <ul className="popup mentions" role="listbox" id={list} aria-label="People">
          {people.map((person, at) => (
            <li key={person.user} id={`${list}-${at}`} role="option" aria-selected={at === chosen % people.length} className="menu-item" data-highlighted={at === chosen % people.length || undefined} onMouseDown={(event) => { event.preventDefault(); pick(person.name); }}>
              <Avatar id={person.user} size={24} /><bdi>{person.name}</bdi>
            </li>
          ))}
        </ul>
      )}
      <div className={`composer ${blocked ? "off" : ""}`}>
        <textarea
          ref={box} rows={1} dir="auto" aria-label={label} placeholder={blocked || label} value={draft} readOnly={Boolean(blocked)}
          aria-controls={people.length > 0 ? list : undefined} aria-activedescendant={people.length > 0 ? `${list}-${chosen % people.length}` : undefined} aria-autocomplete="list"
          onChange={(event) => {
            setCaret(event.target.selectionStart);
            setChosen(0);
            onDraft(event.target.value);
            if (event.target.value) onTyping();
          }}
          onSelect={(event) => setCaret(event.currentTarget.selectionStart)} onKeyDown={onKey}
        />
        {!blocked && (
          <>
            <EmojiButton label="Emoji" onPick={(emoji) => put(caret, caret, emoji)}><Smile size={18} /></EmojiButton>
            <IconButton label="Send" className="send" onClick={send} aria-disabled={!draft.trim() || tooLong}><SendHorizontal size={18} /></IconButton>
          </>
        )}
      </div>
      {blocked && draft && <p className="small soft off-why">{blocked}</p>}
      {tooLong && <p className="small wrong" role="alert">This is longer than a message may be ({MOST_BYTES / 1024} KiB). Send it in parts.</p>}
    </div>
  );
}
