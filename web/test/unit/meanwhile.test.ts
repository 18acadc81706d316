/** A message that comes while its list is being fetched, when the node's answer was made before it. */
import type { Message, MessagePage } from "@covey/client";
import type { InfiniteData } from "@tanstack/react-query";
import { beforeEach, expect, test } from "vitest";
import { queries } from "../../src/api/client.ts";
import { keys } from "../../src/api/keys.ts";
import { keepMessage, type Cursor } from "../../src/chat/queries.ts";

const KEY = [...keys.messages("s", "c"), "newest"];
const message = (id: string, text = id): Message => ({
  id, channel: "c", author: "u", author_name: "U", device: "d", text, at: "2026-03-01T09:00:00Z", edited: false, deleted: false, reply_to: null,
  thread: null, mentions: [], reactions: {}, state: "sent", delivered_to: [], read_by: [], position: id,
});
const page = (...ids: string[]): MessagePage => ({ items: ids.map((id) => message(id)), before: "older", after: null });
const shown = () => queries.getQueryData<InfiniteData<MessagePage, Cursor>>(KEY)?.pages.flatMap((one) => one.items.map((item) => item.text));

/** A fetch that is answered when the test says so. */
function slowly(answer: MessagePage): { fetched: Promise<unknown>; give: () => void } {
  let give = () => undefined as void;
  const given = new Promise<void>((resolve) => (give = resolve));
  const fetched = queries.fetchInfiniteQuery({ queryKey: KEY, initialPageParam: {} as Cursor, staleTime: 0, queryFn: () => given.then(() => answer) });
  return { fetched, give };
}

beforeEach(() => queries.clear());

test("is in the list, though the first answer lacks it", async () => {
  const { fetched, give } = slowly(page("a"));
  keepMessage("s", message("b"));
  give();
  await fetched;
  expect(shown()).toEqual(["a", "b"]);
});

test("is in the list, though a later answer lacks it, once and as it is by then", async () => {
  const first = slowly(page("a"));
  first.give();
  await first.fetched;
  const again = slowly(page("a"));
  keepMessage("s", message("b"));
  expect(shown()).toEqual(["a", "b"]);
  keepMessage("s", message("b", "b, edited"));
  again.give();
  await again.fetched;
  expect(shown()).toEqual(["a", "b, edited"]);
});

test("is not kept for the fetch after", async () => {
  const first = slowly(page("a"));
  keepMessage("s", message("b"));
  first.give();
  await first.fetched;
  const again = slowly(page("a"));
  again.give();
  await again.fetched;
  expect(shown()).toEqual(["a"]);
});
