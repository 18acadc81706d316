/** How far a message of one's own got: in words under the newest, as a sign with a name beside the others. */
import type { Message } from "@covey/client";
import { Check, CheckCheck, Clock, Eye } from "lucide-react";
import { names } from "../lib/format.ts";
import { Tip } from "../ui/button.tsx";

const SIGNS = { pending: Clock, sent: Check, delivered: CheckCheck, read: Eye };

/** In a few words, for the line itself. */
export function shortMark(message: Pick<Message, "state" | "delivered_to" | "read_by">): string {
  const { state, delivered_to, read_by } = message;
  if (read_by.length > 0) return `read by ${read_by.length}`;
  if (delivered_to.length > 0) return `delivered to ${delivered_to.length}`;
  return state === "pending" ? "only here yet" : "sent";
}

export function longMark(message: Pick<Message, "state" | "delivered_to" | "read_by">, nameOf: (user: string) => string): string {
  const read = message.read_by.map(nameOf);
  const rest = message.delivered_to.filter((user) => !message.read_by.includes(user)).map(nameOf);
  if (read.length === 0 && rest.length === 0) {
    return message.state === "pending" ? "It is kept on this device, and goes out when another one is near." : "It is on another device, but with nobody else yet.";
  }
  return [read.length > 0 ? `Read by ${names(read, 6)}.` : "", rest.length > 0 ? `Delivered to ${names(rest, 6)}.` : ""].filter(Boolean).join(" ");
}

interface MarksProps {
  message: Message;
  /** Such marks can have the focus, so they stay the same when somebody turns to their message. */
  inWords: boolean;
  near: boolean;
  nameOf: (user: string) => string;
}

export function Marks({ message, inWords, near, nameOf }: MarksProps) {
  const Sign = SIGNS[message.state];
  const marks = (
    <span className={`marks ${message.state}`} tabIndex={inWords ? 0 : undefined}>
      <Sign size={13} aria-hidden />
      <span className={inWords ? "tiny" : "hidden-text"}>{shortMark(message)}</span>
    </span>
  );
  return inWords || near ? <Tip text={longMark(message, nameOf)}>{marks}</Tip> : marks;
}
