/** The spaces, on the far left. */
import type { Space } from "@covey/client";
import { MonitorSmartphone, Plus, Settings } from "lucide-react";
import { Link, useLocation } from "wouter";
import { spacesOf, useStatus } from "../api/queries.ts";
import { isUnread, useChannels } from "../chat/queries.ts";
import { initialOf } from "../lib/identity.ts";
import { LinkButton } from "./link.tsx";

export function Rail({ current }: { current: string | null }) {
  const spaces = spacesOf(useStatus().data);
  const within = spaces.filter((space) => !space.removed);
  const out = spaces.filter((space) => space.removed);
  const [path] = useLocation();
  return (
    <nav className="rail" aria-label="Spaces">
      <ul className="spaces">
        {[...within, ...out].map((space) => <li key={space.id}><SpaceButton space={space} current={space.id === current} /></li>)}
        <li>
          <Link href="/welcome?step=space" className="space-button add" aria-label="Start or join a space" title="Start or join a space">
            <Plus size={18} />
          </Link>
        </li>
      </ul>
      <div className="foot">
        <LinkButton to="/devices" label="Your devices" current={path === "/devices"}><MonitorSmartphone size={18} /></LinkButton>
        <LinkButton to="/settings" label="Settings" current={path === "/settings"}><Settings size={18} /></LinkButton>
      </div>
    </nav>
  );
}

function SpaceButton({ space: { id, name, removed }, current }: { space: Space; current: boolean }) {
  const unread = (useChannels(id).data ?? []).some(isUnread);
  const label = [name, unread ? "unread messages" : "", removed ? "you are no longer in it" : ""].filter(Boolean).join(", ");
  return (
    <Link href={`/s/${id}`} className={`space-button ${removed ? "out" : ""}`} aria-current={current ? "true" : undefined} aria-label={label} title={label}>
      {initialOf(name)}
      {unread && !current && !removed && <span className="dot" />}
    </Link>
  );
}
