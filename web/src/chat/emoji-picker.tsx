import list from "virtual:emoji";
import { useMemo, useRef, useState, type KeyboardEvent } from "react";
import { read, write } from "../lib/store.ts";

const ACROSS = 8;
const MOST_SHOWN = 240;
const FIRST = ["\u{1F44D}", "\u2764\uFE0F", "\u{1F602}", "\u{1F389}", "\u{1F440}", "\u{1F64F}", "\u2705", "\u{1F331}"];

const recent = (): string[] => (read("emoji") ?? FIRST.join(" ")).split(" ").slice(0, ACROSS * 2);

export default function EmojiPicker({ onPick }: { onPick: (emoji: string) => void }) {
  const [typed, setTyped] = useState("");
  const grid = useRef<HTMLDivElement>(null);
  const shown = useMemo(() => {
    const words = typed.trim().toLowerCase();
    if (!words) {
      const often = recent().map((char): [string, string] => [char, list.find(([one]) => one === char)?.[1] ?? char]);
      const rest = list.filter(([char]) => !recent().includes(char));
      return [...often, ...rest.map(([char, label]): [string, string] => [char, label])];
    }
    return list.flatMap(([char, label, tags]): [string, string][] => (`${label} ${tags}`.includes(words) ? [[char, label]] : []));
  }, [typed]).slice(0, MOST_SHOWN);
  const pick = (char: string) => {
    write("emoji", [char, ...recent().filter((one) => one !== char)].slice(0, ACROSS * 2).join(" "));
    onPick(char);
  };
  const onKey = (event: KeyboardEvent) => {
    const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: ACROSS, ArrowUp: -ACROSS }[event.key];
    const buttons = [...(grid.current?.querySelectorAll("button") ?? [])];
    const at = buttons.indexOf(document.activeElement as HTMLButtonElement);
    if (!step || (at === -1 && event.key !== "ArrowDown")) return;
    event.preventDefault();
    buttons[at === -1 ? 0 : Math.max(0, Math.min(buttons.length - 1, at + step))]?.focus();
  };
  return (
    <div className="stack tight" onKeyDown={onKey}>
      <input className="input" type="search" autoFocus aria-label="Find an emoji" placeholder="Find an emoji" value={typed} onChange={(event) => setTyped(event.target.value)}
        onKeyDown={(event) => event.key === "Enter" && shown[0] && pick(shown[0][0])} />
      <div className="emoji-grid scroll" ref={grid}>
        {shown.map(([char, label]) => <button key={char} type="button" aria-label={label} title={label} onClick={() => pick(char)}>{char}</button>)}
      </div>
      {shown.length === 0 && <p className="soft small">None is called that.</p>}
    </div>
  );
}
