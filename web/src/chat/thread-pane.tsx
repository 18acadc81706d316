/** The answers to one message, beside the channel. */
import type { Channel } from "@covey/client";
import { X } from "lucide-react";
import { useCallback, useMemo, useRef } from "react";
import { keys } from "../api/keys.ts";
import { useSpace, whyReadOnly } from "../api/queries.ts";
import { count } from "../lib/format.ts";
import { IconButton } from "../ui/button.tsx";
import { Note, Wait } from "../ui/parts.tsx";
import { lookAt } from "./catch-up.ts";
import { Composer } from "./composer.tsx";
import { appended, useDraft } from "./drafts.ts";
import { MessageList } from "./list.tsx";
import { tellThatTyping } from "./live-chat.ts";
import type { News } from "./news.ts";
import { post } from "./outbox.ts";
import { useMe, useMessage, useThread, whyNobody } from "./queries.ts";

/** The channel beside it says what is new. */
const NO_NEWS: News = { from: null, answers: new Map() };

interface ThreadPaneProps {
  space: string;
  channel: Channel;
  root: string;
  onClose: () => void;
}

export function ThreadPane({ space, channel, root, onClose }: ThreadPaneProps) {
  const query = useThread(space, channel.id, root);
  const answers = useMemo(() => query.data?.pages.flatMap((page) => page.items) ?? [], [query.data]);
  // The list of a thread may hold its answers alone.
  const headless = query.data !== undefined && answers[0]?.id !== root;
  const head = useMessage(space, root, headless).data;
  const messages = useMemo(() => (headless && head && !query.hasPreviousPage ? [head, ...answers] : answers), [answers, head, headless, query.hasPreviousPage]);
  const [draft, setDraft] = useDraft(space, channel.id, root, "");
  const editLast = useRef<(() => void) | null>(null);
  const older = useCallback(() => void query.fetchPreviousPage(), [query]);
  const newer = useCallback(() => void query.fetchNextPage(), [query]);
  const inSight = useCallback((from: string, to: string) => lookAt(keys.thread(space, channel.id, root), from, to), [channel.id, root, space]);
  const readOnly = whyReadOnly(useSpace(space));
  const me = useMe();
  const seen = useCallback(() => undefined, []);
  const replies = answers.filter((one) => one.id !== root).length;
  return (
    <aside className="side" aria-label="Thread" onKeyDown={(event) => event.key === "Escape" && !event.defaultPrevented && onClose()}>
      <header className="talk-head"><h2 className="grow">Thread <span className="soft small">{replies > 0 && count(replies, "reply", "replies")}</span></h2><IconButton label="Close the thread" onClick={onClose}><X size={17} /></IconButton></header>
      {query.isPending && <div className="timeline-place" style={{ padding: 20 }}><Wait text="Reading the thread" /></div>}
      {query.isError && <div className="grow" style={{ padding: 16 }}><Note tone="bad">{query.error.message}</Note></div>}
      {query.data && (
        <MessageList space={space} channel={channel} messages={messages} thread={root} news={NO_NEWS} atPresent={!query.hasNextPage} hasOlder={query.hasPreviousPage} startAt={null}
          onOlder={older} onNewer={newer} onInSight={inSight} onSeenAll={seen} onTakeBack={(text) => setDraft(appended(draft, text))} lastOwnRef={editLast} />
      )}
      {channel.joined && (
        <Composer label="Reply" draft={draft} onDraft={setDraft} onSend={(text) => post(space, channel.id, text, root)} onTyping={() => tellThatTyping(space, channel.id)} onEditLast={() => editLast.current?.()} members={channel.members} blocked={readOnly || (channel.archived && "This channel is archived.") || whyNobody(channel, me)} />
      )}
    </aside>
  );
}
