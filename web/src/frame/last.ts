/** Where one was last time, so that opening Covey again leads back there. */
import { read, write } from "../lib/store.ts";

export const lastSpace = (): string | null => read("last-space");
export const rememberSpace = (id: string): void => {
  if (read("last-space") !== id) write("last-space", id);
};
export const lastChannel = (space: string): string | null => read(`last-channel.${space}`);
export const rememberChannel = (space: string, channel: string): void => write(`last-channel.${space}`, channel);
