/** Whether somebody looks at a page: it's in front, has the focus, and they did something a short while ago. */
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { AWAY_MS, watchLooking, type Looking } from "../../src/lib/looking.ts";

class Page extends EventTarget {
  visibilityState: DocumentVisibilityState = "visible";
  focused = true;
  readonly window = new EventTarget();
  held = 0;
  looks = 0;
  readonly looking: Looking;
  private moves = 0;

  constructor() {
    super();
    const hold = () => {
      this.held++;
      return () => void this.held--;
    };
    this.looking = watchLooking(this as unknown as Document, this.window as unknown as Window, hold);
    this.looking.onLook(() => this.looks++);
  }

  hasFocus(): boolean {
    return this.focused;
  }

  focus(on: boolean): void {
    this.focused = on;
    this.window.dispatchEvent(new Event(on ? "focus" : "blur"));
  }

  show(on: boolean): void {
    this.visibilityState = on ? "visible" : "hidden";
    this.dispatchEvent(new Event("visibilitychange"));
  }

  moves_mouse(): void {
    this.dispatchEvent(Object.assign(new Event("pointermove"), { screenX: ++this.moves, screenY: 0 }));
  }

  /** What it says and what it holds for the other tabs are the same. */
  state(): boolean {
    expect(this.held).toBe(this.looking.isLooking() ? 1 : 0);
    return this.looking.isLooking();
  }
}

let page: Page;
const wait = (ms: number) => vi.advanceTimersByTimeAsync(ms);
beforeEach(() => {
  vi.useFakeTimers();
  page = new Page();
});
afterEach(() => {
  page.looking.stop();
  expect(page.held, "what is closed is looked at no longer").toBe(0);
  vi.useRealTimers();
});

test("whoever opens a page looks at it, for five minutes unless they do something", async () => {
  expect(page.state()).toBe(true);
  await wait(AWAY_MS - 1);
  expect(page.state()).toBe(true);
  await wait(1);
  expect(page.state()).toBe(false);
  expect(page.looks).toBe(0);
  page.moves_mouse();
  expect(page.state()).toBe(true);
  expect(page.looks).toBe(1);
});

test("whoever goes on doing something goes on looking, and is told of once", async () => {
  for (let minute = 0; minute < 30; minute++) {
    await wait(60_000);
    page.moves_mouse();
    expect(page.state()).toBe(true);
  }
  expect(page.looks).toBe(0);
});

test("a window without the focus is looked at by nobody, though it's visible and the mouse goes over it", async () => {
  page.focus(false);
  expect(page.state()).toBe(false);
  page.moves_mouse();
  expect(page.state()).toBe(false);
  await wait(AWAY_MS);
  page.focus(true);
  expect(page.state(), "coming back is doing something").toBe(true);
  expect(page.looks).toBe(1);
});

test("a page that is hidden is looked at by nobody, until it's shown", () => {
  page.show(false);
  expect(page.state()).toBe(false);
  page.show(true);
  expect(page.state()).toBe(true);
  expect(page.looks).toBe(1);
});

test("after the machine slept somebody looks again with the first thing they do", () => {
  vi.setSystemTime(Date.now() + 60 * 60_000);
  page.moves_mouse();
  expect(page.state()).toBe(true);
  expect(page.looks).toBe(1);
});
