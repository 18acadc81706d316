/** How far a message of one's own got: in words under the newest, as a sign with a name beside the others. */
import type { Message } from "@covey/client";
import { Check, CheckCheck, Clock, Eye, Inbox } from "lucide-react";
import { names } from "../lib/format.ts";
import { Tip } from "../ui/button.tsx";

const SIGNS = { pending: Clock, sent: Check, delivered: CheckCheck, read: Eye };

/** Of a message how far it got; `alone` where nobody else is left in the conversation, so that it gets no further. */
type Way = Pick<Message, "state" | "delivered_to" | "read_by">;

/** In a few words, for the line itself. */
export function shortMark({ state, delivered_to, read_by }: Way, alone: boolean): string {
  if (read_by.length > 0) return `read by ${read_by.length}`;
  if (delivered_to.length > 0) return `delivered to ${delivered_to.length}`;
  if (state !== "pending") return "sent";
  return alone ? "kept here" : "only here yet";
}

export function longMark(message: Way, nameOf: (user: string) => string, alone: boolean): string {
  const read = message.read_by.map(nameOf);
  const rest = message.delivered_to.filter((user) => !message.read_by.includes(user)).map(nameOf);
  if (read.length === 0 && rest.length === 0) return undelivered(message.state, alone);
  return [read.length > 0 ? `Read by ${names(read, 6)}.` : "", rest.length > 0 ? `Delivered to ${names(rest, 6)}.` : ""].filter(Boolean).join(" ");
}

function undelivered(state: Message["state"], alone: boolean): string {
  if (alone) return `It is kept on ${state === "pending" ? "this device" : "your devices"}. There is nobody left in this conversation to deliver it to.`;
  return state === "pending" ? "It is kept on this device, and goes out when another one is near." : "It is on another device, but with nobody else yet.";
}

interface MarksProps {
  message: Message;
  /** Such marks can have the focus, so they stay the same when somebody turns to their message. */
  inWords: boolean;
  near: boolean;
  alone: boolean;
  nameOf: (user: string) => string;
}

export function Marks({ message, inWords, near, alone, nameOf }: MarksProps) {
  const Sign = alone && message.state === "pending" ? Inbox : SIGNS[message.state];
  const marks = (
    <span className={`marks ${message.state}`} tabIndex={inWords ? 0 : undefined}>
      <Sign size={13} aria-hidden />
      <span className={inWords ? "tiny" : "hidden-text"}>{shortMark(message, alone)}</span>
    </span>
  );
  return inWords || near ? <Tip text={longMark(message, nameOf, alone)}>{marks}</Tip> : marks;
}
