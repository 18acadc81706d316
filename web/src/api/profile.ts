/** One's own name. A node that can't change it answers 404, and then nothing of it is offered. */
import { ask, path } from "@covey/client";
import { useQuery } from "@tanstack/react-query";
import { api, isMissing, queries } from "./client.ts";
import { keys } from "./keys.ts";

export interface Profile {
  user: string;
  name: string;
}

export const useProfile = () =>
  useQuery<Profile | null>({
    queryKey: keys.profile,
    queryFn: async ({ signal }) => {
      try {
        return await ask<Profile>(api.connection, path("profile"), { signal });
      } catch (error) {
        if (isMissing(error)) return null;
        throw error;
      }
    },
  });

/** All who share a space with one see the new name. */
export async function renameMe(name: string): Promise<void> {
  queries.setQueryData<Profile | null>(keys.profile, await ask<Profile>(api.connection, path("profile"), { method: "PATCH", json: { name } }));
  await queries.invalidateQueries();
}
