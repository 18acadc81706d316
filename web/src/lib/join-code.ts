/** What somebody typed or pasted to come in. The node judges it; this only spares a round trip for what can't be one. */

export type CodeKind = "none" | "code" | "space-link" | "device-link";

/** A pasted text may have the link in the middle of a sentence. */
export function tidyCode(text: string): string {
  const link = /covey:\/\/\S+/.exec(text)?.[0];
  return link ?? text.trim().toUpperCase().replaceAll(/\s+/g, "-");
}

export function kindOfCode(text: string): CodeKind {
  const tidy = tidyCode(text);
  if (tidy.startsWith("covey://device/")) return "device-link";
  if (tidy.startsWith("covey://")) return "space-link";
  return tidy.length >= 8 ? "code" : "none";
}
