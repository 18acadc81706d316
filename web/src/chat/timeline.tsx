/** The messages of a channel or a thread: only those in sight are on the page, whatever the length. */
import { useVirtualizer } from "@tanstack/react-virtual";
import { ArrowDown } from "lucide-react";
import { useDeferredValue, useEffect, useLayoutEffect, useRef, useState, type KeyboardEvent, type ReactNode } from "react";
import { onLook } from "../lib/looking.ts";
import { Button } from "../ui/button.tsx";
import type { Row } from "./rows.ts";

interface TimelineProps {
  label: string;
  rows: Row[];
  /** Whether the list reaches to the present. */
  atPresent: boolean;
  hasOlder: boolean;
  onOlder: () => void;
  onNewer: () => void;
  /** Called with the places of the first and the last message in sight. */
  onInSight: (from: string, to: string) => void;
  /** Called when the newest message is in sight, and whenever somebody looks again while it is. */
  onSeenAll: () => void;
  /** The message to begin at; otherwise the newest. */
  startAt: string | null;
  children: (row: Row) => ReactNode;
}

/** So near an end the next page is fetched. */
const NEAR_ROWS = 12;
const AT_END_PX = 80;
/** Rows above and below what is in sight. */
const OVERSCAN = 10;
/** Of a message: its space around, a line, its author's name, and a line of reactions or answers. */
const ROW_PX = 4;
const LINE_PX = 22.5;
const LINE_CHARS = 80;
const HEAD_PX = 30;
const EXTRA_PX = 30;
/** What stands above and below the list on a usual page. */
const AROUND_PX = 135;
/** A few frames, in which rows are measured and the place is corrected. */
const SETTLE_MS = 150;

/** How high a row is about, pixels: the nearer, the less is drawn that turns out to be out of sight. */
function heightOf(row: Row | undefined): number {
  if (row?.kind !== "message") return 40;
  const { text, reactions, thread } = row.message;
  const lines = text.split("\n").reduce((sum, line) => sum + Math.max(1, Math.ceil(line.length / LINE_CHARS)), 0);
  return Math.round(ROW_PX + lines * LINE_PX + (row.head ? HEAD_PX : 0) + (Object.keys(reactions).length > 0 ? EXTRA_PX : 0) + (thread ? EXTRA_PX : 0));
}

export function Timeline({ label, rows, atPresent, hasOlder, onOlder, onNewer, onInSight, onSeenAll, startAt, children }: TimelineProps) {
  const box = useRef<HTMLDivElement>(null);
  const [away, setAway] = useState(false);
  // Before the first place is reached nothing is fetched: the list stands at its top for a moment, where nobody has scrolled to.
  const [settled, setSettled] = useState(false);
  const started = useRef(false);
  const stick = useRef(startAt === null);
  const top = useRef(0);
  // Rows out of sight come once those in sight are drawn.
  const overscan = useDeferredValue(OVERSCAN, 1);
  const virtual = useVirtualizer({
    count: rows.length,
    getScrollElement: () => box.current,
    getItemKey: (at) => rows[at]?.key ?? at,
    estimateSize: (at) => heightOf(rows[at]),
    overscan,
    // Where it will stand, as near as that's known before it's on the page: else rows at the top are drawn first, for nothing.
    initialRect: { width: 0, height: window.innerHeight - AROUND_PX },
    initialOffset: () => {
      const at = startAt ? rows.findIndex((row) => row.key === startAt) : -1;
      const above = (at < 0 ? rows : rows.slice(0, at)).reduce((sum, row) => sum + heightOf(row), 0);
      return Math.max(0, above - (window.innerHeight - AROUND_PX) / (at < 0 ? 1 : 2));
    },
    anchorTo: "end",
    followOnAppend: true,
    scrollEndThreshold: AT_END_PX,
    paddingStart: 16,
  });
  const items = virtual.getVirtualItems();
  const first = items[0]?.index ?? 0;
  const last = items.at(-1)?.index ?? 0;
  useEffect(() => {
    if (started.current || rows.length === 0) return;
    started.current = true;
    const at = startAt ? rows.findIndex((row) => row.key === startAt) : -1;
    stick.current = at < 0;
    if (at >= 0) virtual.scrollToIndex(at, { align: "center" });
    setTimeout(() => setSettled(true), SETTLE_MS);
  }, [rows, startAt, virtual]);
  useEffect(() => {
    if (!settled) return;
    if (first < NEAR_ROWS && hasOlder) onOlder();
    if (last > rows.length - NEAR_ROWS && !atPresent) onNewer();
  }, [atPresent, first, hasOlder, last, onNewer, onOlder, rows.length, settled]);
  useEffect(() => {
    const places = rows.slice(first, last + 1).flatMap((row) => (row.kind === "message" ? [row.message.position] : []));
    const [from, to] = [places[0], places.at(-1)];
    if (settled && from !== undefined && to !== undefined) onInSight(from, to);
  }, [first, last, onInSight, rows, settled]);
  const total = virtual.getTotalSize();
  // Whoever is at the end stays there while rows find their heights, pictures of letters load, and the window changes.
  useLayoutEffect(() => {
    const toEnd = () => {
      const area = box.current;
      if (area && stick.current) area.scrollTop = area.scrollHeight;
    };
    toEnd();
    // Where rows came in between, the list puts those in sight back to where they stood, and tells nobody.
    let frame = requestAnimationFrame(() => {
      toEnd();
      frame = requestAnimationFrame(toEnd);
    });
    return () => cancelAnimationFrame(frame);
  }, [rows.length, total]);
  const seenAll = atPresent && !away && rows.length > 0;
  useEffect(() => {
    if (!seenAll) return;
    onSeenAll();
    // What came while nobody looked is seen when somebody looks again.
    return onLook(onSeenAll);
  }, [onSeenAll, rows.length, seenAll]);
  const onScroll = () => {
    const area = box.current;
    if (!area) return;
    const far = area.scrollHeight - area.scrollTop - area.clientHeight > AT_END_PX;
    // Only going up leaves the end: that the list grew under one's feet doesn't.
    if (!far) stick.current = true;
    else if (area.scrollTop < top.current) stick.current = false;
    // Whoever is at the end was moved off it by rows that came in above: back, or they would be nowhere and not be told.
    else if (stick.current) area.scrollTop = area.scrollHeight;
    top.current = area.scrollTop;
    setAway(far && !stick.current);
  };
  // Also while older messages are still coming in above, which would move the place that was scrolled to.
  const toNewest = () => {
    stick.current = true;
    setAway(false);
    virtual.scrollToIndex(rows.length - 1, { align: "end" });
  };
  return (
    <div className="timeline-place">
      <div className="timeline scroll" ref={box} role="log" aria-label={label} tabIndex={0} onScroll={onScroll} onKeyDown={(event) => walk(event, box.current)}>
        <div style={{ height: total, position: "relative" }}>
          {items.map((item) => {
            const row = rows[item.index];
            return row && (
              <div key={item.key} data-index={item.index} ref={virtual.measureElement} className="timeline-row" style={{ transform: `translateY(${item.start}px)` }}>
                {children(row)}
              </div>
            );
          })}
        </div>
      </div>
      {away && <Button className="to-end" onClick={toNewest}><ArrowDown size={15} aria-hidden />To the newest</Button>}
    </div>
  );
}

/** Up and down go from message to message; Tab then leads to what can be done with one. */
function walk(event: KeyboardEvent, box: HTMLElement | null): void {
  const step = event.key === "ArrowDown" ? 1 : event.key === "ArrowUp" ? -1 : 0;
  const target = event.target as HTMLElement;
  if (step === 0 || !box || /^(INPUT|TEXTAREA)$/.test(target.tagName)) return;
  const all = [...box.querySelectorAll<HTMLElement>("[data-message]")];
  const at = all.findIndex((one) => one.contains(document.activeElement));
  const next = all[at === -1 ? all.length - 1 : at + step];
  if (!next) return;
  event.preventDefault();
  next.focus();
}
