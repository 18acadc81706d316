/**
 * The node's events over one WebSocket that comes back by itself.
 *
 * Events are numbered. After a break the socket resumes behind the last number it saw, so that nothing is missed; where the
 * node has forgotten that far back it says `reset`, and whoever listens fetches everything anew.
 */
import type { NodeEvent } from "./types.ts";

export type LinkState = "connecting" | "open" | "waiting";

/** First wait after a break; doubles up to the last. A laptop that wakes up should not wait long. */
export const FIRST_WAIT_MS = 1000;
export const LAST_WAIT_MS = 30_000;

/** How long to wait before attempt `n` (from 0). `spread` in 0..1 keeps many clients from coming back at one moment. */
export const waitBefore = (attempt: number, spread: number): number => {
  const full = Math.min(LAST_WAIT_MS, FIRST_WAIT_MS * 2 ** attempt);
  return full * (0.75 + 0.25 * spread);
};

/** Chat events may name their kind `type`; those of the node name it `event`. */
export function parseEvent(text: string): NodeEvent | null {
  try {
    const value = JSON.parse(text) as { event?: unknown; type?: unknown; position?: unknown };
    const event = value.event ?? value.type;
    if (typeof event !== "string") return null;
    return { ...value, event } as NodeEvent;
  } catch {
    return null;
  }
}

export interface EventLinkOptions {
  url: () => string;
  onEvent: (event: NodeEvent) => void;
  onState: (state: LinkState, retryAt: number | null) => void;
  /** Replaced in tests. */
  open?: (url: string) => WebSocket;
}

export class EventLink {
  private socket: WebSocket | null = null;
  private seen: number | null = null;
  private attempt = 0;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private stopped = false;
  private wasOpen = false;

  constructor(private readonly options: EventLinkOptions) {}

  start(): void {
    this.stopped = false;
    this.connect();
  }

  stop(): void {
    this.stopped = true;
    clearTimeout(this.timer);
    this.socket?.close();
    this.socket = null;
  }

  /** Tries at once: the user asked, or the machine is back on line. */
  retryNow(): void {
    if (this.stopped || this.socket?.readyState === 0 || this.socket?.readyState === 1) return;
    clearTimeout(this.timer);
    this.connect();
  }

  private connect(): void {
    const url = this.options.url() + (this.seen === null ? "" : `?since=${this.seen}`);
    this.options.onState("connecting", null);
    const socket = this.options.open ? this.options.open(url) : new WebSocket(url);
    this.socket = socket;
    socket.onopen = () => {
      this.attempt = 0;
      // Whatever happened while a first connection was being made has no number here yet.
      if (this.seen === null && this.wasOpen) this.options.onEvent({ position: 0, at: "", event: "reset" });
      this.wasOpen = true;
      this.options.onState("open", null);
    };
    socket.onmessage = (message: MessageEvent<unknown>) => {
      const event = typeof message.data === "string" ? parseEvent(message.data) : null;
      if (!event) return;
      // Typing and presence have no place in the row of events.
      if (typeof event.position === "number" && event.position > 0) this.seen = event.position;
      this.options.onEvent(event);
    };
    socket.onclose = () => this.lost(socket);
  }

  private lost(socket: WebSocket): void {
    if (this.stopped || this.socket !== socket) return;
    this.socket = null;
    const wait = waitBefore(this.attempt++, Math.random());
    this.options.onState("waiting", Date.now() + wait);
    this.timer = setTimeout(() => this.connect(), wait);
  }
}
