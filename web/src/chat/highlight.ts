/** A found text cut at its highlights, and shortened around the first one where it is long. */
const AROUND = 120;
const MOST = 360;

export interface Piece {
  text: string;
  on: boolean;
}

export function pieces(text: string, highlights: [number, number][]): Piece[] {
  const first = highlights[0]?.[0] ?? 0;
  const from = text.length > MOST ? Math.max(0, first - AROUND) : 0;
  const to = Math.min(text.length, from + MOST);
  const out: Piece[] = from > 0 ? [{ text: "... ", on: false }] : [];
  let at = from;
  for (const [start, end] of [...highlights].sort((a, b) => a[0] - b[0])) {
    if (start < at || end <= start || end > to) continue;
    if (start > at) out.push({ text: text.slice(at, start), on: false });
    out.push({ text: text.slice(start, end), on: true });
    at = end;
  }
  if (at < to) out.push({ text: text.slice(at, to), on: false });
  if (to < text.length) out.push({ text: " ...", on: false });
  return out;
}
