/** How records look in a table: which fields get a column, and what stands in a cell. */
import type { CoveyRecord } from "@covey/client";

const MOST_COLUMNS = 5;
const MOST_LETTERS = 80;

/** The fields that most of these records have, the commonest first; among equals in the order they appear. */
export function columnsOf(records: CoveyRecord[]): string[] {
  const seen = new Map<string, number>();
  for (const { doc } of records) for (const name of Object.keys(doc)) seen.set(name, (seen.get(name) ?? 0) + 1);
  return [...seen.entries()].sort((a, b) => b[1] - a[1]).slice(0, MOST_COLUMNS).map(([name]) => name);
}

export function cellText(value: unknown): string {
  if (value === undefined) return "";
  const text = typeof value === "string" ? value : JSON.stringify(value);
  return text.length > MOST_LETTERS ? `${text.slice(0, MOST_LETTERS)}...` : text;
}

/** A JSON object, or why the text isn't one. */
export function parseDocument(text: string): { doc: Record<string, unknown> } | { wrong: string } {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== "object" || value === null || Array.isArray(value)) return { wrong: "A record is a JSON object: it begins with { and ends with }." };
    return { doc: value as Record<string, unknown> };
  } catch (error) {
    return { wrong: error instanceof Error ? error.message : "This is not JSON." };
  }
}

/** What has changed: only these fields are written, so that others may change the rest meanwhile. */
export function changedFields(before: Record<string, unknown>, after: Record<string, unknown>): { changed: Record<string, unknown>; left: string[] } {
  const changed = Object.fromEntries(Object.entries(after).filter(([name, value]) => JSON.stringify(before[name]) !== JSON.stringify(value)));
  return { changed, left: Object.keys(before).filter((name) => !(name in after)) };
}
