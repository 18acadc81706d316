/** Notifications of the system, only where the user asked for them. */
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

/** Shown only while nobody looks at the page. The tag makes two tabs show one. */
export function notify(title: string, body: string, tag: string, onOpen: () => void): void {
  if (read("notify") !== "on" || !granted() || document.visibilityState === "visible") return;
  const note = new Notification(title, { body: body.slice(0, 200), tag });
  note.onclick = () => {
    window.focus();
    onOpen();
    note.close();
  };
}
