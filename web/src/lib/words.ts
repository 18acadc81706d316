/**
 * Four words for two people to compare by voice.
 *
 * They are the first 44 bits of a device's fingerprint, eleven for each word of the English list of BIP 39: any four letters
 * tell its words apart. The fingerprint itself stays beside them for whoever wants all 100 bits.
 */
const ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

export function wordIndexes(fingerprint: string): number[] {
  const values = [...fingerprint.replaceAll("-", "")].map((letter) => ALPHABET.indexOf(letter));
  if (values.length !== 20 || values.includes(-1)) return [];
  let bits = 0n;
  for (const value of values) bits = (bits << 5n) | BigInt(value);
  return [0n, 1n, 2n, 3n].map((n) => Number((bits >> (100n - 11n * (n + 1n))) & 2047n));
}

/** The list is loaded when it is first needed. */
export async function safetyWords(fingerprint: string): Promise<string[]> {
  const { wordlist } = await import("@scure/bip39/wordlists/english.js");
  return wordIndexes(fingerprint).map((index) => wordlist[index] ?? "");
}
