/** The room around every page: spaces, rooms, the page, and on a phone one of them at a time. */
import { Database, MessageSquare, Network as NetworkIcon, Rows3 } from "lucide-react";
import { useEffect, useRef, type ReactNode } from "react";
import { Link, useLocation } from "wouter";
import { useChannels, useUnread } from "../chat/queries.ts";
import { spacesOf, useSpace, useStatus } from "../api/queries.ts";
import { useChatLive } from "../chat/live-chat.ts";
import { useBackupNews } from "../pages/backup.ts";
import { Announcer } from "./announcer.tsx";
import { Banner } from "./banner.tsx";
import { homeSpace, lastChannel, rememberSpace } from "./last.ts";
import { Overlays } from "./overlays.tsx";
import { useUnreadInTitle } from "./page.tsx";
import { Rail } from "./rail.tsx";
import { Rooms } from "./rooms.tsx";

/** The space that the path names, or the one of last time. */
export function useCurrentSpace(): string | null {
  const [path] = useLocation();
  const { data } = useStatus();
  const named = /^\/s\/([^/]+)/.exec(path)?.[1];
  if (named) return named;
  return homeSpace(spacesOf(data))?.id ?? null;
}

export function Frame({ children }: { children: ReactNode }) {
  const [path] = useLocation();
  const space = useCurrentSpace();
  const parent = useSpace(space ?? "")?.parent?.id;
  const view = useRef<HTMLElement>(null);
  const first = useRef(true);
  useChatLive(space);
  useBackupNews(path);
  useEffect(() => {
    if (space && path.startsWith("/s/")) rememberSpace(space);
    // After a change of page the next Tab goes into it. Not at the first, which would take the focus from the browser.
    if (!first.current && !view.current?.contains(document.activeElement)) view.current?.focus();
    first.current = false;
  }, [path, space]);
  const pane = path === "/" || /^\/s\/[^/]+$/.test(path) ? "rooms" : "room";
  return (
    <>
      <a className="skip" href="#view">To the page</a>
      <div className="frame" data-pane={pane}>
        <div className="side-of-rooms">
          <Rail current={path.startsWith("/s/") ? parent ?? space : null} />
          <Rooms space={space} />
        </div>
        <div className="stage">
          <Banner space={path.startsWith("/s/") ? space : null} />
          <main id="view" className="view" tabIndex={-1} ref={view}>{children}</main>
        </div>
        <Bottom space={space} pane={pane} />
      </div>
      <Announcer />
      <UnreadInTitle space={space} />
      <Overlays space={space} />
    </>
  );
}

/** Apart from the frame, which isn't drawn anew with every message. */
function UnreadInTitle({ space }: { space: string | null }) {
  useUnreadInTitle(useUnread(space));
  return null;
}

function Bottom({ space, pane }: { space: string | null; pane: string }) {
  const [path] = useLocation();
  const channels = useChannels(space).data;
  const chat = space && (lastChannel(space) ?? channels?.find((one) => one.joined)?.id);
  const here = (start: string) => (path.startsWith(start) ? "page" : undefined);
  return (
    <nav className="bottom" aria-label="Parts">
      <Link href={space ? `/s/${space}` : "/"} aria-current={pane === "rooms" ? "page" : undefined}><Rows3 size={20} aria-hidden />Rooms</Link>
      {channels && chat ? (
        <Link href={`/s/${space}/c/${chat}`} aria-current={here(`/s/${space}/c/`)}><MessageSquare size={20} aria-hidden />Chat</Link>
      ) : (
        <Link href={space ? `/s/${space}/data` : "/"} aria-current={here(`/s/${space ?? ""}/data`)}><Database size={20} aria-hidden />Data</Link>
      )}
      <Link href="/network" aria-current={here("/network")}><NetworkIcon size={20} aria-hidden />Network</Link>
    </nav>
  );
}
