/** The spaces, on the far left. */
import { MonitorSmartphone, Plus, Settings } from "lucide-react";
import { Link, useLocation } from "wouter";
import { spacesOf, useStatus } from "../api/queries.ts";
import { useChannels } from "../chat/queries.ts";
import { initialOf } from "../lib/identity.ts";
import { LinkButton } from "./link.tsx";

export function Rail({ current }: { current: string | null }) {
  const spaces = spacesOf(useStatus().data);
  const [path] = useLocation();
  return (
    <nav className="rail" aria-label="Spaces">
      <ul className="spaces">
        {spaces.map((space) => (
          <li key={space.id}><SpaceButton id={space.id} name={space.name} current={space.id === current} /></li>
        ))}
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

function SpaceButton({ id, name, current }: { id: string; name: string; current: boolean }) {
  const unread = (useChannels(id).data ?? []).some((channel) => channel.joined && channel.unread > 0);
  const label = unread ? `${name}, unread messages` : name;
  return (
    <Link href={`/s/${id}`} className="space-button" aria-current={current ? "true" : undefined} aria-label={label} title={name}>
      {initialOf(name)}
      {unread && !current && <span className="dot" />}
    </Link>
  );
}
