import { defineConfig } from "vitest/config";
import { SOURCES } from "./vite.config.ts";

/** Logic in `test/unit`; the client's package in its own folder; the app in a real browser, against real nodes, in `test/e2e`. The times are for a machine that is busy with
 * something else: what is waited for is awaited, so they cost nothing where it's quick. */
export default defineConfig({
  resolve: SOURCES,
  test: {
    expect: { poll: { timeout: 30_000, interval: 100 } },
    projects: [
      { extends: true, test: { name: "unit", include: ["test/unit/**/*.test.ts"], environment: "node" } },
      { extends: true, test: { name: "client", include: ["packages/client/test/**/*.test.ts"], environment: "node" } },
      { extends: true, test: { name: "e2e", include: ["test/e2e/**/*.e2e.ts"], environment: "node", testTimeout: 120_000, hookTimeout: 90_000, fileParallelism: false } },
      { extends: true, test: { name: "bench", include: ["test/e2e/**/*.bench.ts"], environment: "node", testTimeout: 1_800_000, hookTimeout: 90_000 } },
    ],
  },
});
