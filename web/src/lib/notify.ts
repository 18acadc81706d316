/** Notifications of the system, only where the user asked for them. */
import { isAnotherLookedAt, isLooking } from "./looking.ts";
import { read, useStored, write } from "./store.ts";

export const notifications = (): boolean => typeof Notification !== "undefined";
const granted = (): boolean => notifications() && Notification.permission === "granted";

export function useNotifications(): boolean {
  const [stored] = useStored("notify");
  return stored === "on" && granted();
}

export const setNotifications = (on: boolean): void => write("notify", on ? "on" : null);

export async function askToNotify(): Promise<boolean> {
  if (!notifications()) return false;
  const may = (await Notification.requestPermission()) === "granted";
  setNotifications(may);
  return may;
}

/** Shown only while nobody looks at this page, nor at another tab of this browser. The tag makes two tabs that nobody looks at show one. */
export async function notify(title: string, body: string, tag: string, onOpen: () => void): Promise<void> {
  if (read("notify") !== "on" || !granted() || isLooking() || (await isAnotherLookedAt())) return;
  const note = new Notification(title, { body: body.slice(0, 200), tag });
  note.onclick = () => {
    window.focus();
    onOpen();
    note.close();
  };
}
