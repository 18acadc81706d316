/** What people and devices look like: derived from their keys, so that two people of one name never look the same. */

/**
 * FNV-1a, finished as MurmurHash3 does: spreads ids over a few colours. Nothing relies on it being hard to invert. Without the
 * finish its low bits hang on the letters' low bits alone, and two people of one colour often had one mark too.
 */
export function spread(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

export const COLOURS = 8;
const FIRST = "BDFGHKLMNPRSTVWZ";
const SECOND = "aeiouy";

export const colourOf = (id: string): number => spread(id) % COLOURS;

/** Two letters that can be said: `Ke`, `Mo`. */
export function markOf(id: string): string {
  const n = spread(`mark ${id}`);
  return `${FIRST[n % FIRST.length]}${SECOND[(n >>> 8) % SECOND.length]}`;
}

const letters = new Intl.Segmenter(undefined, { granularity: "grapheme" });

/** The first letter of a name as people see it: an emoji or a letter with its accents is one. */
export function initialOf(name: string): string {
  const [first] = letters.segment(name.trim());
  return (first?.segment ?? "?").toLocaleUpperCase();
}

export type DeviceGlyph = "phone" | "tablet" | "server" | "desktop" | "laptop";

/** What a device most likely is, from what its owner called it. */
export function glyphOf(name: string): DeviceGlyph {
  const text = name.toLowerCase();
  if (/phone|pixel|galaxy|mobile|handy/.test(text)) return "phone";
  if (/tablet|ipad/.test(text)) return "tablet";
  if (/server|nas|pi\b|box|rack/.test(text)) return "server";
  if (/desk|tower|bench|studio|imac|work/.test(text)) return "desktop";
  return "laptop";
}

/** The last characters of an id, where the whole would say nothing to anybody. */
export const shortId = (id: string): string => `..${id.slice(-8)}`;
