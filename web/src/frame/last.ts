/** Where one was last time, so that opening Covey again leads back there. */
import type { Space } from "@covey/client";
import { read, write } from "../lib/store.ts";

export const lastSpace = (): string | null => read("last-space");
/** Where one begins: in the space of last time, or in another that one is still in. */
export function homeSpace(spaces: Space[]): Space | undefined {
  const within = spaces.filter((space) => !space.removed);
  return within.find((space) => space.id === lastSpace()) ?? within[0] ?? spaces[0];
}
export const rememberSpace = (id: string): void => {
  if (read("last-space") !== id) write("last-space", id);
};
export const lastChannel = (space: string): string | null => read(`last-channel.${space}`);
export const rememberChannel = (space: string, channel: string): void => write(`last-channel.${space}`, channel);
