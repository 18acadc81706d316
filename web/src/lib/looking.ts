/**
 * Whether somebody looks at this page: it's in front, its window has the focus, and they did something within the last five minutes.
 * A window that merely lies behind another one is "visible" to a browser, and so is one before an empty chair: what comes in there isn't
 * read, and is worth a notification. The same five minutes make whoever does nothing "away".
 */

/** Nobody did anything for this long. */
export const AWAY_MS = 5 * 60_000;

const KINDS = ["pointerdown", "pointermove", "wheel", "touchmove", "keydown", "visibilitychange"];

export type WatchedPage = Pick<Document, "addEventListener" | "removeEventListener" | "visibilityState">;
export type WatchedWindow = Pick<Window, "addEventListener" | "removeEventListener">;

/** Calls `touch` whenever somebody does something at this page, until what it gives back is called. */
export function watchActivity(touch: () => void, page: WatchedPage, view: WatchedWindow | undefined = globalThis.window): () => void {
  let pointer = "";
  const onEvent = (event: Event) => {
    if (event.type === "pointermove") {
      // A browser tells of a move too when the page moves under a mouse that lies still.
      const { screenX, screenY } = event as PointerEvent;
      const place = `${screenX} ${screenY}`;
      const moved = place !== pointer;
      pointer = place;
      if (!moved) return;
    }
    if (page.visibilityState === "visible") touch();
  };
  for (const kind of KINDS) page.addEventListener(kind, onEvent, { passive: true, capture: true });
  view?.addEventListener("focus", onEvent);
  return () => {
    for (const kind of KINDS) page.removeEventListener(kind, onEvent, { capture: true });
    view?.removeEventListener("focus", onEvent);
  };
}

export interface Looking {
  isLooking: () => boolean;
  /** Called when somebody looks again, until what it gives back is called. */
  onLook: (listener: () => void) => () => void;
  stop: () => void;
}

/** While it's held, somebody looks at a tab: the others of this browser know by it that they needn't notify. */
const LOCK = "covey.looking.";

type Page = WatchedPage & Pick<Document, "hasFocus">;

export function watchLooking(page: Page, view: WatchedWindow, hold: () => () => void): Looking {
  // Whoever opens the page looks at it.
  let active = Date.now();
  let letGo: (() => void) | null = null;
  let end: ReturnType<typeof setTimeout> | undefined;
  const listeners = new Set<() => void>();
  const isLooking = () => page.visibilityState === "visible" && page.hasFocus() && Date.now() - active < AWAY_MS;
  const check = () => {
    clearTimeout(end);
    end = undefined;
    const looks = isLooking();
    if (looks) end = setTimeout(check, active + AWAY_MS - Date.now());
    if (looks === (letGo !== null)) return;
    letGo?.();
    letGo = looks ? hold() : null;
    if (looks) for (const listener of listeners) listener();
  };
  const touch = () => {
    // A machine that slept told nobody that the five minutes were over.
    if (letGo && !isLooking()) check();
    active = Date.now();
    if (!letGo || end === undefined) check();
  };
  const stopWatching = watchActivity(touch, page, view);
  page.addEventListener("visibilitychange", check);
  view.addEventListener("blur", check);
  check();
  return {
    isLooking,
    onLook: (listener) => {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    stop: () => {
      clearTimeout(end);
      letGo?.();
      stopWatching();
      page.removeEventListener("visibilitychange", check);
      view.removeEventListener("blur", check);
    },
  };
}

/** Of this tab alone, so that a tab knows its own from the others'. A browser gives locks to pages of this machine, or by https. */
const OWN = LOCK + Math.random().toString(36).slice(2);

function holdLock(): () => void {
  let letGo = () => undefined as void;
  const held = new Promise<void>((resolve) => (letGo = resolve));
  navigator.locks?.request(OWN, () => held).catch(() => undefined);
  return letGo;
}

/** Whether somebody looks at another tab of this browser. */
export async function isAnotherLookedAt(): Promise<boolean> {
  const { held } = (await navigator.locks?.query().catch(() => undefined)) ?? {};
  return held?.some(({ name }) => name?.startsWith(LOCK) && name !== OWN) ?? false;
}

const here = typeof document === "undefined" ? null : watchLooking(document, window, holdLock);

export const isLooking = (): boolean => here?.isLooking() ?? false;
export const onLook = (listener: () => void): (() => void) => here?.onLook(listener) ?? (() => undefined);
