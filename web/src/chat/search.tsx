/** Words in everything that was said. */
import type { Found } from "@covey/client";
import { keepPreviousData, useInfiniteQuery } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import { Link, useSearchParams } from "wouter";
import { api } from "../api/client.ts";
import { keys } from "../api/keys.ts";
import { Page } from "../frame/page.tsx";
import { useSettled } from "../data/records.tsx";
import { inFull } from "../lib/format.ts";
import { Button } from "../ui/button.tsx";
import { Avatar, Note, Wait } from "../ui/parts.tsx";
import { pieces } from "./highlight.ts";
import { channelTitle, useChannels, useMe } from "./queries.ts";

const FOUND_AT_ONCE = 50;

const useFound = (space: string, words: string, channel: string) =>
  useInfiniteQuery({
    queryKey: [...keys.search(space, words), channel],
    enabled: words !== "",
    placeholderData: keepPreviousData,
    initialPageParam: null as number | null,
    queryFn: ({ pageParam: next, signal }) =>
      api.search(space, { q: words, limit: FOUND_AT_ONCE, ...(channel && { channel }), ...(next !== null && { next }) }, signal),
    getNextPageParam: (page) => (page.next === null ? null : Number(page.next)),
  });

export default function Search({ space }: { space: string }) {
  const [params, setParams] = useSearchParams();
  const [typed, setTyped] = useState(params.get("q") ?? "");
  const [channel, setChannel] = useState(params.get("channel") ?? "");
  const words = useSettled(typed.trim());
  // In the address, so that they are there again when one comes back from what was found, or loads the page anew.
  useEffect(() => {
    setParams((now) => {
      const next = new URLSearchParams(now);
      for (const [name, value] of [["q", words], ["channel", channel]] as const) value ? next.set(name, value) : next.delete(name);
      return next;
    }, { replace: true });
  }, [channel, setParams, words]);
  const channels = useChannels(space).data ?? [];
  const me = useMe();
  const found = useFound(space, words, channel);
  const hits = found.data?.pages.flatMap((page) => page.items) ?? [];
  const titleOf = (id: string) => {
    const one = channels.find((other) => other.id === id);
    return one ? `${one.kind === "direct" ? "" : "#"}${channelTitle(one, me)}` : "a channel";
  };
  return (
    <Page title="Search">
      <div className="row wrap">
        <input className="input grow" type="search" autoFocus aria-label="Words" placeholder="Words that were said" value={typed} onChange={(event) => setTyped(event.target.value)} />
        <select className="input" aria-label="Where" value={channel} onChange={(event) => setChannel(event.target.value)}>
          <option value="">everywhere</option>
          {channels.map((one) => <option key={one.id} value={one.id}>{titleOf(one.id)}</option>)}
        </select>
      </div>
      {found.isFetching && !found.isFetchingNextPage && words !== "" && <Wait text="Searching" />}
      {found.isError && <Note tone="bad">{found.error.message}</Note>}
      {words !== "" && found.data && hits.length === 0 && !found.isFetching && <Note tone="calm">Nobody said that here.</Note>}
      {words !== "" && hits.length > 0 && (
        <>
          <ul className="card list" aria-label="Found messages">
            {hits.map((one) => <Hit key={one.message.id} space={space} found={one} where={titleOf(one.message.channel)} />)}
          </ul>
          <div className="row wrap">
            <span className="soft small grow" role="status">{found.hasNextPage ? `The newest ${hits.length} are shown.` : `${hits.length === 1 ? "This is" : "These are"} all.`}</span>
            {found.hasNextPage && <Button busy={found.isFetchingNextPage} onClick={() => void found.fetchNextPage()}>Show more</Button>}
          </div>
        </>
      )}
    </Page>
  );
}

function Hit({ space, found, where }: { space: string; found: Found; where: string }) {
  const { message } = found;
  const thread = message.reply_to ? `&thread=${message.reply_to}` : "";
  return (
    <li>
      <Link href={`/s/${space}/c/${message.channel}?at=${message.reply_to ?? message.id}${thread}`} className="hit">
        <Avatar id={message.author} />
        <div className="grow">
          <div className="row wrap small"><b dir="auto">{message.author_name}</b><span className="soft">{where}, {inFull(message.at)}</span></div>
          <p dir="auto">{pieces(message.text, found.highlights).map((piece, at) => (piece.on ? <mark key={at}>{piece.text}</mark> : piece.text))}</p>
        </div>
      </Link>
    </li>
  );
}
