/** What this user may do with a channel, its people and what others wrote in it. The node has the last word, and says it. */
import type { Channel, Space } from "@covey/client";
import { mayManage, useSpace } from "../api/queries.ts";
import { useMe } from "./queries.ts";

export interface Rights {
  /** Rename, describe and archive it, and name its admins. */
  manage: boolean;
  /** Delete what others wrote. */
  moderate: boolean;
  /** Put somebody out. Of a public one people leave by themselves. */
  putOut: boolean;
  /** Take somebody of the space in. */
  invite: boolean;
}

const NONE: Rights = { manage: false, moderate: false, putOut: false, invite: false };

export function rightsIn(channel: Channel, me: string | null, space: Space | undefined): Rights {
  if (!me || !space || space.removed || space.role === "guest" || channel.kind === "direct") return NONE;
  const isAdmin = channel.members.some((member) => member.user === me && member.role === "admin");
  // A private channel is a space of its own: who leads the one around it may be nobody in it.
  if (channel.kind === "private") return { manage: isAdmin, moderate: isAdmin, putOut: isAdmin, invite: isAdmin };
  const leads = mayManage(space);
  return { manage: leads || isAdmin, moderate: leads, putOut: false, invite: channel.joined };
}

export function useRights(space: string, channel: Channel): Rights {
  const here = useSpace(space);
  return rightsIn(channel, useMe(), here);
}
