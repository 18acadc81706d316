/** The node that served this page. */
import { ApiError, createClient, isMissing, isPassing, isSignedOut, isUnreachable } from "@covey/client";
import { QueryCache, QueryClient } from "@tanstack/react-query";
import { setSignedOut } from "./session.ts";

export const api = createClient({ base: "" });

export const queries = new QueryClient({
  queryCache: new QueryCache({ onError: (error) => isSignedOut(error) && setSignedOut() }),
  defaultOptions: {
    queries: {
      // The node is on this machine: that there is no network is its affair, and no reason not to ask.
      networkMode: "always",
      // Events say when something changed; nothing goes stale by itself.
      staleTime: 60_000,
      retry: (times, error) => times < 3 && isPassing(error),
      retryDelay: (attempt) => Math.min(1000 * 2 ** attempt, 10_000),
    },
    mutations: { networkMode: "always", onError: (error) => isSignedOut(error) && setSignedOut() },
  },
});

export { ApiError, isMissing, isPassing, isSignedOut, isUnreachable };
