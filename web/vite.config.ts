import react from "@vitejs/plugin-react";
import emoji from "emojibase-data/en/compact.json" with { type: "json" };
import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { defineConfig, type Plugin } from "vite";

const DIST = join(import.meta.dirname, "dist");

/** The app is made of the client's sources: what is published as its package is built for others. */
export const SOURCES = { alias: { "@covey/client": join(import.meta.dirname, "packages/client/src/index.ts") } };

/** The emoji picker's list, without what the picker doesn't show: a tenth of the data it's made from. */
function emojiList(): Plugin {
  const rows = () =>
    emoji.flatMap((one) => (one.group === undefined || one.group === 2 ? [] : [[one.unicode, one.label, (one.tags ?? []).slice(0, 5).join(" "), one.group]]));
  return {
    name: "emoji-list",
    resolveId: (id) => (id === "virtual:emoji" ? "\0virtual:emoji" : null),
    load: (id) => (id === "\0virtual:emoji" ? `export default JSON.parse(${JSON.stringify(JSON.stringify(rows()))})` : null),
  };
}

/** The note in dist stays; everything else is made anew, and packed for the node to serve as it is. */
function cleanAndPack(): Plugin {
  return {
    name: "clean-and-pack",
    apply: "build",
    buildStart() {
      for (const name of readdirSync(DIST)) if (name !== "README.md") rmSync(join(DIST, name), { recursive: true });
    },
    closeBundle() {
      for (const entry of readdirSync(DIST, { recursive: true, withFileTypes: true })) {
        if (!entry.isFile() || !/\.(js|css|html|svg|json|webmanifest)$/.test(entry.name)) continue;
        const file = join(entry.parentPath, entry.name);
        const plain = readFileSync(file);
        const packed = gzipSync(plain, { level: 9 });
        if (packed.length < plain.length * 0.9) writeFileSync(`${file}.gz`, packed);
      }
    },
  };
}

/** `COVEY_NODE=http://127.0.0.1:7463 COVEY_TOKEN=... npm run dev` works on a node that runs. */
const node = process.env["COVEY_NODE"];
const proxy = node && {
  "/api": {
    target: node,
    changeOrigin: true,
    ws: true,
    headers: { authorization: `Bearer ${process.env["COVEY_TOKEN"] ?? ""}`, origin: node },
  },
};

export default defineConfig({
  resolve: SOURCES,
  plugins: [react(), emojiList(), cleanAndPack()],
  build: {
    target: "es2023",
    emptyOutDir: false,
    // Everything comes from the node, under a policy that allows no data: URLs but for pictures.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
  },
  server: proxy ? { proxy } : {},
});
