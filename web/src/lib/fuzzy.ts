/** How well words fit what somebody typed: letters in their order, better at the start of words and in a row. */

/** Null where a letter is missing. */
export function score(typed: string, text: string): number | null {
  const wanted = typed.toLocaleLowerCase().replaceAll(/\s+/g, "");
  const hay = text.toLocaleLowerCase();
  let at = -1;
  let points = 0;
  for (const letter of wanted) {
    const next = hay.indexOf(letter, at + 1);
    if (next === -1) return null;
    points += next === at + 1 ? 3 : 0;
    points += next === 0 || /[\s#@/_-]/.test(hay[next - 1] ?? "") ? 4 : 0;
    points -= (next - at) * 0.05;
    at = next;
  }
  return points - hay.length * 0.01;
}

export function best<T>(typed: string, items: T[], text: (item: T) => string): T[] {
  if (!typed.trim()) return items;
  const scored = items.flatMap((item) => {
    const points = score(typed, text(item));
    return points === null ? [] : [{ item, points }];
  });
  return scored.sort((a, b) => b.points - a.points).map((one) => one.item);
}
