/** Long work of the node: it goes on when the page that began it is left, and every page can tell how far it is. */
import type { Job, JobList } from "@covey/client";
import { useQuery } from "@tanstack/react-query";
import { api, queries } from "./client.ts";
import { keys } from "./keys.ts";

/** Events tell how a job stands; should one be missed, it's asked for. */
const ASK_EVERY_MS = 2000;

export const isRunning = (job: Job | undefined): boolean => job?.state === "running" || job?.state === "cancelling";

/** What runs, and what has ended within the last hour; the oldest first. */
export const useJobs = (): Job[] | undefined =>
  useQuery({
    queryKey: keys.jobs,
    queryFn: ({ signal }) => api.jobs(signal),
    refetchInterval: ({ state }) => (state.data?.items.some(isRunning) ? ASK_EVERY_MS : false),
  }).data?.items;

/** How a job stands now, in place of what was known of it. */
export function keepJob(job: Job): void {
  queries.setQueryData<JobList>(keys.jobs, (list) => {
    const known = list?.items.some((one) => one.id === job.id);
    return list && { ...list, items: known ? list.items.map((one) => (one.id === job.id ? job : one)) : [...list.items, job] };
  });
}

/** Has one that was just begun in the list, whatever was on its way to here before it began. */
export async function followJob(): Promise<void> {
  await queries.cancelQueries({ queryKey: keys.jobs });
  await queries.fetchQuery({ queryKey: keys.jobs, queryFn: () => api.jobs(), staleTime: 0 });
}
