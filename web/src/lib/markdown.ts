/**
 * The part of Markdown that messages have: bold, italic, struck, code, links, mentions; quotes, lists, code blocks.
 *
 * A text becomes a tree of plain values, never HTML: nothing that somebody writes can become markup of the page. Links go to
 * http, https and mailto only. Every loop goes forward through the text, so that no message takes longer than its length.
 */
export type Inline =
  | { kind: "text"; text: string }
  | { kind: "strong" | "em" | "del"; of: Inline[] }
  | { kind: "code"; text: string }
  | { kind: "link"; href: string; of: Inline[] }
  | { kind: "mention"; text: string };

export type Block =
  | { kind: "paragraph"; of: Inline[] }
  | { kind: "quote"; of: Block[] }
  | { kind: "list"; ordered: boolean; items: Inline[][] }
  | { kind: "code"; language: string; text: string };

/** Quotes in quotes and stars in stars, no deeper than anyone means. */
const MOST_DEPTH = 6;

export function safeHref(text: string): string | null {
  // Control characters and spaces are dropped by browsers in places where they hide a scheme.
  if (/[\u0000-\u0020\u007f-\u009f\u200b-\u200f\u2028-\u202f\u2066-\u2069]/.test(text)) return null;
  try {
    const url = new URL(text);
    if (url.protocol === "mailto:") return url.href;
    // `https://bank.example@evil.example` looks like the bank.
    const plain = url.username === "" && url.password === "";
    return plain && (url.protocol === "http:" || url.protocol === "https:") ? url.href : null;
  } catch {
    return null;
  }
}

export function parseBlocks(text: string, names: string[] = [], depth = 0): Block[] {
  const lines = text.replaceAll("\r\n", "\n").split("\n");
  const blocks: Block[] = [];
  let at = 0;
  const take = (fits: (line: string) => boolean): string[] => {
    const from = at;
    while (at < lines.length && fits(lines[at] ?? "")) at++;
    return lines.slice(from, at);
  };
  while (at < lines.length) {
    const line = lines[at] ?? "";
    const fence = /^```([\w+#.-]{0,20})\s*$/.exec(line);
    if (fence) {
      at++;
      const code = take((one) => !/^```\s*$/.test(one));
      at++;
      blocks.push({ kind: "code", language: fence[1] ?? "", text: code.join("\n") });
    } else if (line.startsWith(">") && depth < MOST_DEPTH) {
      const quoted = take((one) => one.startsWith(">")).map((one) => one.replace(/^> ?/, ""));
      blocks.push({ kind: "quote", of: parseBlocks(quoted.join("\n"), names, depth + 1) });
    } else if (isItem(line)) {
      const ordered = /^\s*\d/.test(line);
      const items = take((one) => isItem(one) && /^\s*\d/.test(one) === ordered);
      blocks.push({ kind: "list", ordered, items: items.map((one) => parseInline(one.replace(ITEM, ""), names)) });
    } else if (line.trim() === "") at++;
    else {
      const paragraph = [line];
      at++;
      paragraph.push(...take((one) => one.trim() !== "" && !/^(>|```)/.test(one) && !isItem(one)));
      blocks.push({ kind: "paragraph", of: parseInline(paragraph.join("\n"), names) });
    }
  }
  return blocks;
}

const ITEM = /^\s{0,3}(?:[-*+]|\d{1,9}[.)])\s+/;
const isItem = (line: string): boolean => ITEM.test(line);

const MARKS: [string, "strong" | "em" | "del"][] = [
  ["**", "strong"],
  ["__", "strong"],
  ["~~", "del"],
  ["*", "em"],
  ["_", "em"],
];

const isWord = (c: string | undefined): boolean => c !== undefined && /[\p{L}\p{N}]/u.test(c);

export function parseInline(text: string, names: string[] = [], depth = 0): Inline[] {
  const out: Inline[] = [];
  let plain = "";
  const flush = () => {
    if (plain) out.push({ kind: "text", text: plain });
    plain = "";
  };
  let at = 0;
  // A mark that was not closed once is not looked for again: the text is read once per mark at most.
  const unclosed = new Set<string>();
  while (at < text.length) {
    const found = special(text, at, names, depth, unclosed);
    if (found) {
      flush();
      out.push(found.node);
      at = found.next;
    } else plain += text[at++];
  }
  flush();
  return out;
}

type Found = { node: Inline; next: number } | null;

function special(text: string, at: number, names: string[], depth: number, unclosed: Set<string>): Found {
  switch (text[at]) {
    case "`":
      return code(text, at, unclosed);
    case "[":
      return depth < MOST_DEPTH ? namedLink(text, at, depth) : null;
    case "h":
      return bareLink(text, at);
    case "@":
      return mention(text, at, names);
    case "*":
    case "_":
    case "~":
      return depth < MOST_DEPTH ? marked(text, at, names, depth, unclosed) : null;
    default:
      return null;
  }
}

function code(text: string, at: number, unclosed: Set<string>): Found {
  if (unclosed.has("`")) return null;
  const end = text.indexOf("`", at + 1);
  if (end === -1) unclosed.add("`");
  if (end <= at + 1) return null;
  return { node: { kind: "code", text: text.slice(at + 1, end) }, next: end + 1 };
}

/** A longer name or address than these isn't meant as a link. */
const MOST_LINK = 2000;

function namedLink(text: string, at: number, depth: number): Found {
  const match = /^\[([^[\]\n]{1,300})\]\(([^\s()]{1,2000})\)/.exec(text.slice(at, at + MOST_LINK + 310));
  const href = match && safeHref(match[2] ?? "");
  if (!match || !href) return null;
  const name = match[1] ?? "";
  const of: Inline[] = namesAnother(name, href) ? [{ kind: "text", text: href }] : parseInline(name, [], depth + 1).filter((one) => one.kind !== "link");
  return { node: { kind: "link", href, of }, next: at + match[0].length };
}

/** What makes an address look like another one, or like none: signs that aren't seen, and those that Markdown takes away. */
const UNSEEN = /[\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff*_~`]/g;
const HOST = /^(?:(?:[\p{L}\p{N}-]+\.)+\p{L}{2,}|\d+(?:\.\d+){3})$/u;

const bare = (host: string): string => host.toLowerCase().replace(/^www\./, "").replace(/\.$/, "");

/** The place that a word of a link's name looks like, as a browser would take it; null for a word that looks like none. */
function placeIn(word: string): string | null {
  const [, scheme, rest = ""] = /^((?:https?|ftp|mailto):\/*|[a-z][a-z\d+-]*:\/+)?(.*)$/iu.exec(word.replace(/^[^\p{L}\p{N}]+/u, "")) ?? [];
  const authority = rest.split(/[/?#\\]/)[0]?.split("@").at(-1) ?? "";
  const host = authority.replace(/:\d*$/, "").replace(/[^\p{L}\p{N}]+$/u, "");
  if (!host || (!scheme && !HOST.test(host))) return null;
  try {
    return bare(new URL(`https://${host}`).hostname);
  } catch {
    return host;
  }
}

/** Whether a link's name looks like the address of another place than the one to which the link leads. */
function namesAnother(name: string, href: string): boolean {
  const url = new URL(href);
  const target = bare(url.protocol === "mailto:" ? url.pathname.split("@").at(-1) ?? "" : url.hostname);
  const plain = name.replace(UNSEEN, "").normalize("NFKC").replaceAll("\u3002", ".");
  return plain.split(/\s+/).some((word) => (placeIn(word) ?? target) !== target);
}

function bareLink(text: string, at: number): Found {
  if (isWord(text[at - 1]) || !/^https?:\/\//.test(text.slice(at, at + 8))) return null;
  const match = /^[^\s<>"'`]+/.exec(text.slice(at, at + MOST_LINK));
  let shown = match?.[0] ?? "";
  shown = shown.replace(/[.,;:!?*_~]+$/, "");
  // A bracket that was opened outside closes outside.
  if (shown.endsWith(")") && !shown.includes("(")) shown = shown.slice(0, -1);
  const href = safeHref(shown);
  return href ? { node: { kind: "link", href, of: [{ kind: "text", text: shown }] }, next: at + shown.length } : null;
}

/** Names are shorter than this; a text full of @ isn't read anew for each of them. */
const MOST_NAME = 128;

function mention(text: string, at: number, names: string[]): Found {
  if (isWord(text[at - 1])) return null;
  const rest = text.slice(at + 1, at + 1 + MOST_NAME);
  const fits = names.filter((name) => name && rest.toLocaleLowerCase().startsWith(name.toLocaleLowerCase()) && !isWord(rest[name.length]));
  const name = fits.sort((a, b) => b.length - a.length)[0];
  return name ? { node: { kind: "mention", text: `@${rest.slice(0, name.length)}` }, next: at + 1 + name.length } : null;
}

function marked(text: string, at: number, names: string[], depth: number, unclosed: Set<string>): Found {
  for (const [mark, kind] of MARKS) {
    if (!text.startsWith(mark, at) || unclosed.has(mark)) continue;
    const inner = at + mark.length;
    // snake_case is a word, and "2 * 3" is no emphasis.
    if ((mark.startsWith("_") && isWord(text[at - 1])) || /\s/.test(text[inner] ?? " ")) continue;
    const end = closing(text, inner, mark);
    if (end === -1) {
      unclosed.add(mark);
      continue;
    }
    return { node: { kind, of: parseInline(text.slice(inner, end), names, depth + 1) }, next: end + mark.length };
  }
  return null;
}

function closing(text: string, from: number, mark: string): number {
  for (let end = text.indexOf(mark, from + 1); end !== -1; end = text.indexOf(mark, end + 1)) {
    const after = text[end + mark.length];
    const inLonger = mark.length === 1 && (after === mark || text[end - 1] === mark);
    if (!/\s/.test(text[end - 1] ?? " ") && !inLonger && !(mark.startsWith("_") && isWord(after))) return end;
  }
  return -1;
}
