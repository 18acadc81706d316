/** The messages with everything that can be done to them: used by the channel and by its threads. */
import type { Channel, Message } from "@covey/client";
import { useMemo } from "react";
import { api, queries } from "../api/client.ts";
import { keys } from "../api/keys.ts";
import { useSpace, useStatus, whyReadOnly } from "../api/queries.ts";
import { count } from "../lib/format.ts";
import { Confirm } from "../ui/dialog.tsx";
import { useActs } from "./acts.ts";
import { MessageRow, OutgoingRow } from "./message.tsx";
import type { News } from "./news.ts";
import { tryAgain, useOutbox, withdraw } from "./outbox.ts";
import { changeAtOnce, useNames, whyNobody } from "./queries.ts";
import { useRights } from "./rights.ts";
import { rowsOf, type Elsewhere, type Row } from "./rows.ts";
import { Timeline } from "./timeline.tsx";

interface MessageListProps {
  space: string;
  channel: Channel;
  messages: Message[];
  /** The root of the thread that this is, or null for the channel itself. */
  thread: string | null;
  news: News;
  atPresent: boolean;
  hasOlder: boolean;
  startAt: string | null;
  onOlder: () => void;
  onNewer: () => void;
  onInSight: (from: string, to: string) => void;
  onSeenAll: () => void;
  onReply?: (message: Message) => void;
  /** Opens the thread under a message. */
  onOpen?: (root: string) => void;
  onTakeBack: (text: string) => void;
  /** Set by the composer to edit one's own last message. */
  lastOwnRef: { current: (() => void) | null };
}

export function MessageList(props: MessageListProps) {
  const { space, channel, messages, thread, news, atPresent } = props;
  const node = useStatus().data?.node;
  const me = node?.user_id ?? null;
  const nameOf = useNames(space);
  const readOnly = Boolean(whyReadOnly(useSpace(space))) || channel.archived;
  const outbox = useOutbox(space, channel.id);
  const alone = Boolean(whyNobody(channel, me));
  const people = useMemo(() => channel.members.map((member) => member.name), [channel.members]);
  const { moderate } = useRights(space, channel);
  const may = useMemo(() => ({ write: !readOnly, moderate }), [moderate, readOnly]);
  const { acts, editing, refused, removing, finishEdit, stopRemoving } = useActs(space, me, props.onReply, may);
  const outgoing = useMemo(() => (atPresent ? outbox.filter((one) => one.reply_to === thread) : []), [atPresent, outbox, thread]);
  const rows = useMemo(() => rowsOf({ messages, outgoing, me, news }), [messages, me, news, outgoing]);
  props.lastOwnRef.current = () => {
    const last = messages.findLast((one) => one.author === me && !one.deleted);
    if (last) acts.edit?.(last);
  };
  const remove = async () => {
    if (!removing) return;
    const undo = changeAtOnce(space, removing, { deleted: true, text: "" });
    try {
      await api.deleteMessage(space, removing.id);
    } catch (error) {
      undo();
      throw error;
    }
    await queries.invalidateQueries({ queryKey: keys.channels(space) });
  };
  const takeBack = (client_id: string) => {
    const one = withdraw(space, channel.id, client_id);
    if (one) props.onTakeBack(one.text);
  };
  const show = (row: Row) => {
    switch (row.kind) {
      case "day":
        return <h3 className="day"><span>{row.text}</span></h3>;
      case "new":
        return <NewLine answers={row.answers} onOpen={props.onOpen} />;
      case "outgoing":
        return <OutgoingRow outgoing={row.outgoing} head={row.head} me={me ?? ""} myName={node?.user ?? "You"} people={people} onRetry={() => tryAgain(space, channel.id, row.outgoing.client_id)} onTakeBack={() => takeBack(row.outgoing.client_id)} />;
      case "message":
        return <MessageRow message={row.message} head={row.head} lastOwn={row.lastOwn} newAnswers={row.newAnswers} alone={alone} me={me} people={people} nameOf={nameOf} acts={acts} editing={editing === row.message.id} refused={editing === row.message.id ? refused : null} onEdited={finishEdit} />;
    }
  };
  return (
    <>
      <Timeline label={thread ? "Thread" : "Messages"} rows={rows} atPresent={atPresent} hasOlder={props.hasOlder} onOlder={props.onOlder} onNewer={props.onNewer} onInSight={props.onInSight} onSeenAll={props.onSeenAll} startAt={props.startAt}>
        {show}
      </Timeline>
      <Confirm open={removing !== null} onClose={stopRemoving} title={removing && removing.author !== me ? `Delete this message of ${removing.author_name}?` : "Delete this message?"} act="Delete" onConfirm={remove}>
        <p>It goes from everybody's list. That there was one stays visible.</p>
      </Confirm>
    </>
  );
}

/** Where what is new begins. Answers that stand further up are told of here. */
function NewLine({ answers, onOpen }: { answers: Elsewhere | null; onOpen?: ((root: string) => void) | undefined }) {
  const where = answers && (answers.threads === 1 ? "in a thread above" : `in ${answers.threads} threads above`);
  return (
    <div className="day new">
      <span>new</span>
      {answers && onOpen && <button type="button" className="thread-link" onClick={() => onOpen(answers.root)}>{count(answers.answers, "reply", "replies")} {where}</button>}
    </div>
  );
}
