/** Ctrl-K: every place and every act, by a few letters. */
import { Dialog as Base } from "@base-ui/react/dialog";
import { Database, Hash, Keyboard, LayoutGrid, MonitorSmartphone, Moon, Network, Plus, Search, Settings, Sun, UserPlus, Users } from "lucide-react";
import { useEffect, useId, useMemo, useState, type KeyboardEvent, type ReactNode } from "react";
import { useLocation } from "wouter";
import { mayManage, spacesOf, useSpace, useStatus } from "../api/queries.ts";
import { askMessagesAhead, channelTitle, useChannels, useMe } from "../chat/queries.ts";
import { best } from "../lib/fuzzy.ts";
import { useTheme } from "../lib/settings.ts";
import { openOverlay } from "./overlay-state.ts";

interface Entry {
  id: string;
  text: string;
  kind: string;
  icon: ReactNode;
  run: () => void;
  /** Asks for what will be shown, while it's only chosen. */
  askAhead?: () => void;
}

/** A list that is longer is one that nobody reads; more letters shorten it. */
const MOST_SHOWN = 30;

function useEntries(space: string | null): Entry[] {
  const [, go] = useLocation();
  const { data } = useStatus();
  const here = useSpace(space ?? "");
  const channels = useChannels(space).data;
  const me = useMe();
  const [, setTheme] = useTheme();
  return useMemo(() => {
    const place = (text: string, path: string, icon: ReactNode, kind = "go to"): Entry => ({ id: path, text, kind, icon, run: () => go(path) });
    const act = (text: string, icon: ReactNode, run: () => void): Entry => ({ id: text, text, kind: "do", icon, run });
    const rooms = (channels ?? []).filter((one) => !one.archived).map((channel) =>
      ({ ...place(channelTitle(channel, me), `/s/${space}/c/${channel.id}`, <Hash size={16} />, channel.kind === "direct" ? "direct" : "channel"), askAhead: () => askMessagesAhead(channel.space, channel.id) }));
    const inSpace = space === null ? [] : [
      ...rooms,
      place("People", `/s/${space}/people`, <Users size={16} />),
      place("Data", `/s/${space}/data`, <Database size={16} />),
      ...(channels ? [place("Search messages", `/s/${space}/search`, <Search size={16} />), act("New channel", <Plus size={16} />, () => openOverlay({ kind: "new-channel", space }))] : []),
      place("Audit log: what happened here", `/s/${space}/audit`, <LayoutGrid size={16} />),
      ...(here && mayManage(here) ? [act(`Invite someone to ${here.name}`, <UserPlus size={16} />, () => openOverlay({ kind: "invite", space }))] : []),
    ];
    return [
      ...inSpace,
      ...spacesOf(data).filter((one) => one.id !== space).map((one) => place(one.name, `/s/${one.id}`, <LayoutGrid size={16} />, "space")),
      place("Network", "/network", <Network size={16} />),
      place("Your devices", "/devices", <MonitorSmartphone size={16} />),
      place("Settings", "/settings", <Settings size={16} />),
      act("Start or join a space", <Plus size={16} />, () => go("/welcome?step=space")),
      act("Link another device of yours", <MonitorSmartphone size={16} />, () => openOverlay({ kind: "link-device" })),
      act("Light theme", <Sun size={16} />, () => setTheme("light")),
      act("Dark theme", <Moon size={16} />, () => setTheme("dark")),
      act("Keys", <Keyboard size={16} />, () => openOverlay({ kind: "shortcuts" })),
    ];
  }, [channels, data, go, here, me, setTheme, space]);
}

export default function Palette({ space, onClose }: { space: string | null; onClose: () => void }) {
  const [typed, setTyped] = useState("");
  const [at, setAt] = useState(0);
  const list = useId();
  const entries = useEntries(space);
  const found = best(typed, entries, (entry) => entry.text).slice(0, MOST_SHOWN);
  const chosen = found[Math.min(at, found.length - 1)];
  useEffect(() => chosen?.askAhead?.(), [chosen]);
  const run = (entry: Entry | undefined) => {
    if (!entry) return;
    onClose();
    entry.run();
  };
  const onKey = (event: KeyboardEvent) => {
    const step = event.key === "ArrowDown" ? 1 : event.key === "ArrowUp" ? -1 : 0;
    if (step !== 0) {
      event.preventDefault();
      const next = (at + step + found.length) % Math.max(1, found.length);
      setAt(next);
      document.getElementById(`${list}-${next}`)?.scrollIntoView({ block: "nearest" });
    } else if (event.key === "Enter") {
      event.preventDefault();
      run(chosen);
    }
  };
  return (
    <Base.Root open onOpenChange={(open) => !open && onClose()}>
      <Base.Portal>
        <Base.Backdrop className="veil" />
        <Base.Popup className="dialog palette">
          <Base.Title className="hidden-text">Go anywhere</Base.Title>
          <div className="search">
            <Search size={18} className="soft" aria-hidden />
            <input
              autoFocus role="combobox" aria-expanded aria-controls={list} aria-label="Go anywhere, do anything"
              aria-activedescendant={chosen ? `${list}-${found.indexOf(chosen)}` : undefined}
              placeholder="Where to, or what?" value={typed} onKeyDown={onKey}
              onChange={(event) => {
                setTyped(event.target.value);
                setAt(0);
              }}
            />
          </div>
          <ul id={list} role="listbox" aria-label="Places and acts">
            {found.map((entry, n) => (
              <li key={entry.id} id={`${list}-${n}`} role="option" aria-selected={entry === chosen} onMouseMove={() => setAt(n)} onClick={() => run(entry)}>
                {entry.icon}<span className="one-line">{entry.text}</span><span className="kind">{entry.kind}</span>
              </li>
            ))}
          </ul>
          {found.length === 0 && <p className="soft small" style={{ padding: "0 20px 18px" }} role="status">Nothing here is called that.</p>}
        </Base.Popup>
      </Base.Portal>
    </Base.Root>
  );
}
