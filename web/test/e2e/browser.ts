/** A real browser, and what the tests look for on its pages. */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { mkdirSync } from "node:fs";
import { chromium, type Browser, type BrowserContext, type Page } from "playwright-core";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const SHOTS = process.env["COVEY_SHOTS"];

const FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage"];

export const openBrowser = (more: string[] = []): Promise<Browser> =>
  chromium.launch({ executablePath: process.env["CHROMIUM"] ?? "/usr/bin/chromium", args: [...FLAGS, ...more] });

/** Long enough for a machine that is busy with something else; whoever waits goes on as soon as it's there. */
export const PATIENCE_MS = 30_000;

export interface Tab {
  page: Page;
  context: BrowserContext;
  /** What the page said that it shouldn't have: errors, and what its policy refused. */
  complaints: string[];
}

export async function openTab(browser: Browser, options: { dark?: boolean; phone?: boolean; motion?: boolean } = {}): Promise<Tab> {
  const context = await browser.newContext({
    viewport: options.phone ? { width: 390, height: 844 } : { width: 1360, height: 860 },
    colorScheme: options.dark ? "dark" : "light",
    reducedMotion: options.motion ? "no-preference" : "reduce",
    hasTouch: options.phone ?? false,
    locale: "en-GB",
    timezoneId: "Europe/Berlin",
  });
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE_MS);
  const complaints: string[] = [];
  page.on("pageerror", (error) => complaints.push(`error: ${error.message}`));
  page.on("console", (message) => {
    const text = message.text();
    // A refused request is the answer to a question; whether it's shown well is for the test to say.
    if (message.type() === "error" && !/Failed to load resource|WebSocket connection/.test(text)) complaints.push(text);
  });
  return { page, context, complaints };
}

export interface Violation {
  rule: string;
  where: string[];
  why: string;
}

/** What axe finds against WCAG 2.2 A and AA. Run from outside the page's policy, which would refuse it. */
export async function violations(page: Page): Promise<Violation[]> {
  await page.evaluate(AXE);
  return page.evaluate(async () => {
    interface Axe {
      run: (root: Document, options: object) => Promise<{ violations: { id: string; help: string; nodes: { target: string[]; failureSummary: string }[] }[] }>;
    }
    const axe = (window as unknown as { axe: Axe }).axe;
    const found = await axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"] });
    return found.violations.map((one) => ({ rule: `${one.id}: ${one.help}`, where: one.nodes.map((node) => node.target.join(" ")), why: one.nodes[0]?.failureSummary ?? "" }));
  });
}

/** When nothing on the page is on its way any more: no answer, no letters' shapes, no movement. */
export async function settled(page: Page): Promise<void> {
  await page.waitForLoadState("networkidle");
  await page.waitForFunction(() => document.querySelector("main .wait") === null);
  await page.evaluate(async () => {
    await document.fonts.ready;
    await Promise.allSettled(document.getAnimations().filter((one) => one.effect?.getTiming().iterations !== Infinity).map((one) => one.finished));
    await new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)));
  });
}

/** What reaches out of the window to the right, where nobody can scroll to it. */
export const tooWide = (page: Page): Promise<string[]> =>
  page.evaluate(() => {
    const width = document.documentElement.clientWidth;
    const isCut = (one: Element | null): boolean => {
      if (!one || one === document.body) return false;
      const { overflowX, textOverflow, clipPath } = getComputedStyle(one);
      if (/auto|scroll/.test(overflowX) || textOverflow === "ellipsis" || clipPath !== "none") return true;
      return isCut(one.parentElement);
    };
    const found = [...document.body.querySelectorAll("*")].filter((one) => {
      const { left, right, width: own } = one.getBoundingClientRect();
      return own > 0 && (right > width + 1 || left < -1) && one.checkVisibility() && !isCut(one.parentElement) && !isCut(one);
    });
    const scrolls = document.documentElement.scrollWidth > width ? [`the page is ${document.documentElement.scrollWidth} wide`] : [];
    return [...scrolls, ...found.map((one) => `${one.tagName.toLowerCase()}.${one.className} ${(one.textContent ?? "").slice(0, 40)}`)];
  });

/** A picture for people to look at, where one is wanted. */
export async function shot(page: Page, name: string): Promise<void> {
  if (!SHOTS) return;
  mkdirSync(SHOTS, { recursive: true });
  await page.evaluate(() => document.fonts.ready.then(() => undefined));
  await page.screenshot({ path: `${SHOTS}/${name}.png`, animations: "disabled" });
}

/** What a text in a name or a message would have done if it had become part of the page. */
export const pwned = (page: Page): Promise<unknown> => page.evaluate(() => (window as unknown as { pwned?: unknown }).pwned);
