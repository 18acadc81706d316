/** What this user may do with a channel, its people and what others wrote in it. The node has the last word, and says it. */
import type { Channel, ChannelMember, Member, Space } from "@covey/client";
import { mayManage, useMembers, useSpace } from "../api/queries.ts";
import { useMe } from "./queries.ts";

export interface Rights {
  /** Rename, describe and archive it. */
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

/** What can be done with somebody in a channel. */
export interface Over {
  makeAdmin: boolean;
  takeAdmin: boolean;
  putOut: boolean;
}

const NOTHING: Over = { makeAdmin: false, takeAdmin: false, putOut: false };

/** `members` are those of the space that the channel is in, or of the one that a private one is. */
export function overIn(channel: Channel, them: ChannelMember, me: string | null, rights: Rights, members: Member[] | undefined): Over {
  if (!members || !rights.manage || channel.kind === "direct" || them.user === me) return NOTHING;
  const roleOf = (user: string | null) => members.find((one) => one.user_id === user)?.role;
  const isAdmin = them.role === "admin";
  if (channel.kind === "private") {
    const isAbove = roleOf(them.user) === "owner" && roleOf(me) !== "owner";
    return { makeAdmin: !isAdmin, takeAdmin: isAdmin && !isAbove, putOut: rights.putOut && !isAbove };
  }
  const leads = (user: string | null) => ["admin", "owner"].includes(roleOf(user) ?? "");
  // Whoever made it or leads the space names its admins. Who leads the space is one of all its public channels, whatever is said.
  const names = (leads(me) || (me !== null && channel.founder === me)) && !leads(them.user);
  return { makeAdmin: names && !isAdmin, takeAdmin: names && isAdmin && channel.founder !== them.user, putOut: false };
}

export function useOver(space: string, channel: Channel, them: ChannelMember, rights: Rights): Over {
  const { data } = useMembers(channel.kind === "private" ? channel.id : space);
  return overIn(channel, them, useMe(), rights, data);
}
