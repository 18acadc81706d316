/** The four words of a device, to be compared by voice. */

export function Words({ words, big }: { words: string[]; big?: boolean }) {
  return (
    <ul className={`words ${big ? "big" : ""}`} aria-label="Safety words">
      {words.map((word, at) => <li key={at}>{word}</li>)}
    </ul>
  );
}
