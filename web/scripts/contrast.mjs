// Whether every pair of colours that stand on each other can be read: 4.5 : 1 for text, 3 : 1 for lines that mean something.
import { readFileSync } from "node:fs";

const css = readFileSync(new URL("../src/styles/tokens.css", import.meta.url), "utf8");
const themes = { light: /:root \{([^}]*)\}/.exec(css)?.[1] ?? "", dark: /data-theme="dark"\] \{([^}]*)\}/.exec(css)?.[1] ?? "" };

const people = [0, 1, 2, 3, 4, 5, 6, 7].map((n) => [`p${n}`, `p${n}-ground`]);
const text = [
  ...["ground", "surface", "sunken"].flatMap((on) => [["ink", on], ["soft", on]]),
  ...["ground", "surface", "sunken", "accent-ground"].map((on) => ["accent", on]),
  ["on-accent", "accent"], ["on-accent", "accent-hover"],
  ["ink", "accent-ground"], ["soft", "accent-ground"],
  ["amber", "amber-ground"], ["amber", "surface"], ["red", "red-ground"], ["red", "surface"], ["red", "ground"],
  ["ground", "ink"],
  ["ink", "line"],
  ...people,
];
const lines = [
  ...["ground", "surface", "sunken"].flatMap((on) => [["line-strong", on], ["accent", on]]),
  ["red", "surface"], ["amber", "surface"],
];

const luminance = (hex) => {
  const [r, g, b] = [1, 3, 5].map((at) => {
    const value = Number.parseInt(hex.slice(at, at + 2), 16) / 255;
    return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};

let failed = 0;
let checked = 0;
for (const [theme, block] of Object.entries(themes)) {
  const colours = Object.fromEntries([...block.matchAll(/--([\w-]+):\s*(#[0-9A-Fa-f]{6})/g)].map(([, name, hex]) => [name, hex]));
  for (const [pairs, least] of [[text, 4.5], [lines, 3]]) {
    for (const [front, back] of pairs) {
      if (!colours[front] || !colours[back]) throw new Error(`${theme} has no colour ${colours[front] ? back : front}`);
      const [a, b] = [luminance(colours[front]), luminance(colours[back])];
      const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
      checked++;
      if (contrast >= least) continue;
      failed++;
      console.log(`${theme}: ${front} on ${back} has ${contrast.toFixed(2)} : 1, needs ${least} : 1`);
    }
  }
}
console.log(failed === 0 ? `contrast: all ${checked} pairs can be read` : `contrast: ${failed} of ${checked} pairs can't be read`);
process.exit(failed === 0 ? 0 : 1);
