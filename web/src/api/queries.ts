/** What pages ask for. The only place, beside the conversation, that knows both the client and the cache. */
import type { Space, Status } from "@covey/client";
import { queryOptions, useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { api, queries } from "./client.ts";
import { keys } from "./keys.ts";

/** Round trips change without an event; once in a while is enough to look at them, and not whenever something comes onto the page that shows them. */
const STATUS_EVERY_MS = 15_000;

const status = queryOptions({ queryKey: keys.status, queryFn: ({ signal }) => api.status(signal) });

export const useStatus = () => useQuery({ ...status, refetchInterval: STATUS_EVERY_MS, staleTime: STATUS_EVERY_MS });

/** Every page needs it. Asked for before anything is drawn, so that the answer comes meanwhile. */
export const askStatusAhead = (): void => void queries.prefetchQuery(status);

/** The spaces that people see: the personal one is the node's own affair. */
export const spacesOf = (status: Status | undefined): Space[] => (status?.spaces ?? []).filter((space) => !space.personal && !space.parent);

export const useSpace = (id: string): Space | undefined => useStatus().data?.spaces.find((space) => space.id === id);

/** Admins and owners let people in and out, and keep the channels. Whoever is out of a space does neither. */
export const mayManage = (space: Space | undefined): boolean => !space?.removed && (space?.role === "admin" || space?.role === "owner");

/** Why nothing can be written in a space, or false. */
export const whyReadOnly = (space: Space | undefined): string | false =>
  (space?.removed && "You are no longer in this space.") || (space?.role === "guest" && "Guests read only.");

export const useMembers = (space: string) =>
  useQuery({ queryKey: keys.members(space), queryFn: ({ signal }) => api.members(space, signal) });

export const useAudit = (space: string) =>
  useQuery({ queryKey: keys.audit(space), queryFn: ({ signal }) => api.audit(space, signal) });

export const useDevices = () => useQuery({ queryKey: keys.devices, queryFn: ({ signal }) => api.devices(signal) });

export const useDoctor = () =>
  useQuery({ queryKey: keys.doctor, queryFn: ({ signal }) => api.doctor(signal), staleTime: 0 });

/** Collections that the node keeps for itself, such as the conversations': they have pages of their own. */
const INNER = ["own.chat.", "covey."];

export const useCollections = (space: string) =>
  useQuery({
    queryKey: keys.collections(space),
    queryFn: async ({ signal }) => (await api.collections(space, signal)).filter((one) => !INNER.some((prefix) => one.name.startsWith(prefix))),
  });

const RECORDS_AT_ONCE = 100;

export const useRecords = (space: string, collection: string, where: string) =>
  useInfiniteQuery({
    queryKey: keys.records(space, collection, where),
    initialPageParam: "",
    queryFn: ({ pageParam, signal }) => api.records(space, collection, { where, after: pageParam, limit: RECORDS_AT_ONCE }, signal),
    getNextPageParam: (page) => page.next,
  });

export const useRecordSync = (space: string, collection: string, id: string) =>
  useQuery({ queryKey: keys.recordSync(space, collection, id), queryFn: ({ signal }) => api.recordSync(space, collection, id, signal) });
