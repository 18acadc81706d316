/** The four words of a device, to be compared by voice. */
import { useQuery } from "@tanstack/react-query";
import { safetyWords } from "../lib/words.ts";

export function Words({ fingerprint, big }: { fingerprint: string; big?: boolean }) {
  const { data } = useQuery({ queryKey: ["words", fingerprint], queryFn: () => safetyWords(fingerprint), staleTime: Number.POSITIVE_INFINITY });
  return (
    <ul className={`words ${big ? "big" : ""}`} aria-label="Safety words">
      {(data ?? ["", "", "", ""]).map((word, at) => <li key={at}>{word || "\u00a0"}</li>)}
    </ul>
  );
}
