/**
 * WebSockets to a node.
 *
 * A page that the node itself serves is let in by its cookie. A program shows its token in a header of the handshake, which
 * Node.js, Deno and Bun let it set and browsers don't: a page elsewhere has no business there.
 */
import { ApiError, withQuery, type Connection, type Query } from "./http.ts";

/** Changes that may wait for whoever reads them. The node waits for a slow reader too, and begins anew from `since`. */
const MOST_WAITING = 100_000;

type OpensWithHeaders = new (url: string, options: { headers: Record<string, string> }) => WebSocket;

export const openSocket = (connection: Connection, url: string): WebSocket =>
  connection.token
    ? new (WebSocket as unknown as OpensWithHeaders)(url, { headers: { authorization: `Bearer ${connection.token}` } })
    : new WebSocket(url);

/** Where a route's WebSocket is: on the page's own origin where the connection names no other. */
export const socketUrl = (connection: Connection, route: string, query: Query = {}): string =>
  (connection.base || globalThis.location.origin).replace(/^http/, "ws") + withQuery(route, query);

/** What a socket says, one value after the other, until it's told to stop; throws where the line breaks. */
export async function* watchSocket<T>(
  connection: Connection,
  route: string,
  query: Query,
  signal?: AbortSignal,
): AsyncGenerator<T> {
  if (signal?.aborted) return;
  const socket = openSocket(connection, socketUrl(connection, route, query));
  const waiting: T[] = [];
  let over: ApiError | null = null;
  let wake: () => void = () => undefined;
  const end = (error: ApiError) => {
    over ??= error;
    wake();
  };
  socket.onmessage = (message: MessageEvent<unknown>) => {
    if (typeof message.data !== "string") return;
    if (waiting.length >= MOST_WAITING) return end(new ApiError(0, "too-slow", "More has come than was read."));
    waiting.push(JSON.parse(message.data) as T);
    wake();
  };
  socket.onclose = () => end(new ApiError(0, "unreachable", "The line to the node broke, or the node refused it."));
  const stop = () => wake();
  signal?.addEventListener("abort", stop);
  try {
    while (!signal?.aborted) {
      const next = waiting.shift();
      if (next !== undefined) {
        yield next;
      } else if (over) {
        throw over as ApiError;
      } else {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    }
  } finally {
    signal?.removeEventListener("abort", stop);
    socket.close();
  }
}
