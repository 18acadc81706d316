/** What is being mentioned at the caret: the text from an @ at the start of a word. */

/** Names with a space in them are found too, up to here. */
const MOST_LETTERS = 30;

export function mentionAt(text: string, caret: number): { from: number; typed: string } | null {
  const from = text.lastIndexOf("@", caret - 1);
  if (from === -1 || caret - from > MOST_LETTERS) return null;
  const typed = text.slice(from + 1, caret);
  const startsWord = from === 0 || /\s|[(["']/.test(text[from - 1] ?? "");
  // After a space and nothing that fits, it was just an @.
  return startsWord && !/[\n@]|\s\s|\s$/.test(typed) ? { from, typed } : null;
}

export function insertAt(text: string, from: number, to: number, piece: string): { text: string; caret: number } {
  return { text: text.slice(0, from) + piece + text.slice(to), caret: from + piece.length };
}
