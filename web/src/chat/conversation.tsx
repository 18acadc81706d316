/** A channel: what was said, a place to write, and beside it a thread or the people. */
import type { Channel, Message } from "@covey/client";
import { ArrowLeft, Hash, Lock, MessageCircle, PanelRight, Search } from "lucide-react";
import { useCallback, useEffect, useMemo, useRef, type RefObject } from "react";
import { useLocation, useSearchParams } from "wouter";
import { api, queries } from "../api/client.ts";
import { keys } from "../api/keys.ts";
import { useSpace, whyReadOnly } from "../api/queries.ts";
import { rememberChannel } from "../frame/last.ts";
import { LinkButton } from "../frame/link.tsx";
import { useTitle } from "../frame/page.tsx";
import { count, names } from "../lib/format.ts";
import { isLooking } from "../lib/looking.ts";
import { NotFound } from "../pages/not-found.tsx";
import { Button, IconButton } from "../ui/button.tsx";
import { Empty, Note, Wait } from "../ui/parts.tsx";
import { toastError } from "../ui/toast.tsx";
import { lookAt } from "./catch-up.ts";
import { Composer } from "./composer.tsx";
import { appended, useDraft } from "./drafts.ts";
import { EmojiPopover } from "./emoji-button.tsx";
import { MessageList } from "./list.tsx";
import { tellThatTyping, useTyping } from "./live-chat.ts";
import { MembersPane } from "./members-pane.tsx";
import { useNews } from "./news.ts";
import { post } from "./outbox.ts";
import { channelTitle, listKey, useChannel, useChannels, useMe, useMessages, useNames, whyNobody } from "./queries.ts";
import { flushSeen, leaveSeen, markSeen } from "./seen.ts";
import { ThreadPane } from "./thread-pane.tsx";

interface ConversationProps {
  space: string;
  channel: string;
}

export default function Conversation({ space, channel: id }: ConversationProps) {
  const channels = useChannels(space);
  const channel = useChannel(space, id);
  useEffect(() => {
    if (channel?.joined) rememberChannel(space, id);
  }, [channel?.joined, id, space]);
  if (channels.isPending) return <div className="page"><div className="inner"><Wait text="Opening the channel" /></div></div>;
  if (!channel) return <NotFound />;
  return <Open space={space} channel={channel} />;
}

/** What stands in the side pane is in the address, so that it survives a reload and the back button closes it. */
function useSide() {
  const [params, setParams] = useSearchParams();
  const set = useCallback((change: Record<string, string | null>) => {
    setParams((before) => {
      const next = new URLSearchParams(before);
      for (const [key, value] of Object.entries(change)) value === null ? next.delete(key) : next.set(key, value);
      return next;
    });
  }, [setParams]);
  return { thread: params.get("thread"), members: params.get("side") === "people", at: params.get("at"), set };
}

/** When a thread closes, the focus goes back to where it was opened, or to the message that it is under; not if it's elsewhere already. */
function useFocusBack(thread: string | null): RefObject<Element | null> {
  const opener = useRef<Element | null>(null);
  const last = useRef<string | null>(null);
  useEffect(() => {
    const root = last.current;
    last.current = thread;
    if (root === null || thread !== null || document.activeElement !== document.body) return;
    const from = opener.current?.isConnected ? opener.current : document.querySelector(`[data-message="${CSS.escape(root)}"]`);
    if (from instanceof HTMLElement) from.focus({ preventScroll: true });
  }, [thread]);
  return opener;
}

function Open({ space, channel }: { space: string; channel: Channel }) {
  const me = useMe();
  const side = useSide();
  const title = channelTitle(channel, me);
  useTitle(channel.kind === "direct" ? title : `# ${title}`);
  const { set } = side;
  const opener = useFocusBack(side.thread);
  const openThread = useCallback((root: string) => {
    opener.current = document.activeElement;
    set({ thread: root, side: null });
  }, [opener, set]);
  const reply = useCallback((message: Message) => openThread(message.reply_to ?? message.id), [openThread]);
  const open = side.thread !== null || side.members;
  return (
    <div className={`conversation ${open ? "with-side" : ""}`}>
      <section className="talk" aria-label={title}>
        <Head space={space} channel={channel} title={title} onPeople={() => set({ side: side.members ? null : "people", thread: null })} peopleOpen={side.members} />
        <Talk key={side.at ?? "newest"} space={space} channel={channel} title={title} around={side.at} thread={side.thread} onReply={reply} onOpen={openThread} />
      </section>
      {side.thread !== null && <ThreadPane key={side.thread} space={space} channel={channel} root={side.thread} onClose={() => set({ thread: null })} />}
      {side.members && <MembersPane space={space} channel={channel} onClose={() => set({ side: null })} />}
      <EmojiPopover />
    </div>
  );
}

interface HeadProps {
  space: string;
  channel: Channel;
  title: string;
  onPeople: () => void;
  peopleOpen: boolean;
}

function Head({ space, channel, title, onPeople, peopleOpen }: HeadProps) {
  return (
    <header className="talk-head">
      <LinkButton to={`/s/${space}`} label="Back to the rooms" className="phone-only"><ArrowLeft size={20} /></LinkButton>
      {channel.kind === "public" && <Hash size={18} className="soft" aria-hidden />}
      {channel.kind === "private" && <Lock size={16} className="soft" aria-label="Private" />}
      <h1 className="one-line" dir="auto">{title}</h1>
      <p className="one-line soft small grow laptop-only" dir="auto">{channel.topic}</p>
      <Button kind="quiet" onClick={onPeople} aria-pressed={peopleOpen} className="laptop-only">{count(channel.members.length, "member")}</Button>
      <LinkButton to={`/s/${space}/search?channel=${channel.id}`} label="Search here"><Search size={17} /></LinkButton>
      <IconButton label={peopleOpen ? "Close the side pane" : channel.kind === "direct" ? "People in here" : "About the channel"} aria-pressed={peopleOpen} onClick={onPeople}><PanelRight size={17} /></IconButton>
    </header>
  );
}

interface TalkProps {
  space: string;
  channel: Channel;
  title: string;
  around: string | null;
  /** The thread that is open beside it. */
  thread: string | null;
  onReply: (message: Message) => void;
  onOpen: (root: string) => void;
}

function Talk({ space, channel, title, around, thread, onReply, onOpen }: TalkProps) {
  const query = useMessages(space, channel.id, around);
  // Answers come with the page too; they stand in their thread, and their number under the message.
  const items = useMemo(() => query.data?.pages.flatMap((page) => page.items), [query.data]);
  const messages = useMemo(() => items?.filter((one) => one.reply_to === null) ?? [], [items]);
  const here = useSpace(space);
  const readOnly = whyReadOnly(here);
  // A guest can't join, and what they have read is kept for them all the same.
  const reads = channel.joined || here?.role === "guest";
  const me = useMe();
  const [draft, setDraft] = useDraft(space, channel.id, null, channel.draft);
  const editLast = useRef<(() => void) | null>(null);
  // An answer in a thread is the newest of a channel too: whoever sees its count under the message has seen that it's there.
  const newest = newestOf(messages.at(-1), channel.last)?.id;
  const { hasNextPage, hasPreviousPage, fetchNextPage, fetchPreviousPage, isFetching } = query;
  const news = useNews({ items, channel, hasOlder: hasPreviousPage, atPresent: !hasNextPage, thread, me });
  const seen = useCallback(() => {
    if (newest && reads && isLooking()) markSeen(space, channel.id, newest);
  }, [channel.id, newest, reads, space]);
  useEffect(() => {
    const hide = () => document.visibilityState === "hidden" && flushSeen(space, channel.id);
    document.addEventListener("visibilitychange", hide);
    return () => {
      document.removeEventListener("visibilitychange", hide);
      leaveSeen(space, channel.id);
    };
  }, [channel.id, space]);
  const inSight = useCallback((from: string, to: string) => lookAt(listKey(space, channel.id, around), from, to), [around, channel.id, space]);
  const older = useCallback(() => void (!isFetching && fetchPreviousPage()), [fetchPreviousPage, isFetching]);
  // A page may hold nothing but answers.
  useEffect(() => {
    if (query.data && messages.length === 0 && hasPreviousPage) older();
  }, [hasPreviousPage, messages.length, older, query.data]);
  const newer = useCallback(() => void (!isFetching && fetchNextPage()), [fetchNextPage, isFetching]);
  return (
    <>
      {query.isPending && <div className="timeline-place" style={{ padding: 24 }}><Wait text="Reading messages" /></div>}
      {query.isError && <div className="grow" style={{ padding: 24 }}><Note tone="bad">{query.error.message} <Button onClick={() => void query.refetch()}>Try again</Button></Note></div>}
      {query.data && (messages.length === 0 && !hasPreviousPage ? <Hello channel={channel} title={title} mayWrite={channel.joined && !channel.archived && !readOnly && !whyNobody(channel, me)} onHello={() => setDraft("Hello! ")} /> : null)}
      {query.data && (
        <MessageList space={space} channel={channel} messages={messages} thread={null} news={news} atPresent={!hasNextPage} hasOlder={hasPreviousPage} startAt={around}
          onOlder={older} onNewer={newer} onInSight={inSight} onSeenAll={seen} onReply={onReply} onOpen={onOpen} onTakeBack={(text) => setDraft(appended(draft, text))} lastOwnRef={editLast} />
      )}
      <TypingLine space={space} channel={channel.id} />
      <Foot space={space} channel={channel} title={title} draft={draft} onDraft={setDraft} onEditLast={() => editLast.current?.()} />
    </>
  );
}

function newestOf(shown: Message | undefined, last: Message | null): Message | undefined {
  return shown && last && Date.parse(last.at) > Date.parse(shown.at) ? last : shown;
}

const Hello = ({ channel, title, mayWrite, onHello }: { channel: Channel; title: string; mayWrite: boolean; onHello: () => void }) => (
  <div className="hello">
    <Empty icon={<MessageCircle />} title={channel.kind === "direct" ? `You and ${title}` : `This is #${title}`} act={mayWrite && <Button kind="main" onClick={onHello}>Say hello</Button>}>
      {channel.topic || (channel.kind === "public" ? "Everybody in the space can read and join here." : "Only those who are in it can read what is written here; nobody else holds a copy.")}
    </Empty>
  </div>
);

function TypingLine({ space, channel }: { space: string; channel: string }) {
  const who = useTyping(channel);
  const nameOf = useNames(space);
  return <p className="typing tiny soft" aria-live="polite">{who.length > 0 ? `${names(who.map(nameOf))} ${who.length === 1 ? "is" : "are"} writing` : "\u00a0"}</p>;
}

const ARCHIVED = "This channel is archived: it can be read, not written.";

interface FootProps {
  space: string;
  channel: Channel;
  title: string;
  draft: string;
  onDraft: (text: string) => void;
  onEditLast: () => void;
}

function Foot({ space, channel, title, draft, onDraft, onEditLast }: FootProps) {
  const me = useMe();
  const readOnly = whyReadOnly(useSpace(space));
  const [, go] = useLocation();
  // What somebody was writing when they were put out stays in sight, to be copied.
  if (!channel.joined && !(readOnly && draft)) {
    const join = () => void api.joinChannel(space, channel.id).then(() => queries.invalidateQueries({ queryKey: keys.channels(space) }), toastError);
    return <div className="join-bar"><p className="soft">{readOnly || (channel.archived ? ARCHIVED : "You are looking in from outside.")}</p>{!readOnly && !channel.archived && <Button kind="main" onClick={join}>Join #{channel.name}</Button>}</div>;
  }
  const send = (text: string) => {
    post(space, channel.id, text, null);
    // From a place in the past back to the present, where the message is.
    if (new URLSearchParams(location.search).has("at")) go(`/s/${space}/c/${channel.id}`);
  };
  const blocked = readOnly || (channel.archived && ARCHIVED) || whyNobody(channel, me);
  return (
    <Composer label={channel.kind === "direct" ? `Write to ${title}` : `Write to #${title}`} draft={draft} onDraft={onDraft} onSend={send} onTyping={() => tellThatTyping(space, channel.id)} onEditLast={onEditLast} members={channel.members} blocked={blocked} />
  );
}
